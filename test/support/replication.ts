import { spawn, spawnSync } from 'node:child_process';
import { expect } from 'vitest';
import * as frontend from './frontend-messages.ts';
import type { RawClient } from './raw-client.ts';
import { waitFor } from './wait-for.ts';

/** Creates a slot that lasts as long as the connection, and begins to stream from it. */
export async function startLogicalStream(client: RawClient, slot: string): Promise<void> {
  await client.query(`CREATE_REPLICATION_SLOT ${slot} TEMPORARY LOGICAL test_decoding`);
  client.send(frontend.query(`START_REPLICATION SLOT ${slot} LOGICAL 0/0 ("include-xids" '0')`));
  await client.readUntil('W');
}

/** The next change in a stream of test_decoding; keepalives are left out. */
export async function nextChange(client: RawClient): Promise<string> {
  for (;;) {
    const { type, body } = await client.readMessage();
    expect(type).toBe('d');
    if (body.toString('latin1', 0, 1) === 'w') {
      return body.toString('utf8', 25);
    }
  }
}

/** The changes of one transaction. */
export async function nextTransaction(client: RawClient): Promise<string[]> {
  const changes: string[] = [];
  for (;;) {
    const change = await nextChange(client);
    if (change.startsWith('COMMIT')) {
      return changes;
    }
    if (!change.startsWith('BEGIN')) {
      changes.push(change);
    }
  }
}

/** A standby status update that confirms everything up to `lsn` and asks for an answer. */
export function statusUpdate(lsn: bigint): Buffer {
  const body = Buffer.alloc(34);
  body.write('r', 0, 'latin1');
  for (const offset of [1, 9, 17]) {
    body.writeBigUInt64BE(lsn, offset);
  }
  body.writeUInt8(1, 33);
  return frontend.copyData(body);
}

/** Reads up to the answer to a status update. */
export async function readKeepalive(client: RawClient): Promise<void> {
  for (;;) {
    const { type, body } = await client.readMessage();
    expect(type).toBe('d');
    if (body.toString('latin1', 0, 1) === 'k') {
      return;
    }
  }
}

/** Whether programs can be found; they are not part of the packages that tests install. */
export function hasPrograms(...names: readonly string[]): boolean {
  return names.every((name) => spawnSync(name, ['--version']).status === 0);
}

export interface CommandEnd {
  readonly code: number | null;
  readonly output: string;
}

/** Runs a program of PostgreSQL; `interruptWhen` ends it by SIGINT. */
export async function run(
  command: string,
  args: readonly string[],
  interruptWhen: () => Promise<boolean> = () => Promise.resolve(false),
): Promise<CommandEnd> {
  const child = spawn(command, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, PGCONNECT_TIMEOUT: '10' },
  });
  let output = '';
  child.stdout.on('data', (text) => (output += String(text)));
  child.stderr.on('data', (text) => (output += String(text)));
  let end: number | null | undefined;
  child.once('close', (code) => {
    end = code;
  });
  let isInterrupted = false;
  await waitFor(`${command} to end`, async () => {
    if (!isInterrupted && end === undefined && (await interruptWhen())) {
      isInterrupted = true;
      child.kill('SIGINT');
    }
    return end !== undefined;
  }).catch((error: unknown) => {
    child.kill('SIGKILL');
    throw new Error(`${command}: ${output}`, { cause: error });
  });
  return { code: end ?? null, output };
}
