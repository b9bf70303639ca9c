import { execFile } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { ROOT, projectFiles } from './source-unit.ts';
import { looseVersions, machineTraces, missingIntegrity, resolvedHosts } from './text-rules.ts';

const BINARY_FILE = /\.(png|jpg|gif|ico|woff2?|pem|der|gz)$/;
const DOCS_SCRIPT = 'scripts/docs.mjs';

/** Joined here, so that this file does not break the rule it tests. */
const somebodysPath = ['', 'home', 'somebody', 'project'].join('/');
const mirrorUrl = ['https:', '', 'registry.mirror.test', 'pkg'].join('/');

function readJson(file: string): unknown {
  return JSON.parse(fs.readFileSync(path.join(ROOT, file), 'utf8'));
}

async function runScript(...args: readonly string[]): Promise<void> {
  try {
    await promisify(execFile)(process.execPath, [...args], { cwd: ROOT });
  } catch (error) {
    const { stdout, stderr } = error as { stdout: string; stderr: string };
    throw new Error(`${args.join(' ')} failed:\n${stdout}${stderr}`, { cause: error });
  }
}

describe('text of the project', () => {
  it('names no machine paths and no registries', () => {
    const files = projectFiles()
      .filter((file) => !BINARY_FILE.test(file))
      .map((file) => ({ path: file, text: fs.readFileSync(path.join(ROOT, file), 'utf8') }));
    expect(files.length).toBeGreaterThan(0);
    expect(machineTraces(files)).toEqual([]);
  });

  it.each([
    ['a.md', `run it in ${somebodysPath}`],
    ['a.ts', `const a = '${somebodysPath}';`],
    ['a.json', `"url": "${mirrorUrl}"`],
    ['.npmrc', ['registry', 'example.test'].join('=')],
    ['.npmrc', ['//example.test/:_authToken', 'x'].join('=')],
  ])('is found in %s: %s', (file, text) => {
    expect(machineTraces([{ path: file, text }])).toHaveLength(1);
  });

  it.each([
    ['a.ts', `import { registry } from '../metrics/registry.ts';`],
    ['a.md', 'the file /etc/maitred/maitred.yaml'],
    ['.npmrc', 'save-exact=true'],
  ])('is let through in %s: %s', (file, text) => {
    expect(machineTraces([{ path: file, text }])).toEqual([]);
  });
});

describe('package files', () => {
  it('lock contents, not hosts', () => {
    expect(resolvedHosts(readJson('package-lock.json'))).toEqual([]);
    expect(missingIntegrity(readJson('package-lock.json'))).toEqual([]);
  });

  it('are found with a host or without a hash', () => {
    const packages = { '': {}, 'node_modules/a': { version: '1.0.0', resolved: mirrorUrl } };
    expect(resolvedHosts({ packages })).toHaveLength(1);
    expect(missingIntegrity({ packages })).toHaveLength(1);
  });

  it('name exact versions', () => {
    expect(looseVersions(readJson('package.json'))).toEqual([]);
    expect(looseVersions({ dependencies: { a: '^1.0.0' } })).toHaveLength(1);
    expect(looseVersions({ devDependencies: { a: 'latest' } })).toHaveLength(1);
  });
});

describe.runIf(fs.existsSync(path.join(ROOT, DOCS_SCRIPT)))('generated documents', () => {
  it('equal the tables they come from', async () => {
    await runScript('scripts/build.mjs');
    await runScript(DOCS_SCRIPT, '--check');
  }, 120_000);
});
