import type { LinkedList } from '../../../src/base/linked-list.ts';
import { databaseConfig, DEFAULT_SETTINGS } from '../../../src/config/config.ts';
import type { Settings } from '../../../src/config/config.ts';
import { AuthBudget, LocalBudget } from '../../../src/pool/budget.ts';
import { Database, User } from '../../../src/pool/database.ts';
import { Pool } from '../../../src/pool/pool.ts';
import type { PoolHost } from '../../../src/pool/pool-host.ts';
import { ClientState, ServerState } from '../../../src/pool/states.ts';
import type { ServerReport } from '../../../src/protocol/backend-reader.ts';
import type { PoolerError } from '../../../src/protocol/pooler-errors.ts';
import type { ClientEnd, RelayPool, ServerEnd } from '../../../src/relay/ends.ts';
import { LinkHost } from '../../../src/relay/link-host.ts';
import { Link } from '../../../src/relay/link.ts';
import { TrackedParameters, type ParameterValues } from '../../../src/relay/parameter-cache.ts';
import { RequestFramer } from '../../../src/relay/request-framer.ts';
import { VirtualClock } from '../../support/virtual-clock.ts';

/** What a client writes beside replies: kept in order with them by the tests that need it. */
export class FakeClient implements ClientEnd {
  listPrev: ClientEnd | null = null;
  listNext: ClientEnd | null = null;
  list: LinkedList<ClientEnd> | null = null;
  state: ClientState = ClientState.Login;
  readonly replication = null;
  waitStartMs = 0;
  isWaitNotified = false;
  isLeaving = false;
  readonly connectedAtMs: number;
  readonly framer = new RequestFramer();
  parameters: ParameterValues;
  link: Link | null = null;
  queryStartMs = 0;
  xactStartMs = 0;
  queuedSinceMs = 0;
  lastRequestMs = 0;
  lastReplyMs = 0;
  isClosed = false;
  readonly pool: RelayPool;

  /** Chunks as they were written; a lagging client keeps references, so they are not copied. */
  readonly written: Buffer[] = [];
  /** A snapshot of each chunk at the time of its write. */
  readonly snapshots: Buffer[] = [];
  /** Bytes that the kernel leaves in the socket. */
  pendingBytes = 0;
  /** Whether a write leaves its bytes pending, as with a client that does not read. */
  isLagging = false;
  isPaused = false;
  isReadBufferOwn = false;
  /** Stands for the buffer that chunks are read into. */
  readonly readBuffer = Buffer.alloc(1);
  /** Read buffers of the server connection that pending writes refer to. */
  readonly kept: Buffer[] = [];
  detachCount = 0;
  /** What the last write was made from that outlived its call. */
  detachedFrom: Buffer | null = null;
  /** Calls of the link, in order. */
  readonly events: string[] = [];
  error: PoolerError | null = null;
  /** Requests that wait until the link is ready. */
  heldRequests: Buffer | null = null;
  /** Where requests wait instead, if the test has such a place. */
  takeHeld: () => Buffer | null = () => null;

  constructor(pool: RelayPool, parameters: ParameterValues, nowMs: number) {
    this.pool = pool;
    this.parameters = parameters;
    this.connectedAtMs = nowMs;
    pool.addClient(this);
  }

  /** Everything written to the client. */
  get output(): Buffer {
    return Buffer.concat(this.snapshots);
  }

  write(chunk: Buffer): boolean {
    this.written.push(chunk);
    this.snapshots.push(Buffer.from(chunk));
    if (this.isLagging) {
      this.pendingBytes += chunk.length;
    }
    return !this.isLagging;
  }

  pauseReading(): void {
    this.isPaused = true;
    this.events.push('pause');
  }

  resumeReading(): void {
    this.isPaused = false;
    this.events.push('resume');
  }

  onLinkReady(): void {
    this.events.push('ready');
    const held = this.heldRequests ?? this.takeHeld();
    this.heldRequests = null;
    if (held !== null) {
      this.link?.onClientData(held, 0, held.length);
    }
  }

  detachReadBuffer(chunk: Buffer): Buffer | null {
    this.detachCount++;
    this.detachedFrom = chunk;
    return this.readBuffer;
  }

  keepUntilDrained(buffer: Buffer): void {
    this.kept.push(buffer);
  }

