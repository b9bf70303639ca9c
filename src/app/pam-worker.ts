import { createInterface } from 'node:readline';
import { openPam, type AskPam } from '../auth/pam-library.ts';
import type { SystemVerdict } from '../auth/system-login.ts';
import { systemNative } from '../net/native.ts';
import { decodeRequest } from './pam-messages.ts';
import { asError } from './system-error.ts';

/**
 * The process that asks PAM: a request a line on standard input, a verdict a line on standard
 * output, one after the other. It ends with its standard input.
 */

function open(): AskPam {
  try {
    return openPam();
  } catch (error) {
    const reason = `PAM cannot be asked: ${asError(error).message}`;
    return () => ({ kind: 'refused', reason });
  }
}

// It would go on waiting in a module of PAM, where it does not see its standard input end.
systemNative().calls?.dieWithParent();

const ask = open();

function verdictOn(line: string): SystemVerdict {
  try {
    return ask(decodeRequest(line));
  } catch (error) {
    return { kind: 'refused', reason: `PAM could not be asked: ${asError(error).message}` };
  }
}

createInterface({ input: process.stdin })
  .on('line', (line) => {
    process.stdout.write(`${JSON.stringify(verdictOn(line))}\n`);
  })
  .on('close', () => {
    process.exit(0);
  });
