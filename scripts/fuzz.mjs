/**
 * Changes logins and queries at random, from the sides of clients and of servers, in front of and
 * behind a real maitred: `npm run fuzz -- [--seconds N] [--seed N] [--method M] [--case N]`.
 * Run after `npm run build`.
 */
import { spawn } from 'node:child_process';
import process from 'node:process';
import { parseArgs } from 'node:util';

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '60' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000_000) },
    method: { type: 'string', default: '' },
    case: { type: 'string', default: '' },
  },
});
console.log(`fuzz: --seed ${values.seed} --seconds ${values.seconds}`);
const child = spawn(
  process.execPath,
  ['node_modules/vitest/vitest.mjs', 'run', '--project', 'fuzz'],
  {
    stdio: 'inherit',
    env: {
      ...process.env,
      FUZZ_SECONDS: values.seconds,
      FUZZ_SEED: values.seed,
      FUZZ_METHOD: values.method,
      FUZZ_CASE: values.case,
    },
  },
);
child.once('exit', (code) => {
  process.exitCode = code ?? 1;
});
