import { spawnSync } from 'node:child_process';
import os from 'node:os';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));

/**
 * Describes the machine that the numbers hold for.
 *
 * @returns {import('./summary.mjs').RunResults['machine']}
 */
export function describeMachine() {
  return {
    cpuModel: os.cpus()[0]?.model ?? 'unknown',
    cores: os.availableParallelism(),
    memoryGb: Math.round(os.totalmem() / 2 ** 30),
    // The rest of a release names a build, which says nothing to others.
    system: `${os.type()} ${/^\d+\.\d+/.exec(os.release())?.[0] ?? ''} ${os.arch()}`,
  };
}

/**
 * Names the commit that the working tree is at.
 *
 * @returns {import('./summary.mjs').RunResults['commit']} hash "unknown" outside of a repository
 */
export function describeCommit() {
  const head = git(['rev-parse', '--verify', 'HEAD']);
  return { hash: head ?? 'unknown', isModified: git(['status', '--porcelain']) !== '' };
}

/**
 * @param {readonly string[]} args
 * @returns {string | null}
 */
function git(args) {
  const result = spawnSync('git', args, { cwd: ROOT, encoding: 'utf8' });
  return result.status === 0 ? result.stdout.trim() : null;
}