  keepRequest(chunk: Buffer, start: number, end: number): void {
    const held = this.heldRequests ?? Buffer.alloc(0);
    this.heldRequests = Buffer.concat([held, chunk.subarray(start, end)]);
    this.events.push('keep');
  }

  onReleased(): void {
    this.isPaused = false;
    this.events.push('released');
  }

  onTerminate(): void {
    this.events.push('terminate');
    this.close(true);
  }

  onBadRequest(problem: 'header' | 'size' | 'type', header: Buffer): void {
    this.events.push(`bad ${problem} ${header.toString('hex')}`);
    this.close(false);
  }

  disconnect(error: PoolerError): void {
    this.error ??= error;
    this.events.push(`error ${error.reason}`);
    this.close(false);
  }

  disconnectSilently(reason: string): void {
    this.events.push(`silently ${reason}`);
    this.close(false);
  }

  onServerAssigned(server: ServerEnd): void {
    this.events.push('assigned');
    if (server.link.begin(this)) {
      this.onLinkReady();
    }
  }

  onOwnServer(): void {
    this.events.push('own server');
  }

  onWelcomeKnown(): void {
    this.events.push('welcome');
  }

  notifyWait(): void {
    this.events.push('wait notice');
  }

  /** Ends the connection as the real one does: first the pool, then the link. */
  close(isGoodbye: boolean): void {
    if (this.isClosed) {
      return;
    }
    this.isClosed = true;
    this.pool.onClientClosed(this);
    this.link?.onClientGone(isGoodbye);
  }

  /** Sends requests while linked. */
  send(...messages: Buffer[]): void {
    const bytes = Buffer.concat(messages);
    this.link?.onClientData(bytes, 0, bytes.length);
  }
}

/** A server connection without a socket. */
export class FakeServer implements ServerEnd {
  listPrev: ServerEnd | null = null;
  listNext: ServerEnd | null = null;
  list: LinkedList<ServerEnd> | null = null;
  state: ServerState = ServerState.Login;
  owner: ClientEnd | null = null;
  readonly connectedAtMs: number;
  lastActivityMs: number;
  testStartMs = 0;
  readonly lifetimeShare = 1;
  /** What the link has reported about the server, in order. */
  readonly problems: string[] = [];
  isCloseNeeded = false;
  cancelsInFlight = 0;
  isResetOwed = false;
  isClosed = false;
  readonly pool: RelayPool;
  readonly link: Link;
  parameters: ParameterValues;
  isReported: readonly boolean[] = [];

  readonly snapshots: Buffer[] = [];
  /** What was written on behalf of a client. */
  readonly forwarded: Buffer[] = [];
  /** Whether the kernel takes what is written. */
  isFull = false;
  isPaused = false;
  /** Stands for the buffer that chunks are read into. */
  readonly readBuffer = Buffer.alloc(1);
  /** Read buffers of clients that pending writes refer to. */
  readonly kept: Buffer[] = [];
  pendingBytes = 0;
  detachCount = 0;
  cancelCount = 0;
  closeReason: string | null = null;
  connectQueryError: ServerReport | null | undefined = undefined;
  readonly #resetQuery: string;

  constructor(pool: RelayPool, host: LinkHost, settings: Settings) {
    this.pool = pool;
    this.link = new Link(this, host);
    this.parameters = host.tracked.emptyValues();
    this.connectedAtMs = host.nowMs();
    this.lastActivityMs = this.connectedAtMs;
    this.#resetQuery = settings.serverResetQuery;
  }

  /** Everything written to the server since the last call. */
  takeInput(): Buffer {
    return Buffer.concat(this.snapshots.splice(0));
  }

  write(chunk: Buffer): boolean {
    this.snapshots.push(Buffer.from(chunk));
    if (this.link.client !== null) {
      this.forwarded.push(Buffer.from(chunk));
    }
    if (this.isFull) {
      this.pendingBytes += chunk.length;
    }
    return !this.isFull;
  }

  writeCopy(
    first: Buffer | null,
    second: Buffer | null,
    chunk: Buffer,
    start: number,
    end: number,
  ): boolean {
    const none = Buffer.alloc(0);
    return this.write(Buffer.concat([first ?? none, second ?? none, chunk.subarray(start, end)]));
  }

  viewOf(chunk: Buffer, end: number): Buffer {
    return chunk.subarray(0, end);
  }

  pauseReading(): void {
    this.isPaused = true;
  }

