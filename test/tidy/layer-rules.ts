import { importsOf, resolveImport } from './source-unit.ts';
import type { Rule, SourceUnit, Violation } from './source-unit.ts';

/** The folders of `src/` by level. Imports go from a higher level to a lower one, never back. */
export const LEVELS: ReadonlyMap<string, number> = new Map([
  ['cli.ts', 7],
  ['app', 6],
  ['admin', 5],
  ['metrics', 5],
  ['client', 4],
  ['server', 4],
  ['relay', 3],
  ['pool', 2],
  ['auth', 2],
  ['protocol', 1],
  ['net', 1],
  ['config', 1],
  ['log', 1],
  ['base', 0],
]);

/** Each third-party package with the one file that may import it. */
export const GATES: ReadonlyMap<string, string> = new Map([
  ['pino', 'src/log/logger.ts'],
  ['yaml', 'src/config/load.ts'],
  ['prom-client', 'src/metrics/registry.ts'],
  ['pg-protocol', 'src/protocol/pg-protocol.ts'],
  ['ldapts', 'src/auth/ldap-client.ts'],
  ['koffi', 'src/net/native.ts'],
]);

/** Modules that give sockets or timers: not for policy. */
const SOCKET_AND_TIMER_MODULES = /^node:(net|tls|dgram|http|https|timers)(\/|$)/;

/** Looks at one import; returns why it is wrong, or `null`. */
type ImportCheck = (unit: SourceUnit, specifier: string, target: string | null) => string | null;

/** Finds imports that go up, sideways, or out of `src/`. */
export const layersRule: Rule = eachImport((unit, _specifier, target) => {
  if (target === null) {
    return null;
  }
  if (!target.startsWith('src/')) {
    return `imports ${target}: src/ imports nothing from outside itself`;
  }
  const from = folderOf(unit.path);
  const to = folderOf(target);
  const fromLevel = LEVELS.get(from);
  const toLevel = LEVELS.get(to);
  if (fromLevel === undefined || toLevel === undefined) {
    return `imports ${target}: ${fromLevel === undefined ? from : to} has no level`;
  }
  if (from === to && from !== 'cli.ts') {
    return null;
  }
  return toLevel < fromLevel
    ? null
    : `imports ${target}: ${from} (level ${String(fromLevel)}) may not import ${to} ` +
        `(level ${String(toLevel)}); move the shared part down, or inject it`;
});

/** Finds platform modules in `protocol/`, which is pure. */
export const pureProtocolRule: Rule = eachImport((unit, specifier) =>
  folderOf(unit.path) === 'protocol' && specifier.startsWith('node:') && specifier !== 'node:buffer'
    ? `imports ${specifier}: protocol/ is pure and may import node:buffer alone`
    : null,
);

/** Finds sockets and timers in `pool/`, which is policy. */
export const purePoolRule: Rule = eachImport((unit, specifier) =>
  folderOf(unit.path) === 'pool' && SOCKET_AND_TIMER_MODULES.test(specifier)
    ? `imports ${specifier}: pool/ has no sockets and no clock; inject a port`
    : null,
);

/** Finds event emitters where messages should be plain calls. */
export const eventsRule: Rule = eachImport((unit, specifier) =>
  specifier === 'node:events' && !['net', 'app'].includes(folderOf(unit.path))
    ? 'imports node:events: outside net/ and app/ call a method of a port'
    : null,
);

/** Finds packages imported past their gate, and packages without one. */
export const gatesRule: Rule = eachImport((unit, specifier, target) => {
  if (target !== null || specifier.startsWith('node:')) {
    return null;
  }
  const name = packageOf(specifier);
  const gate = GATES.get(name);
  if (gate === undefined) {
    return `imports ${name}: not a dependency of src/ (a built-in module needs its node: prefix)`;
  }
  return gate === unit.path ? null : `imports ${name}: only ${gate} may`;
});

/** Finds imports without their real extension, which do not resolve without a bundler. */
export const extensionRule: Rule = eachImport((_unit, specifier, target) =>
  target !== null && !/\.(ts|mts|json)$/.test(specifier)
    ? `imports ${specifier}: write the file name with its .ts extension`
    : null,
);

/** Finds files of `src/` in a folder that has no level. */
export const knownFoldersRule: Rule = (units) =>
  units
    .filter((unit) => !LEVELS.has(folderOf(unit.path)))
    .map((unit) => `${unit.path}: ${folderOf(unit.path)} has no level`);

function eachImport(check: ImportCheck): Rule {
  return (units) => units.flatMap((unit) => checkUnit(unit, check));
}

function checkUnit(unit: SourceUnit, check: ImportCheck): Violation[] {
  return importsOf(unit).flatMap(({ specifier, line }) => {
    const problem = check(unit, specifier, resolveImport(unit, specifier));
    return problem === null ? [] : [`${unit.path}:${String(line)} ${problem}`];
  });
}

function folderOf(file: string): string {
  return file.split('/')[1] ?? '';
}

function packageOf(specifier: string): string {
  const count = specifier.startsWith('@') ? 2 : 1;
  return specifier.split('/').slice(0, count).join('/');
}
