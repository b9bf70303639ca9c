import { existsSync, readdirSync } from 'node:fs';
import { defineConfig } from 'vitest/config';
import type { TestProjectInlineConfiguration } from 'vitest/config';

/** Two cores are what a small machine has; most tests wait for something. */
const INTEGRATION_TIMEOUT_MS = 30_000;
/** Seeded tests of many cases take seconds on a machine that is busy. */
const PURE_TIMEOUT_MS = 20_000;

/** Where the tests of a project are when its folder is not all. */
const FOLDERS: Readonly<Record<string, string[]>> = {
  integration: ['test/integration/**/*.test.ts', 'test/security/**/*.test.ts'],
};

/** Pure tests: in parallel, without network. Files share processes: they leave nothing behind. */
function pureProject(name: string): TestProjectInlineConfiguration {
  return {
    test: {
      name,
      include: [`test/${name}/**/*.test.ts`],
      pool: 'forks',
      isolate: false,
      testTimeout: PURE_TIMEOUT_MS,
      sequence: { groupOrder: 0 },
    },
  };
}

/** Tests against a real PostgreSQL, which all files share; each file in a process of its own. */
function serverProject(name: string, groupOrder: number): TestProjectInlineConfiguration {
  return {
    test: {
      name,
      include: FOLDERS[name] ?? [`test/${name}/**/*.test.ts`],
      pool: 'forks',
      maxWorkers: 4,
      globalSetup: ['test/support/global-setup.ts'],
      testTimeout: INTEGRATION_TIMEOUT_MS,
      hookTimeout: INTEGRATION_TIMEOUT_MS,
      sequence: { groupOrder },
    },
  };
}

/** Whether a folder of tests has any: a project without files would be an error. */
function hasTests(name: string): boolean {
  const directory = `test/${name}`;
  return (
    existsSync(directory) &&
    readdirSync(directory, { recursive: true }).some((file) => String(file).endsWith('.test.ts'))
  );
}

/** The projects whose folder has tests, in the order of their groups. */
function projects(): TestProjectInlineConfiguration[] {
  const memory = serverProject('memory', 3);
  // Takes as long as it is told to: `npm run fuzz`.
  const isFuzz = (process.env['FUZZ_SECONDS'] ?? '') !== '';
  return [
    ...['unit', 'wire', 'tidy'].map((name) => ({ name, project: pureProject(name) })),
    { name: 'integration', project: serverProject('integration', 1) },
    { name: 'conformance', project: serverProject('conformance', 2) },
    ...(isFuzz ? [{ name: 'fuzz', project: pureProject('fuzz') }] : []),
    { name: 'memory', project: { test: { ...memory.test, execArgv: ['--expose-gc'] } } },
  ]
    .filter(({ name }) => hasTests(name))
    .map(({ project }) => project);
}

export default defineConfig({
  test: {
    projects: projects(),
    coverage: {
      provider: 'v8',
      include: ['src/**/*.ts'],
      reporter: ['text-summary', 'html'],
      thresholds: {
        'src/{protocol,pool,relay}/**/*.ts': { lines: 90, branches: 85, functions: 90 },
      },
    },
  },
});