  resumeReading(): void {
    this.isPaused = false;
  }

  detachReadBuffer(): Buffer | null {
    this.detachCount++;
    return this.readBuffer;
  }

  keepUntilDrained(buffer: Buffer): void {
    this.kept.push(buffer);
  }

  requestCancel(): void {
    this.cancelCount++;
  }

  onParametersRefused({ message }: ServerReport): void {
    this.problems.push(`parameters: ${message}`);
  }

  onUnexpectedMessage(found: string): void {
    this.problems.push(`message: ${found}`);
  }

  onConnectQueryDone(error: ServerReport | null): void {
    this.connectQueryError = error;
    this.pool.onServerLoggedIn(this, new Map());
  }

  describe(): string {
    return 'server of the test';
  }

  startReset(): void {
    this.link.internal.run('reset', this.#resetQuery);
  }

  startCheck(): void {
    this.link.internal.run('check', 'SELECT 1');
  }

  disconnect(reason: string): void {
    if (this.isClosed) {
      return;
    }
    this.isClosed = true;
    this.closeReason = reason;
    this.link.onServerGone(reason);
    this.pool.onServerClosed(this);
  }

  /** Sends replies, in one chunk. */
  reply(...messages: Buffer[]): void {
    const bytes = Buffer.concat(messages);
    this.link.onServerData(bytes, bytes.length);
  }
}

/** What a test may choose. */
export interface FixtureOptions {
  readonly poolMode?: 'session' | 'transaction' | 'statement';
  readonly tracked?: readonly string[];
  readonly maxPacketSizeBytes?: number;
  readonly settings?: Partial<Settings>;
}

/** One pool with its clients and server connections, and a clock that stands still. */
export class RelayFixture {
  readonly clock = new VirtualClock();
  readonly tracked: TrackedParameters;
  readonly pool: RelayPool;
  readonly #linkHost: LinkHost;
  readonly #settings: Settings;

  constructor(options: FixtureOptions = {}) {
    this.tracked = new TrackedParameters(options.tracked ?? []);
    this.#settings = {
      ...DEFAULT_SETTINGS,
      poolMode: options.poolMode ?? 'transaction',
      ...options.settings,
    };
    const nowMs = (): number => this.clock.nowMs();
    const host: PoolHost<ClientEnd, ServerEnd> = {
      blockedPools: new Set(),
      settings: this.#settings,
      budget: new LocalBudget(),
      authBudget: new AuthBudget(),
      mayWarmUp: () => true,
      nowMs,
      isPaused: false,
      isSuspended: false,
      isRefusingToQueue: false,
      launch: () => {},
      evictFor: () => false,
      onPermitReleased: () => {},
      onServerIdle: () => {},
      onReserveUsed: () => {},
    };
    const database = new Database('db', databaseConfig('db'), false, nowMs());
    this.pool = new Pool<ClientEnd, ServerEnd>(host, database, new User('user', null));
    this.#linkHost = new LinkHost(this.tracked, options.maxPacketSizeBytes ?? 2_147_483_647, nowMs);
  }

  /** A server connection that is logging in. */
  addNewServer(): FakeServer {
    const server = new FakeServer(this.pool, this.#linkHost, this.#settings);
    this.pool.addServer(server);
    return server;
  }

  /** A server connection that has logged in. */
  addServer(parameters: Readonly<Record<string, string>> = {}): FakeServer {
    const server = this.addNewServer();
    server.parameters = this.values(parameters);
    server.isReported = server.parameters.map((value) => value !== null);
    this.pool.onServerLoggedIn(server, new Map());
    return server;
  }

  /** A client that has logged in. */
  addClient(parameters: Readonly<Record<string, string>> = {}): FakeClient {
    return new FakeClient(this.pool, this.values(parameters), this.clock.nowMs());
  }

  /** A client and a server connection that are linked; no request has been sent. */
  link(): { readonly client: FakeClient; readonly server: FakeServer } {
    const server = this.addServer();
    const client = this.addClient();
    if (this.pool.acquire(client) !== server || !server.link.begin(client)) {
      throw new Error('the pair could not be linked');
    }
    return { client, server };
  }

  values(parameters: Readonly<Record<string, string>>): ParameterValues {
    const values = this.tracked.emptyValues();
    for (const [name, value] of Object.entries(parameters)) {
      values[this.tracked.indexOf(name)] = value;
    }
    return values;
  }
}
