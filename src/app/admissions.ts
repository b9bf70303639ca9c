import type { FoundUser } from '../auth/auth-query.ts';
import type { AuthSuccess } from '../auth/auth-step.ts';
import type { LoginPlan, PendingPlan, PlanFailure } from '../auth/login-plan.ts';
import type { ConsoleRole } from '../admin/commands.ts';
import { ConsoleSession } from '../admin/console-session.ts';
import { consoleWelcome, isConsoleDatabase } from '../admin/console-welcome.ts';
import type { Control } from '../admin/control.ts';
import { assert } from '../base/assert.ts';
import type { LinkedList } from '../base/linked-list.ts';
import { ClientConnection } from '../client/client-connection.ts';
import {
  newCancelProgress,
  type Admission,
  type ClientHost,
  type ConsoleDialogue,
  type IssuedKey,
  type Refusal,
} from '../client/client-host.ts';
import type { StartupParameters } from '../client/startup-parameters.ts';
import type { Settings } from '../config/config.ts';
import type { Logger } from '../log/logger.ts';
import type { PasswordDeriver } from '../auth/password-derivation.ts';
import type { ClientTls } from '../net/tls-upgrade.ts';
import type { Database, User } from '../pool/database.ts';
import { resolveClientSettings } from '../pool/effective-settings.ts';
import { poolerError, type PoolerError } from '../protocol/pooler-errors.ts';
import type { ClientEnd, RelayPool } from '../relay/ends.ts';
import type { LinkHost } from '../relay/link-host.ts';
import type { LoginGuard } from './login-guard.ts';
import type { Pooler } from './pooler.ts';
import { WaitingLogins } from './waiting-logins.ts';

/** User that everybody is on the console when `auth_type` is `any`. */
export const CONSOLE_USER = 'pgbouncer';

