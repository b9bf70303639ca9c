import type { ServerReport } from '../protocol/backend-reader.ts';
import { writeQuery } from '../protocol/pg-protocol.ts';
import { poolerError } from '../protocol/pooler-errors.ts';
import type { ClientEnd } from './ends.ts';
import type { Link } from './link.ts';
import {
  forgetAccepted,
  forgetUnreported,
  parametersDiffer,
  planParameterChange,
  rememberAccepted,
  settleParameters,
  type ParameterValues,
} from './parameter-cache.ts';

/** What maitred itself runs on a server connection; one at a time. */
export type InternalQuery =
  | 'none'
  /** Tracked parameters, ahead of the first request in the same write. */
  | 'set'
  /** Tracked parameters with values that the server might refuse: requests wait. */
  | 'set_first'
  | 'reset'
  | 'check'
  | 'connect'
  | 'rollback';

/**
 * Classes of SQLSTATEs that come from the moment, not from the query: rollbacks, resources, locks,
 * timeouts and cancels, the system.
 */
const PASSING_ERRORS: ReadonlySet<string> = new Set(['40', '53', '55', '57', '58', 'XX']);

/** The queries of maitred's own on one server connection. Their replies reach no client. */
export class InternalQueries {
  readonly #link: Link;
  running: InternalQuery = 'none';
  /** One that has ended within the chunk being handled. */
  ended: InternalQuery = 'none';
  /** Since when the request has been held for which `set_first` runs, in clock ms. */
  heldSinceMs = 0;
  #error: ServerReport | null = null;
  /** The parameters being set, as the pool remembers what its servers accept. */
  #keys: readonly string[] = [];
  /** The values being set, those of a client that may vanish meanwhile. */
  #values: ParameterValues = [];

  constructor(link: Link) {
    this.#link = link;
  }

  /** Runs `sql` on a server connection that nobody uses. */
  run(kind: InternalQuery, sql: string): void {
    this.#expect(kind);
    this.#link.server.write(writeQuery(sql));
  }

  #expect(kind: InternalQuery): void {
    this.running = kind;
    this.#error = null;
    this.#link.ledger.pushSkippedQuery();
  }

  /**
   * Sets the tracked parameters of `client` that differ: in the same write as the first request if
   * servers of the pool are known to accept the values, and ahead of it otherwise, so that no
   * request runs under a value that was refused.
   *
   * @returns whether requests may be sent now; otherwise `ClientEnd.onLinkReady` tells when.
   */
  setParameters(client: ClientEnd): boolean {
    const { server, host, requests } = this.#link;
    const { parameters, pool } = server;
    if (client.parameters === parameters) {
      return true;
    }
    if (!parametersDiffer(client.parameters, parameters)) {
      client.parameters = parameters;
      return true;
    }
    const plan = planParameterChange(
      host.tracked,
      client.parameters,
      parameters,
      pool.acceptedValues,
      // They come under the client_encoding of the client before.
      pool.welcome?.get('server_encoding') === 'UTF8',
    );
    this.#keys = plan.keys;
    this.#values = client.parameters;
    if (plan.isAccepted) {
      this.#expect('set');
      requests.prefix = writeQuery(plan.sql);
      return true;
    }
    this.heldSinceMs = client.queuedSinceMs === 0 ? host.nowMs() : client.queuedSinceMs;
    this.run('set_first', plan.sql);
    return false;
  }

  /** The server has sent an error instead of what was asked for. */
  onError(report: ServerReport): void {
    if (this.running !== 'none') {
      this.#error ??= report;
    }
  }

  /** A ReadyForQuery has come that is not the client's: of the one that runs, if one does. */
  onReady(): void {
    if (this.running !== 'none') {
      this.ended = this.running;
      this.running = 'none';
    }
  }

  /** Acts on the one that has ended, once its chunk has been handled. */
  settle(): void {
    const { ended } = this;
    const error = this.#error;
    this.ended = 'none';
    this.#error = null;
    const { server } = this.#link;
    switch (ended) {
      case 'set':
      case 'set_first':
        this.#onParametersSet(ended, error);
        return;
      case 'reset':
        this.#onReset(error);
        return;
      case 'check':
        server.pool.onServerTested(server);
        return;
      case 'connect':
        server.onConnectQueryDone(error);
        return;
      case 'rollback':
      case 'none':
    }
  }

  /**
   * What the last client has left behind is still there after a reset query that was cut short, for
   * which its statement_timeout is enough. An error in the text of the query does not matter, as in
   * PgBouncer: it would come each time.
   */
  #onReset(error: ServerReport | null): void {
    const { server } = this.#link;
    const values = forgetUnreported(server.parameters, server.isReported);
    server.parameters = this.#link.host.tracked.share(values);
    const isCutShort = error !== null && PASSING_ERRORS.has(error.sqlstate.slice(0, 2));
    if (isCutShort && server.cancelsInFlight === 0) {
      server.disconnect(`reset query failed: ${error.message}`);
    } else {
      // With a cancel request under way it will run again.
      server.pool.onServerTested(server);
    }
  }

  #onParametersSet(kind: InternalQuery, error: ServerReport | null): void {
    const { client, server } = this.#link;
    const { acceptedValues } = server.pool;
    if (error !== null) {
      if (client === null) {
        return;
      }
      // What was accepted once need not be for ever: a role is dropped, a setting is not loaded.
      forgetAccepted(acceptedValues, this.#keys);
      server.onParametersRefused(error);
      client.disconnect({
        ...poolerError('invalidServerParameter'),
        sqlstate: error.sqlstate,
        detail: error.message,
      });
      return;
    }
    rememberAccepted(acceptedValues, this.#keys);
    const values = settleParameters(this.#values, server.parameters, server.isReported);
    server.parameters = this.#link.host.tracked.share(values);
    if (client !== null) {
      client.parameters = server.parameters;
    }
    if (kind === 'set_first') {
      client?.onLinkReady();
    }
  }
}
