import {
  AUTHENTICATION_OK,
  writeAuthenticationSaslFinal,
  writeBackendKeyData,
  writeNoticeResponse,
  writeParameterStatus,
  writeReadyForQuery,
} from '../protocol/backend-writer.ts';
import { TransactionStatus } from '../protocol/codes.ts';
import { SqlState } from '../protocol/sqlstate.ts';
import type { ParameterValues, TrackedParameters } from '../relay/parameter-cache.ts';
import type { IssuedKey } from './client-host.ts';

type Pair = readonly [name: string, value: string];

const READY_IDLE = writeReadyForQuery(TransactionStatus.Idle);

/** AuthenticationOk, behind the last SASL data if there are any. */
export function writeAuthenticated(saslFinal: string | null): Buffer {
  return saslFinal === null
    ? AUTHENTICATION_OK
    : Buffer.concat([writeAuthenticationSaslFinal(saslFinal), AUTHENTICATION_OK]);
}

/** ParameterStatus messages. */
export function writeParameters(parameters: readonly Pair[]): Buffer {
  return Buffer.concat(parameters.map(([name, value]) => writeParameterStatus(name, value)));
}

/**
 * The end of a login: what is given, the cancel key, a notice if there is one, ReadyForQuery.
 *
 * @param pieces - messages that go first, in order.
 */
export function writeWelcome(pieces: readonly Buffer[], key: IssuedKey, notice: string): Buffer {
  const messages = [...pieces, writeBackendKeyData(key.processId, key.secret)];
  if (notice !== '') {
    messages.push(
      writeNoticeResponse({
        severity: 'NOTICE',
        sqlstate: SqlState.SuccessfulCompletion,
        message: notice,
      }),
    );
  }
  messages.push(READY_IDLE);
  return Buffer.concat(messages);
}

/** What a client is told of its session. */
export interface SessionParameters {
  /** The tracked parameters, complete. */
  readonly values: ParameterValues;
  /** ParameterStatus messages, shared: never write into them. */
  readonly messages: Buffer;
}

interface Remembered extends SessionParameters {
  /** The client's own values, as one string. */
  readonly given: string;
}

/** The last answer for each set of server parameters: most clients of a pool are alike. */
const lastAnswers = new WeakMap<ReadonlyMap<string, string>, Remembered>();

/**
 * Puts together what a client is told of its session: the server's own values, and for tracked
 * parameters the client's where it gave one.
 *
 * @param reported - what the server reports.
 * @param given - values of tracked parameters that the client gave.
 */
export function sessionParameters(
  reported: ReadonlyMap<string, string>,
  tracked: TrackedParameters,
  given: ParameterValues,
): SessionParameters {
  const key = given.map((value) => (value === null ? '' : `=${value}`)).join('\0');
  const last = lastAnswers.get(reported);
  if (last?.given === key) {
    return last;
  }
  const values = [...given];
  const pairs: Pair[] = [];
  for (const [name, value] of reported) {
    const index = tracked.indexOf(name);
    if (index === -1) {
      pairs.push([name, value]);
    } else {
      values[index] ??= value;
    }
  }
  for (const [index, name] of tracked.names.entries()) {
    const value = values[index] ?? null;
    if (value !== null) {
      pairs.push([name, value]);
    }
  }
  const messages = writeParameters(pairs);
  const answer = { given: key, values: tracked.share(values), messages };
  lastAnswers.set(reported, answer);
  return answer;
}
