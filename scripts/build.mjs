import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

/**
 * Compiles src/ into dist/. Does nothing when dist/ belongs to the sources as they are; removes
 * outputs whose source has gone; `--force` compiles in any case.
 */

const ROOT = path.join(path.dirname(fileURLToPath(import.meta.url)), '..');
const SOURCE = path.join(ROOT, 'src');
const OUTPUT = path.join(ROOT, 'dist');
// Inside of the output: what has been compiled is known only together with its result.
const CACHE_NAME = '.build';
const CACHE = path.join(OUTPUT, CACHE_NAME);
const STAMP_FILE = path.join(CACHE, 'build-stamp');
const BUILD_INFO_FILE = path.join(CACHE, 'build.tsbuildinfo');
const COMMAND_FILE = path.join(OUTPUT, 'cli.js');
const SHEBANG = '#!/usr/bin/env node\n';
const COMPILER_INPUTS = ['tsconfig.json', 'tsconfig.build.json', 'package-lock.json'];

function main() {
  const sources = filesBelow(SOURCE);
  const outputs = expectedOutputs(sources);
  const stamp = stampOf(sources);
  const isComplete = outputs.every((file) => fs.existsSync(path.join(OUTPUT, file)));
  const isForced = process.argv.includes('--force');
  if (isComplete && !isForced && readIfThere(STAMP_FILE) === stamp) {
    return 0;
  }
  fs.mkdirSync(CACHE, { recursive: true });
  fs.rmSync(STAMP_FILE, { force: true });
  if (!isComplete || isForced) {
    // The compiler writes only what changed since its last run: it must not skip a lost file.
    fs.rmSync(BUILD_INFO_FILE, { force: true });
  }
  const status = compile();
  if (status !== 0) {
    return status;
  }
  copyAssets(sources);
  removeStale(new Set(outputs));
  finishCommand();
  fs.writeFileSync(STAMP_FILE, stamp);
  return 0;
}

/** @returns {string[]} Paths relative to `directory`, sorted. */
function filesBelow(directory) {
  if (!fs.existsSync(directory)) {
    return [];
  }
  return fs
    .readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.relative(directory, path.join(entry.parentPath, entry.name)))
    .sort();
}

function expectedOutputs(sources) {
  return sources.flatMap((file) =>
    file.endsWith('.ts')
      ? [file.replace(/\.ts$/, '.js'), file.replace(/\.ts$/, '.js.map')]
      : [file],
  );
}

/** A hash of the contents: file times lie after a checkout. */
function stampOf(sources) {
  const hash = createHash('sha256');
  const files = [
    ...sources.map((file) => path.join(SOURCE, file)),
    ...COMPILER_INPUTS.map((file) => path.join(ROOT, file)),
    fileURLToPath(import.meta.url),
  ];
  for (const file of files) {
    hash
      .update(`${path.relative(ROOT, file)}\0`)
      .update(readIfThere(file))
      .update('\0');
  }
  return hash.digest('hex');
}

function readIfThere(file) {
  return fs.existsSync(file) ? fs.readFileSync(file, 'utf8') : '';
}

function compile() {
  const manifest = createRequire(import.meta.url).resolve('typescript/package.json');
  const compiler = path.join(path.dirname(manifest), 'bin', 'tsc');
  const options = ['--incremental', '--tsBuildInfoFile', BUILD_INFO_FILE, '--noEmitOnError'];
  const result = spawnSync(
    process.execPath,
    [compiler, '-p', path.join(ROOT, 'tsconfig.build.json'), ...options],
    { cwd: ROOT, stdio: 'inherit' },
  );
  return result.status ?? 1;
}

function copyAssets(sources) {
  for (const file of sources.filter((name) => !name.endsWith('.ts'))) {
    fs.mkdirSync(path.dirname(path.join(OUTPUT, file)), { recursive: true });
    fs.copyFileSync(path.join(SOURCE, file), path.join(OUTPUT, file));
  }
}

function removeStale(expected) {
  for (const file of filesBelow(OUTPUT).filter((name) => !expected.has(name) && !isCache(name))) {
    fs.rmSync(path.join(OUTPUT, file));
  }
  for (const directory of emptyDirectories(OUTPUT)) {
    fs.rmdirSync(directory);
  }
}

/** @param {string} name - Path below the output. */
function isCache(name) {
  return name.split(path.sep)[0] === CACHE_NAME;
}

/** @returns {string[]} Directories without entries; those that only hold such are left. */
function emptyDirectories(directory) {
  return fs
    .readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => path.join(entry.parentPath, entry.name))
    .filter((name) => fs.readdirSync(name).length === 0);
}

/** Makes the command executable, with the interpreter in its first line. */
function finishCommand() {
  if (!fs.existsSync(COMMAND_FILE)) {
    return;
  }
  const text = fs.readFileSync(COMMAND_FILE, 'utf8');
  if (!text.startsWith('#!')) {
    fs.writeFileSync(COMMAND_FILE, SHEBANG + text);
  }
  fs.chmodSync(COMMAND_FILE, 0o755);
}

process.exitCode = main();
