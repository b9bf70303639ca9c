import { BACKOFF_REASON, LoginBackoff } from '../auth/login-backoff.ts';
import { LoginLine } from '../auth/login-line.ts';
import { AddressList, originOf, UNIX_WORD } from '../base/address-list.ts';
import { Tally } from '../base/tally.ts';
import {
  classifyLoginFailure,
  isGuess,
  LOGIN_FAILURES,
  type LoginFailure,
} from '../client/login-failure.ts';
import type { GateVerdict, GuardedClient, LoginGuardPort } from '../client/login-guard-port.ts';
import type { Settings } from '../config/config.ts';
import { poolerError, type PoolerError } from '../protocol/pooler-errors.ts';

/** Bytes kept for all clients together that have not logged in. */
export const MAX_LOGIN_BYTES = 16 * 1024 * 1024;

/** Connections beyond `max_client_conn` that may be unauthenticated unless a setting says otherwise. */
const SPARE_LOGINS = 1_000;

/** What the guard remembers of a connection that has not logged in. */
interface LoginRecord {
  /** Where it comes from, for counting. */
  origin: string;
  isTrusted: boolean;
  heldBytes: number;
}

/** What the guard needs from around it. */
export interface LoginGuardHost {
  readonly settings: Settings;
  nowMs(): number;
}

/**
 * Bounds what clients may cost and try before they have logged in: how many there are, what is
 * kept for them, how many prove themselves at a time, and how often they may fail.
 */
export class LoginGuard implements LoginGuardPort {
  readonly #host: LoginGuardHost;
  readonly #backoff: LoginBackoff;
  readonly #line: LoginLine<GuardedClient>;
  /** Everybody who has not logged in, oldest first. */
  readonly #records = new Map<GuardedClient, LoginRecord>();
  readonly #byOrigin = new Tally<string>();
  readonly #failures = new Tally<LoginFailure>();
  #heldBytes = 0;
  #trusted = new AddressList([]);
  #proxies = new AddressList([]);
  #trustedSource: readonly string[] | null = null;
  #proxiesSource: readonly string[] | null = null;

