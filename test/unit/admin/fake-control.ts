import type {
  CommandCall,
  CommandError,
  CommandOutcome,
  Control,
  SettledOutcome,
  ShutdownMode,
} from '../../../src/admin/control.ts';
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
} from '../../../src/admin/snapshots.ts';

/** A command that came through to the pooler. */
export interface RecordedCall {
  readonly name: string;
  readonly args: readonly unknown[];
  readonly actor: string;
}

/** A control that records commands and answers as it is told. */
export class FakeControl implements Control {
  readonly calls: RecordedCall[] = [];
  /** What the next commands answer; `done` when it is used up. */
  readonly outcomes: (SettledOutcome | 'waiting')[] = [];
  /** The settle functions of the commands that wait or waited, oldest first. */
  readonly waiting: ((outcome: SettledOutcome) => void)[] = [];
  abandonedCount = 0;

  poolRows: readonly PoolSnapshot[] = [];
  clientRows: readonly ClientSnapshot[] = [];
  serverRows: readonly ServerSnapshot[] = [];
  socketRows: readonly SocketSnapshot[] = [];
  memoryCounts: MemorySnapshot = {
    users: 1,
    databases: 2,
    pools: 3,
    outstandingRequests: 4,
    servers: 5,
    clients: 6,
    peers: 7,
    peerPools: 8,
  };
  databaseRows: readonly DatabaseSnapshot[] = [];
  userRows: readonly UserSnapshot[] = [];
  dnsRows: readonly DnsHostSnapshot[] = [];
  peerRows: readonly PeerSnapshot[] = [];
  peerPoolRows: readonly PeerPoolSnapshot[] = [];
  statsRows: readonly StatsSnapshot[] = [];
  settingRows: readonly SettingRow[] = [];
  listCounts: ListsSnapshot = {
    databases: 1,
    users: 2,
    peers: 3,
    pools: 4,
    peerPools: 5,
    freeClients: 6,
    usedClients: 7,
    loginClients: 8,
    freeServers: 9,
    usedServers: 10,
    dnsNames: 11,
    dnsZones: 12,
    dnsQueries: 13,
  };
  stateFlags: StateSnapshot = { isActive: true, isPaused: false, isSuspended: false };

  descriptorRows: readonly DescriptorSnapshot[] = [];

  descriptors(): readonly DescriptorSnapshot[] {
    return this.descriptorRows;
  }

  zoneRows: readonly DnsZoneSnapshot[] = [];

  dnsZones(): readonly DnsZoneSnapshot[] {
    return this.zoneRows;
  }

  reloadPlan: readonly ReloadChangeSnapshot[] | CommandError = [];

  planReload(): readonly ReloadChangeSnapshot[] | CommandError {
    return this.reloadPlan;
  }

  pools(): readonly PoolSnapshot[] {
    return this.poolRows;
  }

  clients(): readonly ClientSnapshot[] {
    return this.clientRows;
  }

  servers(): readonly ServerSnapshot[] {
    return this.serverRows;
  }

  sockets(): readonly SocketSnapshot[] {
    return this.socketRows;
  }

  memory(): MemorySnapshot {
    return this.memoryCounts;
  }

  databases(): readonly DatabaseSnapshot[] {
    return this.databaseRows;
  }

  users(): readonly UserSnapshot[] {
    return this.userRows;
  }

  stats(): readonly StatsSnapshot[] {
    return this.statsRows;
  }

  peers(): readonly PeerSnapshot[] {
    return this.peerRows;
  }

  peerPools(): readonly PeerPoolSnapshot[] {
    return this.peerPoolRows;
  }

  dnsHosts(): readonly DnsHostSnapshot[] {
    return this.dnsRows;
  }

  lists(): ListsSnapshot {
    return this.listCounts;
  }

  state(): StateSnapshot {
    return this.stateFlags;
  }

  settings(): readonly SettingRow[] {
    return this.settingRows;
  }

  version(): string {
    return 'PgBouncer 1.25.2 (maitred 0.1.0)';
  }

  pause(database: string | null, call: CommandCall): CommandOutcome {
    return this.#record('pause', [database], call);
  }

  resume(database: string | null, call: CommandCall): CommandOutcome {
    return this.#record('resume', [database], call);
  }

  disable(database: string, call: CommandCall): CommandOutcome {
    return this.#record('disable', [database], call);
  }

  enable(database: string, call: CommandCall): CommandOutcome {
    return this.#record('enable', [database], call);
  }

  reconnect(database: string | null, call: CommandCall): CommandOutcome {
    return this.#record('reconnect', [database], call);
  }

  kill(database: string | null, call: CommandCall): CommandOutcome {
    return this.#record('kill', [database], call);
  }

  killClient(id: number, call: CommandCall): CommandOutcome {
    return this.#record('killClient', [id], call);
  }

  killServer(id: number, call: CommandCall): CommandOutcome {
    return this.#record('killServer', [id], call);
  }

  reload(call: CommandCall): CommandOutcome {
    return this.#record('reload', [], call);
  }

  suspend(call: CommandCall): CommandOutcome {
    return this.#record('suspend', [], call);
  }

  shutdown(mode: ShutdownMode, call: CommandCall): CommandOutcome {
    return this.#record('shutdown', [mode], call);
  }

  set(key: string, value: string, call: CommandCall): CommandOutcome {
    return this.#record('set', [key, value], call);
  }

  waitClose(database: string | null, call: CommandCall): CommandOutcome {
    return this.#record('waitClose', [database], call);
  }

  #record(name: string, args: readonly unknown[], call: CommandCall): CommandOutcome {
    this.calls.push({ name, args, actor: `${call.actor.user}@${call.actor.address}` });
    const outcome = this.outcomes.shift() ?? { kind: 'done' };
    if (outcome !== 'waiting') {
      return outcome;
    }
    this.waiting.push(call.settle);
    return {
      kind: 'waiting',
      abandon: () => {
        this.abandonedCount += 1;
      },
    };
  }
}
