import type { ConsoleSqlState } from './console-sqlstate.ts';
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
} from './snapshots.ts';

/** Who gave a command, for the audit log. */
export interface Actor {
  readonly user: string;
  /** Address of the client with its port, or `unix`. */
  readonly address: string;
}

/** A command that has been carried out. */
export interface CommandDone {
  readonly kind: 'done';
  /** Command tag, if not the one that the console sends for this command. */
  readonly tag?: string;
  /** Texts of notices to send before the tag. */
  readonly notices?: readonly string[];
}

/** A command that was refused or failed; the session stays open. */
export interface CommandError {
  readonly kind: 'error';
  readonly sqlstate: ConsoleSqlState;
  readonly message: string;
}

/** A command that is under way and is answered through {@link CommandCall.settle}. */
export interface CommandWaiting {
  readonly kind: 'waiting';
  /**
   * Forgets the caller: `settle` has no effect from now on. Undoes nothing: a pause that nobody
   * waits for any more is still a pause. Never throws.
   */
  readonly abandon: () => void;
}

/** How a command ended. */
export type SettledOutcome = CommandDone | CommandError;
/** What a command returns at once. */
export type CommandOutcome = SettledOutcome | CommandWaiting;

/** What each command is told beside its arguments. */
export interface CommandCall {
  readonly actor: Actor;
  /**
   * Answers a command that returned `waiting`: once, and after it has returned. More calls, or a
   * call after the client has gone, have no effect.
   */
  readonly settle: (outcome: SettledOutcome) => void;
}

/** How SHUTDOWN goes about it. */
export type ShutdownMode = 'immediate' | 'wait_for_servers' | 'wait_for_clients';

/**
 * What the console and the metrics see of the pooler, and all that they can do to it.
 *
 * Snapshots are taken at the time of the call and never change afterwards. Commands never throw:
 * what goes wrong is an outcome (see console-errors.ts for the errors with a text of their own).
 * A `database` is a name as the operator wrote it; it need not exist, and is never the console's
 * own database: the console refuses that itself.
 */
export interface Control {
  /** All pools, the console's own included, in any order. */
  pools(): readonly PoolSnapshot[];
  /** All clients but those in login; pool by pool, in the order in which they shall be shown. */
  clients(): readonly ClientSnapshot[];
  /** All servers; pool by pool, in the order in which they shall be shown. */
  servers(): readonly ServerSnapshot[];
  /** All client and server sockets, logins included; in the order in which they shall be shown. */
  sockets(): readonly SocketSnapshot[];
  /** How many objects of each kind are kept. */
  memory(): MemorySnapshot;
  /** All databases, the console's own included, idle automatic ones left out, in any order. */
  databases(): readonly DatabaseSnapshot[];
  /** All known users, the console's own included, in any order. */
  users(): readonly UserSnapshot[];
  /** One entry for each database that has a pool, in any order. */
  stats(): readonly StatsSnapshot[];
  /** All configured peers, in any order. */
  peers(): readonly PeerSnapshot[];
  /** All peers that something has been passed on to, in any order. */
  peerPools(): readonly PeerPoolSnapshot[];
  /** All host names that have been looked up, in any order. */
  dnsHosts(): readonly DnsHostSnapshot[];
  /** All open sockets but those of consoles, in the order in which they shall be shown. */
  descriptors(): readonly DescriptorSnapshot[];
  /** All DNS zones of these, in any order. */
  dnsZones(): readonly DnsZoneSnapshot[];
  lists(): ListsSnapshot;
  state(): StateSnapshot;
  /** All settings in the order in which they shall be shown. */
  settings(): readonly SettingRow[];
  /** The whole text of SHOW VERSION; tools look for `PgBouncer X.Y.Z` at its start. */
  version(): string;

  /** Pauses a database, or the pooler if `null`; done when no server connection is in use. */
  pause(database: string | null, call: CommandCall): CommandOutcome;
  /** Ends the pause of a database, or that of the pooler if `null`. */
  resume(database: string | null, call: CommandCall): CommandOutcome;
  /** Answers when everything but the consoles has stopped. */
  suspend(call: CommandCall): CommandOutcome;
  /** Refuses new logins to a database. */
  disable(database: string, call: CommandCall): CommandOutcome;
  /** Allows logins to a database again. */
  enable(database: string, call: CommandCall): CommandOutcome;
  /** Replaces the server connections of a database, or all if `null`, as they become free. */
  reconnect(database: string | null, call: CommandCall): CommandOutcome;
  /** Drops all connections of a database, or of all if `null`, and pauses it. */
  kill(database: string | null, call: CommandCall): CommandOutcome;
  /** Disconnects the client with this {@link ClientSnapshot.id}; a whole number, not negative. */
  killClient(id: number, call: CommandCall): CommandOutcome;
  /**
   * Closes the server connection with this {@link ServerSnapshot.id}; a whole number, not negative.
   * A client that it serves gets the error 57P01.
   */
  killServer(id: number, call: CommandCall): CommandOutcome;
  /** Reads the configuration again. */
  reload(call: CommandCall): CommandOutcome;
  /** What `reload` would change, or why it would fail. Changes nothing. */
  planReload(): readonly ReloadChangeSnapshot[] | CommandError;
  /** Ends the process. A console gets no reply to `immediate`: its connection just closes. */
  shutdown(mode: ShutdownMode, call: CommandCall): CommandOutcome;
  /** Changes a setting for the life of the process. `value` may be a secret: it is not logged. */
  set(key: string, value: string, call: CommandCall): CommandOutcome;
  /** Done when the server connections that RECONNECT or a reload retired are closed. */
  waitClose(database: string | null, call: CommandCall): CommandOutcome;
}
