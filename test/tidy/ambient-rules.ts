import ts from 'typescript';
import { importsOf, placeOf, walkTree } from './source-unit.ts';
import type { Rule, SourceUnit, Violation } from './source-unit.ts';

/** The places that may touch the world themselves. */
const AMBIENT_PLACES = /^src\/(base\/clock\.ts|app\/.*|cli\.ts)$/;

/** Global objects with the member that is banned and what to use instead. */
const BANNED_MEMBERS: ReadonlyMap<string, ReadonlyMap<string, string>> = new Map([
  ['Date', new Map([['now', 'take an injected Clock and call wallMs()']])],
  ['performance', new Map([['now', 'take an injected Clock and call nowMs()']])],
  ['Math', new Map([['random', 'take an injected source of chance']])],
  ['process', new Map([['env', 'take a setting of config/']])],
]);

/** Global names that are banned as a whole, and what to use instead. */
const BANNED_NAMES: ReadonlyMap<string, string> = new Map([
  ['setTimeout', 'decide the timeout in the tick, or take an injected timer'],
  ['setInterval', 'decide it in the tick'],
  ['console', 'take an injected Logger'],
  ['pbkdf2Sync', 'derive off the event loop, by PasswordDeriver'],
  ['scryptSync', 'derive off the event loop'],
]);

/** Modules that give the same things by another way. */
const BANNED_MODULES: ReadonlyMap<string, string> = new Map([
  ['node:timers', 'decide the timeout in the tick, or take an injected timer'],
  ['node:timers/promises', 'decide the timeout in the tick, or take an injected timer'],
  ['node:process', 'take what you need as a parameter'],
  ['node:console', 'take an injected Logger'],
]);

/** Finds time, chance, environment and console where they are not injected. */
export const ambientRule: Rule = (units) =>
  units.filter(({ path }) => !AMBIENT_PLACES.test(path)).flatMap(checkUnit);

function checkUnit(unit: SourceUnit): Violation[] {
  const found = importsOf(unit).flatMap(({ specifier, line }) => {
    const advice = BANNED_MODULES.get(specifier);
    return advice === undefined ? [] : [`${unit.path}:${String(line)} ${specifier}: ${advice}`];
  });
  walkTree(unit.ast, (node) => {
    const problem = memberProblem(node) ?? nameProblem(node) ?? dateProblem(node);
    if (problem !== null) {
      found.push(`${placeOf(unit, node)} ${problem}`);
    }
  });
  return found;
}

/** `Date.now`, `process['env']`, `const { env } = process`. */
function memberProblem(node: ts.Node): string | null {
  if (ts.isPropertyAccessExpression(node)) {
    return memberAdvice(node.expression, node.name.text);
  }
  if (ts.isElementAccessExpression(node) && ts.isStringLiteralLike(node.argumentExpression)) {
    return memberAdvice(node.expression, node.argumentExpression.text);
  }
  if (ts.isVariableDeclaration(node) && ts.isObjectBindingPattern(node.name) && node.initializer) {
    const { initializer } = node;
    const names = node.name.elements.map(({ propertyName, name }) =>
      (propertyName ?? name).getText(),
    );
    return names.map((name) => memberAdvice(initializer, name)).find((it) => it !== null) ?? null;
  }
  return null;
}

function memberAdvice(object: ts.Expression, member: string): string | null {
  const name = globalName(object);
  const advice = name === null ? undefined : BANNED_MEMBERS.get(name)?.get(member);
  return advice === undefined ? null : `${String(name)}.${member}: ${advice}`;
}

/** `setTimeout` as a free name, or as a member of `globalThis`. */
function nameProblem(node: ts.Node): string | null {
  if (!ts.isIdentifier(node)) {
    return null;
  }
  const advice = BANNED_NAMES.get(node.text);
  return advice === undefined || isOwnName(node) ? null : `${node.text}: ${advice}`;
}

/** `new Date()` and `Date()` read the clock; `new Date(ms)` does not. */
function dateProblem(node: ts.Node): string | null {
  const reads =
    (ts.isNewExpression(node) && (node.arguments?.length ?? 0) === 0) || ts.isCallExpression(node);
  return reads && globalName(node.expression) === 'Date'
    ? 'Date without a time: take an injected Clock and call wallMs()'
    : null;
}

/** Whether an identifier names something of its own: a member, a key, a declaration, a type. */
function isOwnName(node: ts.Identifier): boolean {
  const { parent } = node;
  if (ts.isPropertyAccessExpression(parent) && parent.name === node) {
    return globalName(parent.expression) !== 'globalThis';
  }
  return (
    (ts.isPropertyAssignment(parent) && parent.name === node) ||
    ts.isPropertySignature(parent) ||
    ts.isPropertyDeclaration(parent) ||
    ts.isMethodDeclaration(parent) ||
    ts.isMethodSignature(parent) ||
    ts.isImportSpecifier(parent)
  );
}

/** The global that an expression names: `Date`, or `globalThis.Date`. */
function globalName(node: ts.Expression): string | null {
  if (ts.isIdentifier(node)) {
    return node.text;
  }
  return ts.isPropertyAccessExpression(node) && globalName(node.expression) === 'globalThis'
    ? node.name.text
    : null;
}
