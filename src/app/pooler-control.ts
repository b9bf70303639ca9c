import type {
  CommandCall,
  CommandDone,
  CommandError,
  CommandOutcome,
  Control,
  ShutdownMode,
} from '../admin/control.ts';
import {
  alreadyPaused,
  clientNotFound,
  databaseNotPaused,
  noSuchDatabase,
  notPaused,
  pausedDatabases,
  reloadFailed,
  serverNotFound,
  setFailed,
  shuttingDown,
} from '../admin/console-errors.ts';
import type {
  ClientSnapshot,
  DatabaseSnapshot,
  DescriptorSnapshot,
  DnsHostSnapshot,
  DnsZoneSnapshot,
  ListsSnapshot,
  MemorySnapshot,
  PeerPoolSnapshot,
  PeerSnapshot,
  PoolSnapshot,
  ReloadChangeSnapshot,
  ServerSnapshot,
  SettingRow,
  SocketSnapshot,
  StateSnapshot,
  StatsSnapshot,
  UserSnapshot,
} from '../admin/snapshots.ts';
import { applySetting } from '../config/apply-setting.ts';
import { listSettings } from '../config/list-settings.ts';
import type { LoginNumbers } from '../metrics/metrics-source.ts';
import type { Database } from '../pool/database.ts';
import { poolerError } from '../protocol/pooler-errors.ts';
import { SqlState } from '../protocol/sqlstate.ts';
import { Descriptors, type ListeningDescriptor } from './descriptors.ts';
import type { Pooler } from './pooler.ts';
import { Snapshots } from './snapshots.ts';
import type { Statistics } from './statistics.ts';
import type { PreparedTls } from './tls-keeper.ts';
import { TlsSetupError, type CertificateExpiry } from './tls-setup.ts';

/** What commands need from the process. */
export interface ProcessControl {
  /** The whole text of SHOW VERSION. */
  readonly version: string;
  /** Reads the configuration again. @returns what is wrong with it, or null. */
  reload(): string | null;
  /** Tells what {@link reload} would change, or what is wrong. */
  planReload(): readonly ReloadChangeSnapshot[] | string;
  shutdown(mode: ShutdownMode): void;
  /** The listening sockets. */
  listening(): readonly ListeningDescriptor[];
  /** Settings of the logger have changed. */
  onSettingsChanged(): void;
}

/** Settings whose change needs new contexts. */
const TLS_SETTING = '_tls';

const DONE: CommandDone = { kind: 'done' };

function reloadProblem(problem: string): CommandError {
  const error = reloadFailed();
  return { ...error, message: `${error.message}: ${problem}` };
}

/** What the console sees of the pooler and can do to it. */
export class PoolerControl implements Control {
  readonly #pooler: Pooler;
  readonly #snapshots: Snapshots;
  readonly #descriptors: Descriptors;
  readonly #statistics: Statistics;
  readonly #process: ProcessControl;

  constructor(pooler: Pooler, statistics: Statistics, process: ProcessControl) {
    this.#pooler = pooler;
    this.#snapshots = new Snapshots(pooler);
    this.#descriptors = new Descriptors(pooler);
    this.#statistics = statistics;
    this.#process = process;
  }

  pools(): readonly PoolSnapshot[] {
    return this.#snapshots.pools();
  }

  clients(): readonly ClientSnapshot[] {
    return this.#snapshots.clients();
  }

  servers(): readonly ServerSnapshot[] {
    return this.#snapshots.servers();
  }

  sockets(): readonly SocketSnapshot[] {
    return this.#snapshots.sockets();
  }

  memory(): MemorySnapshot {
    return this.#snapshots.memory();
  }

  databases(): readonly DatabaseSnapshot[] {
    return this.#snapshots.databases();
  }

  users(): readonly UserSnapshot[] {
    return this.#snapshots.users();
  }

  stats(): readonly StatsSnapshot[] {
    return this.#statistics.snapshots();
  }

  peers(): readonly PeerSnapshot[] {
    return this.#snapshots.peers();
  }

  peerPools(): readonly PeerPoolSnapshot[] {
    return this.#snapshots.peerPools();
  }

  dnsHosts(): readonly DnsHostSnapshot[] {
    return this.#snapshots.dnsHosts();
  }

  descriptors(): readonly DescriptorSnapshot[] {
    return this.#descriptors.rows(this.#process.listening());
  }

  dnsZones(): readonly DnsZoneSnapshot[] {
    return this.#pooler.zones.entries;
  }

  lists(): ListsSnapshot {
    return this.#snapshots.lists();
  }

  /** When the certificates that we show expire, for metrics. */
  certificates(): readonly CertificateExpiry[] {
    return this.#pooler.tls.expiries;
  }

  state(): StateSnapshot {
    const { isPaused, isHeld, suspension } = this.#pooler.modes;
    return { isActive: !isHeld, isPaused, isSuspended: suspension.isOn };
  }

  settings(): readonly SettingRow[] {
    return listSettings(this.#pooler.config);
  }

  /** What metrics tell of logins. */
  logins(): LoginNumbers {
    const { guard } = this.#pooler;
    return {
      failures: guard.failureCounts(),
      waitingCount: guard.waitingCount,
      heldBytes: guard.heldBytes,
    };
  }

  version(): string {
    return this.#process.version;
  }

  /** Runs `action` on a database by name, which may have to be made from `*`, or on all for null. */
  #on(name: string | null, action: (database: Database | null) => CommandOutcome): CommandOutcome {
    if (name === null) {
      return action(null);
    }
    const database = this.#pooler.registry.findDatabase(name);
    return database === null ? noSuchDatabase(name) : action(database);
  }

