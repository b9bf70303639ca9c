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

/** The messages between a proven identity and the first request. */
export const welcomeMessages = {
  /** AuthenticationOk, behind the last SASL data if there are any. */
  authenticated(saslFinal: string | null): Buffer {
    return saslFinal === null
      ? AUTHENTICATION_OK
      : Buffer.concat([writeAuthenticationSaslFinal(saslFinal), AUTHENTICATION_OK]);
  },

  /**
   * What the client is told of its session: the server's own values, and for tracked parameters
   * the client's where it gave one. Fills the gaps in `values` from the server's.
   */
  parameters(
    reported: ReadonlyMap<string, string>,
    tracked: TrackedParameters,
    values: ParameterValues,
  ): readonly Pair[] {
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
    return pairs;
  },

  /** ParameterStatus messages, the cancel key, a notice if there is one, ReadyForQuery. */
  ready(parameters: readonly Pair[], key: IssuedKey, notice: string): Buffer {
    const messages = parameters.map(([name, value]) => writeParameterStatus(name, value));
    messages.push(writeBackendKeyData(key.processId, key.secret));
    if (notice !== '') {
      messages.push(
        writeNoticeResponse({
          severity: 'NOTICE',
          sqlstate: SqlState.SuccessfulCompletion,
          message: notice,
        }),
      );
    }
    messages.push(writeReadyForQuery(TransactionStatus.Idle));
    return Buffer.concat(messages);
  },
};