  constructor(host: LoginGuardHost) {
    this.#host = host;
    const nowMs = (): number => host.nowMs();
    this.#backoff = new LoginBackoff(() => {
      const { loginFailureLimit, loginFailureWindowMs, loginFailureMaxBackoffMs } = host.settings;
      return {
        failureLimit: loginFailureLimit,
        windowMs: loginFailureWindowMs,
        maxBackoffMs: loginFailureMaxBackoffMs,
      };
    }, nowMs);
    this.#line = new LoginLine<GuardedClient>({
      limit: () => host.settings.maxLoginsInFlight,
      nowMs,
      onTurn: (client) => {
        client.proceedLogin();
      },
    });
  }

  /** Bytes kept for clients that have not logged in. */
  get heldBytes(): number {
    return this.#heldBytes;
  }

  /** Logins that wait for their turn or are slowed down, count. */
  get waitingCount(): number {
    return this.#line.waitingCount;
  }

  /** Refused logins since the start by reason, every reason included. */
  failureCounts(): readonly { readonly reason: LoginFailure; readonly count: number }[] {
    const reasons = Object.keys(LOGIN_FAILURES) as LoginFailure[];
    return reasons.map((reason) => ({ reason, count: this.#failures.of(reason) }));
  }

  // ---- coming ----

  onAccepted(client: GuardedClient): 'required' | 'forbidden' | 'unused' {
    const record: LoginRecord = { origin: '', isTrusted: false, heldBytes: 0 };
    this.#records.set(client, record);
    this.#locate(client, record);
    this.#makeRoom();
    const { proxyProtocol, proxyProtocolTrusted } = this.#host.settings;
    if (!proxyProtocol) {
      return 'unused';
    }
    if (this.#proxiesSource !== proxyProtocolTrusted) {
      this.#proxiesSource = proxyProtocolTrusted;
      this.#proxies = new AddressList(proxyProtocolTrusted);
    }
    const isProxy =
      client.unixPath === null ? this.#proxies.has(client.remote.address) : this.#proxies.hasUnix;
    return isProxy ? 'required' : 'forbidden';
  }

  onAddressKnown(client: GuardedClient): void {
    const record = this.#records.get(client);
    if (record !== undefined) {
      this.#byOrigin.remove(record.origin);
      this.#locate(client, record);
    }
  }

  /** Finds out where a client comes from. */
  #locate(client: GuardedClient, record: LoginRecord): void {
    const { address } = client.remote;
    const { loginFailureTrusted } = this.#host.settings;
    if (this.#trustedSource !== loginFailureTrusted) {
      this.#trustedSource = loginFailureTrusted;
      this.#trusted = new AddressList(loginFailureTrusted);
    }
    record.origin = originOf(address);
    record.isTrusted = address === UNIX_WORD || this.#trusted.has(address);
    this.#byOrigin.add(record.origin);
  }

  #makeRoom(): void {
    const { maxUnauthenticatedConn, maxClientConn } = this.#host.settings;
    const limit =
      maxUnauthenticatedConn > 0 ? maxUnauthenticatedConn : maxClientConn + SPARE_LOGINS;
    if (this.#records.size <= limit) {
      return;
    }
    const busiest = this.#byOrigin.most();
    for (const [client, { origin }] of this.#records) {
      if (origin === busiest) {
        client.refuseLogin(poolerError('tooManyLogins'));
        return;
      }
    }
  }

  gate(client: GuardedClient, user: string): GateVerdict {
    const record = this.#records.get(client);
    const isExempt = record === undefined || record.isTrusted;
    const verdict = isExempt ? ({ kind: 'go' } as const) : this.#backoff.judge(user, record.origin);
    if (verdict.kind === 'refuse') {
      // The words of a wrong password: whether this one was right is not told.
      const isScram = this.#host.settings.authType === 'scram-sha-256';
      const words = isScram ? 'SASL authentication failed' : 'password authentication failed';
      return { error: poolerError('authenticationFailed', words), reason: BACKOFF_REASON };
    }
    return this.#line.join(client, verdict.kind === 'slow' ? verdict.delayMs : 0) ? 'go' : 'hold';
  }

  onHeldBytes(client: GuardedClient, bytes: number): void {
    const record = this.#records.get(client);
    if (record === undefined || record.heldBytes === bytes) {
      return;
    }
    this.#heldBytes += bytes - record.heldBytes;
    record.heldBytes = bytes;
    if (this.#heldBytes <= MAX_LOGIN_BYTES) {
      return;
    }
    for (const [other, { heldBytes }] of this.#records) {
      if (heldBytes > 0) {
        other.refuseLogin(poolerError('tooMuchLoginData'));
        return;
      }
    }
  }

  // ---- ends ----

  onRefused(client: GuardedClient, error: PoolerError, reason: string): void {
    const record = this.#records.get(client);
    const isBackoff = reason === BACKOFF_REASON;
    const failure = isBackoff ? 'backoff' : classifyLoginFailure(error, reason);
    this.#failures.add(failure);
    const user = client.identity?.user.name;
    if (record !== undefined && !record.isTrusted && user !== undefined && isGuess(failure)) {
      this.#backoff.onFailure(user, record.origin);
    }
  }

  onProxyHeaderRefused(): void {
    this.#failures.add('proxy_header');
  }

  /** A client has proved itself. */
  onAuthenticated(client: GuardedClient): void {
    const record = this.#records.get(client);
    const user = client.identity?.user.name;
    if (record !== undefined && !record.isTrusted && user !== undefined) {
      this.#backoff.onSuccess(user, record.origin);
    }
    this.#forget(client);
  }

  /** A connection is over, logged in or not. */
  onClosed(client: GuardedClient): void {
    this.#forget(client);
  }

  #forget(client: GuardedClient): void {
    const record = this.#records.get(client);
    if (record !== undefined) {
      this.#records.delete(client);
      this.#heldBytes -= record.heldBytes;
      this.#byOrigin.remove(record.origin);
      this.#line.leave(client);
    }
  }

  // ---- time and operators ----

  /** Lets those go on whose time has come. */
  onTick(): void {
    this.#line.onTick();
  }

  /** Forgets failures: the operator has just put the configuration right. */
  onReload(): void {
    this.#backoff.forgetFailures();
  }
}
