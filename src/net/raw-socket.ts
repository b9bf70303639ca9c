import { Socket, type AddressInfo, type Server } from 'node:net';
import { assert } from '../base/assert.ts';
import {
  leaveReading,
  makeShutdownRequest,
  rawHandleOf,
  type RawHandle,
  type RawReader,
  type ShutdownRequest,
} from './raw-handle.ts';
import type { SocketOwner } from './socket-events.ts';

/** Who is told of the ends of a {@link RawSocket}; of an error before the end that it causes. */
type RawSocketOwner = Pick<SocketOwner, 'onError' | 'onClosed'> & Pick<RawReader, 'onRawError'>;

/** The part of an accepted handle that is used, beyond reading and writing. */
interface AcceptedHandle extends RawHandle {
  /** @returns 0 or a negative error number. */
  getpeername?(into: Partial<AddressInfo>): number;
  getsockname?(into: Partial<AddressInfo>): number;
  setNoDelay?(isOn: boolean): number;
  setKeepAlive?(isOn: boolean, delaySeconds: number): number;
  /** @returns 0, 1 when there is nothing to wait for, or a negative error number. */
  shutdown(request: ShutdownRequest): number;
  close(done: () => void): void;
}

/** The part of a listening handle that is used. */
interface ListeningHandle {
  /** @param status - 0 or a negative error number. */
  onconnection: (this: unknown, status: number, handle: unknown) => void;
}

const METHODS = ['shutdown', 'close'] as const;

/** The peer has gone already, as libuv numbers it on Linux. */
const UV_ENOTCONN = -107;

const NOWHERE: Partial<AddressInfo> = {};

/**
 * An accepted connection by its handle alone. The stream classes that Node.js puts around each are
 * most of what a connection costs, in time and memory, and nothing of them is used.
 */
export class RawSocket {
  /** Named as in `net.Socket`, to be found by who looks for that of a socket. */
  readonly _handle: AcceptedHandle;
  #owner: RawSocketOwner | null = null;
  #remote: Partial<AddressInfo> | null = null;
  #isDestroyed = false;
  #isEnded = false;

  constructor(handle: AcceptedHandle) {
    this._handle = handle;
    handle.setNoDelay?.(true);
  }

  /** Who is told from now on. */
  set owner(owner: RawSocketOwner) {
    this.#owner = owner;
  }

  /** Whether it has been closed from this side. */
  get destroyed(): boolean {
    return this.#isDestroyed;
  }

  /** Undefined for a unix socket, and when the connection broke before this was asked for. */
  get remoteAddress(): string | undefined {
    return this.#peer().address;
  }

  /** As {@link remoteAddress}. */
  get remotePort(): number | undefined {
    return this.#peer().port;
  }

  /** As {@link remoteAddress}. */
  get remoteFamily(): string | undefined {
    return this.#peer().family;
  }

  /** As {@link remoteAddress}. */
  get localAddress(): string | undefined {
    return this.#local().address;
  }

  /** As {@link remoteAddress}. */
  get localPort(): number | undefined {
    return this.#local().port;
  }

  #peer(): Partial<AddressInfo> {
    if (this.#remote === null) {
      const found = {};
      this._handle.getpeername?.(found);
      this.#remote = found;
    }
    return this.#remote;
  }

  #local(): Partial<AddressInfo> {
    if (this.#isDestroyed) {
      return NOWHERE;
    }
    const found = {};
    this._handle.getsockname?.(found);
    return found;
  }

  /** @param delayMs - until the first probe; 0 leaves it to the system. */
  setKeepAlive(isOn: boolean, delayMs: number): void {
    this._handle.setKeepAlive?.(isOn, Math.floor(delayMs / 1000));
  }

  /** Sends a FIN behind what has been written. */
  end(): void {
    if (this.#isDestroyed || this.#isEnded) {
      return;
    }
    this.#isEnded = true;
    const status = this._handle.shutdown(makeShutdownRequest());
    if (status < 0 && status !== UV_ENOTCONN) {
      this.#owner?.onRawError(status);
    }
  }

  /** Closes at once. The owner is told of `error` now, and of the end later. */
  destroy(error?: Error): void {
    if (this.#isDestroyed) {
      return;
    }
    this.#isDestroyed = true;
    if (error !== undefined) {
      this.#owner?.onError(error);
    }
    this._handle.close(() => {
      this.#owner?.onClosed();
    });
  }

  /** Leaves the handle to a `net.Socket`, for what needs one. Reading has been stopped. */
  toSocket(): Socket {
    assert(!this.#isDestroyed, 'what is handed over is open');
    const socket = new Socket({
      handle: this._handle,
      allowHalfOpen: true,
      pauseOnCreate: true,
    } as object);
    leaveReading(this._handle);
    return socket;
  }
}

/** An accepted connection, unread. */
export type AcceptedSocket = Socket | RawSocket;

/**
 * Has `onAccept` get the connections of a listening server as {@link RawSocket}; its event
 * `connection` is not emitted then. Where that cannot be done, nothing changes.
 */
export function acceptRaw(server: Server, onAccept: (socket: RawSocket) => void): void {
  const { _handle: listening } = server as { _handle?: Partial<ListeningHandle> | null };
  const original = listening?.onconnection;
  if (listening === undefined || listening === null || typeof original !== 'function') {
    return;
  }
  listening.onconnection = function onConnection(status, handle) {
    const usable = status === 0 ? acceptedHandle(handle) : null;
    if (usable === null) {
      original.call(this, status, handle);
    } else {
      onAccept(new RawSocket(usable));
    }
  };
}

/** The handle if it is one that can do everything; null otherwise. */
function acceptedHandle(handle: unknown): AcceptedHandle | null {
  const found: Partial<AcceptedHandle> | null = rawHandleOf({ _handle: handle });
  const isComplete = found !== null && METHODS.every((name) => typeof found[name] === 'function');
  return isComplete ? (found as AcceptedHandle) : null;
}