  /** Runs `action` on a database that is there: what undoes a command makes none. */
  #onKnown(name: string, action: (database: Database) => CommandOutcome): CommandOutcome {
    const database = this.#pooler.registry.databases.get(name);
    return database === undefined ? noSuchDatabase(name) : action(database);
  }

  pause(name: string | null, call: CommandCall): CommandOutcome {
    const { modes } = this.#pooler;
    if (modes.isHeld) {
      return alreadyPaused();
    }
    return this.#on(name, (database) => {
      modes.pause(database);
      return this.#waitUntil(
        () => modes.isQuiet(database),
        () => !(database?.isPaused ?? modes.isPaused),
        call,
      );
    });
  }

  /** Answers at once if `isDone`, else when it is or when `isVoid` says that it never will be. */
  #waitUntil(isDone: () => boolean, isVoid: () => boolean, call: CommandCall): CommandOutcome {
    if (isDone()) {
      return DONE;
    }
    const abandon = this.#pooler.modes.wait(
      () => isDone() || isVoid(),
      () => {
        call.settle(
          isVoid()
            ? {
                kind: 'error',
                sqlstate: SqlState.ObjectNotInPrerequisiteState,
                message: 'the pause was ended before it took effect',
              }
            : DONE,
        );
      },
    );
    return { kind: 'waiting', abandon };
  }

  resume(name: string | null): CommandOutcome {
    const { modes } = this.#pooler;
    if (modes.shutdown !== null) {
      return shuttingDown();
    }
    const resume = (database: Database | null): CommandOutcome => {
      modes.resume(database);
      modes.checkWaiting();
      return DONE;
    };
    if (name === null) {
      return modes.isHeld ? resume(null) : notPaused();
    }
    return this.#onKnown(name, (database) =>
      database.isPaused ? resume(database) : databaseNotPaused(database.name),
    );
  }

  suspend(call: CommandCall): CommandOutcome {
    const { modes, registry } = this.#pooler;
    if (modes.isHeld) {
      return alreadyPaused();
    }
    if (modes.shutdown !== null) {
      return shuttingDown();
    }
    if ([...registry.databases.values()].some(({ isPaused }) => isPaused)) {
      return pausedDatabases();
    }
    const { suspension } = modes;
    suspension.begin();
    return this.#waitUntil(
      () => suspension.isComplete,
      () => !suspension.isOn,
      call,
    );
  }

  disable(name: string): CommandOutcome {
    return this.#on(name, (database) => {
      if (database !== null) {
        database.isDisabled = true;
      }
      return DONE;
    });
  }

  enable(name: string): CommandOutcome {
    return this.#onKnown(name, (database) => {
      database.isDisabled = false;
      return DONE;
    });
  }

  reconnect(name: string | null): CommandOutcome {
    return this.#on(name, (database) => {
      this.#pooler.modes.reconnect(database);
      return DONE;
    });
  }

  waitClose(name: string | null, call: CommandCall): CommandOutcome {
    const { modes } = this.#pooler;
    return this.#on(name, (database) =>
      this.#waitUntil(
        () => modes.isRenewed(database),
        () => false,
        call,
      ),
    );
  }

  kill(name: string | null): CommandOutcome {
    const { modes } = this.#pooler;
    if (modes.isHeld) {
      return alreadyPaused();
    }
    return this.#on(name, (database) => {
      modes.kill(database);
      return DONE;
    });
  }

  killClient(id: number): CommandOutcome {
    const client = this.#pooler.clients.get(id);
    if (client === undefined || (client.state === 'login' && client.cancelProgress === null)) {
      return clientNotFound();
    }
    this.#pooler.broker.withdraw(client);
    client.disconnect(poolerError('adminDisconnect'));
    return DONE;
  }

  killServer(id: number): CommandOutcome {
    const pooler = this.#pooler;
    const server = pooler.registry.pools
      .flatMap((pool) => pooler.serversOf(pool))
      .find((candidate) => candidate.id === id);
    if (server === undefined) {
      return serverNotFound();
    }
    // Its client leaves first, to learn the true reason; nobody else gets the server meanwhile.
    server.isCloseNeeded = true;
    pooler.admissions.clientOf(server.link.client)?.disconnect(poolerError('adminDisconnect'));
    server.disconnect('admin forced disconnect');
    return DONE;
  }

  reload(): CommandOutcome {
    const problem = this.#process.reload();
    return problem === null ? DONE : reloadProblem(problem);
  }

  planReload(): readonly ReloadChangeSnapshot[] | CommandError {
    const plan = this.#process.planReload();
    return typeof plan === 'string' ? reloadProblem(plan) : plan;
  }

  shutdown(mode: ShutdownMode): CommandOutcome {
    this.#process.shutdown(mode);
    return DONE;
  }

  set(key: string, value: string): CommandOutcome {
    const { config, environment } = this.#pooler;
    const outcome = applySetting(config, key, value, () => environment.native.problem);
    if ('problem' in outcome) {
      const error = setFailed();
      return { ...error, message: `${error.message}: ${outcome.problem}` };
    }
    let tls: PreparedTls | null = null;
    try {
      if (key.includes(TLS_SETTING)) {
        tls = this.#pooler.tls.prepare(outcome.config.settings);
      }
    } catch (cause) {
      if (!(cause instanceof TlsSetupError)) {
        throw cause;
      }
      const error = setFailed();
      return { ...error, message: `${error.message}: ${cause.message}` };
    }
    this.#pooler.applySettings(outcome.config);
    tls?.use();
    this.#process.onSettingsChanged();
    return DONE;
  }
}