/** Whether a text seems to hold a password, by its name or as a part of a URL. */
function mayHoldSecret(text: string): boolean {
  return /passw|pwd|secret|:\/\/[^\s@'/]*@/i.test(text);
}

/** Hides a command that is repeated in an error text and seems to hold a password. */
function withoutSecret(message: string): string {
  return mayHoldSecret(message) && message.startsWith("invalid command '")
    ? "invalid command '***', use SHOW HELP;"
    : message;
}

/** Decides who may come in, and counts who is in. */
export class Admissions implements ClientHost {
  readonly #pooler: Pooler;
  /** Users whom `auth_query` has found, by the client that logs in. */
  readonly #found = new WeakMap<ClientConnection, FoundUser>();
  #control: Control | null = null;
  /** Clients that count towards `max_client_conn`: not the console's, not cancel requests. */
  clientCount = 0;
  readonly waitingLogins = new WaitingLogins();
  /** Consoles that are open. */
  readonly consoles = new Set<ClientConnection>();
  /** Logins to the console since the start, count. */
  consoleLoginCount = 0;

  constructor(pooler: Pooler) {
    this.#pooler = pooler;
  }

  /** Sets what consoles steer; before the first client is accepted. */
  setControl(control: Control): void {
    this.#control = control;
  }

  get logger(): Logger {
    return this.#pooler.logger;
  }

  get settings(): Settings {
    return this.#pooler.settings;
  }

  get link(): LinkHost {
    return this.#pooler.link;
  }

  get logins(): LinkedList<ClientEnd> {
    return this.#pooler.logins;
  }

  get guard(): LoginGuard {
    return this.#pooler.guard;
  }

  get deriver(): PasswordDeriver {
    return this.#pooler.deriver;
  }

  get clientTls(): ClientTls | null {
    return this.#pooler.tls.current.client;
  }

  nowMs(): number {
    return this.#pooler.nowMs();
  }

  wallMs(): number {
    return this.#pooler.wallMs();
  }

  randomBytes(bytes: number): Buffer {
    return this.#pooler.randomBytes(bytes);
  }

  isConsole(database: string): boolean {
    return isConsoleDatabase(database);
  }

  // ---- coming in ----

  admit(client: ClientConnection, startup: StartupParameters): Admission | Refusal {
    return isConsoleDatabase(startup.database)
      ? this.#admitToConsole(client, startup)
      : this.#admitToDatabase(client, startup);
  }

  #admitToConsole(client: ClientConnection, startup: StartupParameters): Admission | Refusal {
    const { authType, adminUsers, statsUsers } = this.settings;
    if (startup.user === CONSOLE_USER && isOwner(client)) {
      return this.#admitOwner(client, startup);
    }
    let role: ConsoleRole | null = null;
    if (adminUsers.includes(startup.user)) {
      role = 'admin';
    } else if (statsUsers.includes(startup.user) || authType === 'any') {
      role = 'stats';
    }
    if (role === null) {
      return { error: poolerError('notAllowed') };
    }
    const plan = this.#plan(client, startup, 'console');
    if ('error' in plan) {
      return plan;
    }
    return {
      plan,
      user: this.#pooler.registry.user(startup.user),
      database: null,
      consoleRole: role,
    };
  }

  /** The system user that maitred runs as may always look after it. */
  #admitOwner(client: ClientConnection, { user, database }: StartupParameters): Admission {
    if (this.settings.logConnections) {
      this.logger.info('console_owner_admitted', { ...client.logFields(), database, user });
    }
    return {
      plan: { method: 'trust', isKnown: true },
      user: this.#pooler.registry.user(user),
      database: null,
      consoleRole: 'admin',
    };
  }

  #admitToDatabase(client: ClientConnection, startup: StartupParameters): Admission | Refusal {
    const { authType, maxClientConn } = this.settings;
    if (this.clientCount >= maxClientConn) {
      return { error: poolerError('tooManyClients') };
    }
    const { registry } = this.#pooler;
    const isNew = !registry.databases.has(startup.database);
    const database = registry.findDatabase(startup.database);
    if (isNew && database !== null) {
      const { name } = database;
      this.logger.info('database_registered', { ...client.logFields(), database: name });
    }
    const user = registry.user(startup.user);
    const error = this.#findLimit(database, user);
    const isAnyUnusable = authType === 'any' && database !== null && database.config.user === null;
    const plan =
      error !== null || isAnyUnusable
        ? { error: error ?? poolerError('badConfiguration') }
        : this.#plan(client, startup, database);
    if ('error' in plan) {
      registry.forgetUser(user);
      if (database !== null) {
        registry.forgetUnusedDatabase(database);
      }
      return plan;
    }
    this.#count(client, database, user);
    return {
      plan,
      user,
      database,
      consoleRole: null,
    };
  }

  #plan(
    client: ClientConnection,
    startup: StartupParameters,
    target: Database | 'console' | null,
  ): LoginPlan | PendingPlan | PlanFailure {
    const { loginMethods, planner } = this.#pooler;
    const plan = loginMethods.planOf(client, startup, {
      target,
      onFound: (found) => {
        this.#found.set(client, found);
      },
    });
    if ('error' in plan || plan.method !== 'pending') {
      return plan;
    }
    const source = planner.sourceOf(target);
    return source === null
      ? plan
      : this.waitingLogins.watch(client, plan, { source, user: startup.user });
  }

  #findLimit(database: Database | null, user: User): PoolerError | null {
    if (database === null) {
      return null;
    }
    const limits = resolveClientSettings(this.settings, database, user);
    const { maxDbClientConnections, maxUserClientConnections } = limits;
    if (maxDbClientConnections > 0 && database.clientCount >= maxDbClientConnections) {
      return poolerError('tooManyDbClients');
    }
    if (maxUserClientConnections > 0 && user.clientCount >= maxUserClientConnections) {
      return poolerError('tooManyUserClients');
    }
    return null;
  }

  #count(client: ClientConnection, database: Database | null, user: User): void {
    client.isCounted = true;
    this.clientCount++;
    user.clientCount++;
    if (database !== null) {
      database.clientCount++;
      database.lastUsedMs = this.nowMs();
    }
  }

  onAuthenticated(client: ClientConnection, success: AuthSuccess): void {
    this.guard.onAuthenticated(client);
    const { identity } = client;
    if (identity === null) {
      return;
    }
    const { scramKeys } = success;
    const found = this.#found.get(client);
    if (found !== undefined && identity.database !== null) {
      this.#pooler.serverCredentials.keepProved(identity.database, found, scramKeys);
    } else if (scramKeys !== null) {
      this.#pooler.serverCredentials.learnKeys(identity.user.name, scramKeys);
    }
  }

  enter(client: ClientConnection): RelayPool | { readonly error: PoolerError } {
    const { identity } = client;
    assert(identity !== null, 'a client that enters has an identity');
    const { database, user, databaseName } = identity;
    if (database === null) {
      return { error: poolerError('noSuchDatabase', databaseName) };
    }
    if (database.isDisabled) {
      return { error: poolerError('databaseDisabled', databaseName) };
    }
    if (this.#pooler.modes.isRefusing(client)) {
      return { error: poolerError('shuttingDown') };
    }
    // A reload may have dropped the database while the client proved itself.
    if (this.#pooler.registry.findDatabase(databaseName) !== database) {
      return { error: poolerError('databaseRemoved') };
    }
    const { registry } = this.#pooler;
    const found = this.#found.get(client);
    return registry.pool(database, found === undefined ? user : registry.user(found.name));
  }

  // ---- the console ----

  openConsole(client: ClientConnection, role: ConsoleRole): ConsoleDialogue {
    assert(this.#control !== null, 'the control is set before clients are accepted');
    this.consoles.add(client);
    this.consoleLoginCount++;
    const { address, port } = client.remote;
    const user = client.identity?.user.name ?? '';
    return new ConsoleSession({
      control: this.#control,
      role,
      actor: { user, address: address === 'unix' ? address : `${address}:${String(port)}` },
      send: (messages) => {
        client.writeConsole(messages);
      },
      nowMs: () => this.nowMs(),
      defer: (action) => {
        setImmediate(() => {
          try {
            action();
            client.onConsoleProgress();
          } catch (error) {
            client.onStreamFault(error);
          }
        });
      },
      audit: (text, actor) => {
        this.logger.info('console_command_issued', { client: client.id, ...actor }, text);
      },
      logQuery: (sql, actor) => {
        if (this.logger.isDebug) {
          const text = mayHoldSecret(sql) ? '***' : sql;
          this.logger.debug('console_query_received', { client: client.id, ...actor, text });
        }
      },
      logError: ({ sqlstate, message }, actor) => {
        const error = withoutSecret(message);
        this.logger.error('console_command_failed', {
          client: client.id,
          ...actor,
          sqlstate,
          error,
        });
        if (this.settings.logPoolerErrors) {
          this.logger.warn('pooler_error_sent', { ...client.logFields(), sqlstate, error });
        }
      },
    });
  }

  consoleParameters(client: ClientConnection): readonly (readonly [string, string])[] {
    const given: [string, string][] = [];
    for (const [index, name] of this.link.tracked.names.entries()) {
      const value = client.parameters[index] ?? null;
      if (value !== null) {
        given.push([name, value]);
      }
    }
    return consoleWelcome(given);
  }

  // ---- cancel ----

  issueKey(client: ClientConnection): IssuedKey {
    return this.#pooler.keys.issue(client);
  }

  cancel(requester: ClientConnection, processId: number, secret: Buffer): void {
    requester.cancelProgress = newCancelProgress();
    this.#pooler.broker.onRequest(requester, processId, secret);
  }

  /** The client connection behind an end of a link. */
  clientOf(end: ClientEnd | null): ClientConnection | null {
    return end instanceof ClientConnection ? end : null;
  }

  // ---- leaving ----

  onClosed(client: ClientConnection): void {
    const pooler = this.#pooler;
    pooler.guard.onClosed(client);
    pooler.keys.revoke(client);
    pooler.clients.delete(client.id);
    pooler.lingering.add(client);
    this.consoles.delete(client);
    const { identity } = client;
    if (identity !== null && client.isCounted) {
      client.isCounted = false;
      this.clientCount--;
      identity.user.clientCount--;
      if (identity.database !== null) {
        identity.database.clientCount--;
        identity.database.lastUsedMs = this.nowMs();
        pooler.registry.forgetUnusedDatabase(identity.database);
      }
    }
    if (identity !== null) {
      pooler.registry.forgetUser(identity.user);
    }
    pooler.modes.checkWaiting();
  }

  onGone(client: ClientConnection): void {
    this.#pooler.lingering.delete(client);
  }
}

/** Whether a client came over a unix socket, from the system user that this process runs as. */
function isOwner({ peer }: ClientConnection): boolean {
  return peer !== null && peer.uid === process.getuid?.();
}
