import { expect } from 'vitest';
import { BackendError } from './backend-messages.ts';
import type { PoolerFixture } from './pooler-fixture.ts';
import type { RawClient } from './raw-client.ts';
import { withDeadline } from './wait-for.ts';

/** The BackendError that `attempt` fails with. @throws Error when it succeeds. */
export async function refusedWith(attempt: Promise<unknown>): Promise<BackendError> {
  try {
    await attempt;
  } catch (error) {
    if (error instanceof BackendError) {
      return error;
    }
    throw error;
  }
  throw new Error('it succeeded and should have been refused');
}

/** Severity, SQLSTATE and text of the error that `attempt` fails with. */
export async function refusalOf(attempt: Promise<unknown>): Promise<string> {
  return (await refusedWith(attempt)).message;
}

/** Reads the error that a connection ends with, as `SEVERITY SQLSTATE: text`. */
export async function lastWords(client: RawClient): Promise<string> {
  const error = await client.readError();
  const behind = await client.readToEnd();
  return behind.length === 0 ? error.message : `${error.message}, and more behind it`;
}

/** What a pooler that must refuse to run has written as text. */
export async function refusedStart(pooler: PoolerFixture): Promise<string> {
  try {
    const end = await withDeadline('the end of the process', pooler.exited);
    expect(end).toEqual({ code: 1, signal: null });
    return pooler.logs.map((line) => line.raw ?? '').join('\n');
  } finally {
    await pooler.kill();
  }
}
