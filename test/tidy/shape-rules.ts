import ts from 'typescript';
import { lineOf, placeOf, walkTree } from './source-unit.ts';
import type { Rule, SourceUnit, Violation } from './source-unit.ts';

/** Lines of code in a function; blank lines and comments do not count. */
export const MAX_FUNCTION_LINES = 70;

/** Lines in a file, all counted. */
export const MAX_FILE_LINES = 600;

/** Above this a file is named in the test's output. */
export const TARGET_FILE_LINES = 400;

/** Finds functions that are too long to be read at a glance. */
export const functionLengthRule: Rule = (units) =>
  units.flatMap((unit) => {
    const found: Violation[] = [];
    walkTree(unit.ast, (node) => {
      if (!ts.isFunctionLike(node) || rawLines(unit, node) <= MAX_FUNCTION_LINES) {
        return;
      }
      const lines = codeLines(unit, node);
      if (lines > MAX_FUNCTION_LINES) {
        found.push(
          `${placeOf(unit, node)} a function of ${String(lines)} lines, ` +
            `at most ${String(MAX_FUNCTION_LINES)}: give its parts names`,
        );
      }
    });
    return found;
  });

/** Finds files that do more than one thing. */
export const fileLengthRule: Rule = (units) =>
  longerThan(units, MAX_FILE_LINES).map(
    ({ path, lines }) =>
      `${path} has ${String(lines)} lines, at most ${String(MAX_FILE_LINES)}: split it`,
  );

/** Lists the files above a number of lines. */
export function longerThan(
  units: readonly SourceUnit[],
  limit: number,
): { path: string; lines: number }[] {
  return units
    .map(({ path, ast }) => ({ path, lines: ast.text.replace(/\n$/, '').split('\n').length }))
    .filter(({ lines }) => lines > limit);
}

/** Finds default exports, star exports and files that only pass others on. */
export const exportFormRule: Rule = (units) =>
  units.flatMap((unit) => {
    const found = unit.ast.statements.flatMap((statement) => {
      const problem = badExportForm(statement);
      return problem === null ? [] : [`${placeOf(unit, statement)} ${problem}`];
    });
    return isBarrel(unit)
      ? [...found, `${unit.path} is a barrel: import the files themselves`]
      : found;
  });

/** Finds exports that say nothing about themselves. */
export const documentedExportsRule: Rule = (units) =>
  units.flatMap((unit) => {
    const documented = new Set<string>();
    const undocumented: { name: string; statement: ts.Statement }[] = [];
    for (const statement of unit.ast.statements.filter(isExported)) {
      for (const name of declaredNames(statement)) {
        if (hasDocumentation(statement)) {
          documented.add(name);
        } else {
          undocumented.push({ name, statement });
        }
      }
    }
    // A type derived from the constant of the same name shares its comment.
    return undocumented
      .filter(({ name }) => !documented.has(name))
      .map(({ name, statement }) => `${placeOf(unit, statement)} ${name} has no comment`);
  });

/** Finds switched-off lint rules without a reason, and notes without an issue. */
export const commentsRule: Rule = (units) =>
  units.flatMap((unit) =>
    commentsOf(unit).flatMap(({ text, line }) => {
      const problem = badComment(text);
      return problem === null ? [] : [`${unit.path}:${String(line)} ${problem}`];
    }),
  );

function badComment(text: string): string | null {
  if (text.includes('eslint-disable') && !/--\s*\S/.test(text)) {
    return 'switches a lint rule off without a reason: add "-- why"';
  }
  if (/\b(TODO|FIXME|XXX|HACK)\b(?!\(#\d+\))/.test(text)) {
    return 'a note without an issue: write TODO(#number)';
  }
  return /@ts-(ignore|nocheck)/.test(text)
    ? 'switches the type checker off: use @ts-expect-error with a reason'
    : null;
}

function badExportForm(statement: ts.Statement): string | null {
  const isDefault =
    ts.isExportAssignment(statement) ||
    (ts.canHaveModifiers(statement) &&
      ts.getModifiers(statement)?.some(({ kind }) => kind === ts.SyntaxKind.DefaultKeyword));
  if (isDefault === true) {
    return 'export default: export by name';
  }
  const isStar =
    ts.isExportDeclaration(statement) &&
    (statement.exportClause === undefined || ts.isNamespaceExport(statement.exportClause));
  return isStar ? 'export *: name what is exported' : null;
}

function isBarrel(unit: SourceUnit): boolean {
  const { statements } = unit.ast;
  const isPassedOn = (statement: ts.Statement): boolean =>
    ts.isExportDeclaration(statement) && statement.moduleSpecifier !== undefined;
  return (
    /(^|\/)index\.[cm]?ts$/.test(unit.path) ||
    (statements.length > 0 && statements.every(isPassedOn))
  );
}

function isExported(statement: ts.Statement): boolean {
  return (
    ts.canHaveModifiers(statement) &&
    (ts.getModifiers(statement)?.some(({ kind }) => kind === ts.SyntaxKind.ExportKeyword) ?? false)
  );
}

function declaredNames(statement: ts.Statement): string[] {
  if (ts.isVariableStatement(statement)) {
    return statement.declarationList.declarations.map(({ name }) => name.getText());
  }
  const isNamed =
    ts.isFunctionDeclaration(statement) ||
    ts.isClassDeclaration(statement) ||
    ts.isInterfaceDeclaration(statement) ||
    ts.isTypeAliasDeclaration(statement) ||
    ts.isEnumDeclaration(statement);
  return isNamed && statement.name !== undefined ? [statement.name.text] : [];
}

function hasDocumentation(statement: ts.Statement): boolean {
  return ts
    .getJSDocCommentsAndTags(statement)
    .some((doc) => ts.isJSDoc(doc) && /\w/.test(doc.getText()));
}

function commentsOf(unit: SourceUnit): { text: string; line: number }[] {
  const { text } = unit.ast;
  const seen = new Map<number, { text: string; line: number }>();
  const note = (ranges: readonly ts.CommentRange[] | undefined): void => {
    for (const { pos, end } of ranges ?? []) {
      const line = unit.ast.getLineAndCharacterOfPosition(pos).line + 1;
      seen.set(pos, { text: text.slice(pos, end), line });
    }
  };
  for (const token of tokensOf(unit.ast, unit.ast)) {
    note(ts.getLeadingCommentRanges(text, token.getFullStart()));
    note(ts.getTrailingCommentRanges(text, token.getEnd()));
  }
  return [...seen.values()];
}

function rawLines(unit: SourceUnit, node: ts.Node): number {
  const end = unit.ast.getLineAndCharacterOfPosition(node.getEnd()).line + 1;
  return end - lineOf(unit, node) + 1;
}

function codeLines(unit: SourceUnit, node: ts.Node): number {
  const lines = new Set<number>();
  for (const token of tokensOf(node, unit.ast)) {
    const first = unit.ast.getLineAndCharacterOfPosition(token.getStart(unit.ast)).line;
    const last = unit.ast.getLineAndCharacterOfPosition(token.getEnd()).line;
    for (let line = first; line <= last; line += 1) {
      lines.add(line);
    }
  }
  return lines.size;
}

function tokensOf(node: ts.Node, ast: ts.SourceFile): ts.Node[] {
  if (ts.isJSDoc(node)) {
    return [];
  }
  const children = node.getChildren(ast);
  return children.length === 0 ? [node] : children.flatMap((child) => tokensOf(child, ast));
}
