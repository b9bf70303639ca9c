import type { NativeCalls } from './native-calls.ts';
import { descriptorOf } from './raw-handle.ts';
import type { AcceptedSocket } from './raw-socket.ts';

/** Numbers of Linux. @source Linux, socket.h of asm-generic and tcp.h */
const SOL_SOCKET = 1;
const SO_SNDBUF = 7;
const SO_RCVBUF = 8;
const IPPROTO_TCP = 6;
const TCP_KEEPIDLE = 4;
const TCP_KEEPINTVL = 5;
const TCP_KEEPCNT = 6;
const TCP_DEFER_ACCEPT = 9;
const TCP_USER_TIMEOUT = 18;

const MS_PER_SECOND = 1000;

/** The settings of TCP connections. */
export interface SocketSettings {
  readonly tcpKeepalive: boolean;
  /** Whole seconds, in ms; 0 leaves it to the system, as in all of these. */
  readonly tcpKeepidleMs: number;
  readonly tcpKeepintvlMs: number;
  /** Probes. */
  readonly tcpKeepcnt: number;
  /** Milliseconds. */
  readonly tcpUserTimeout: number;
  readonly tcpSocketBufferBytes: number;
}

/**
 * Sets up a TCP connection that stands, ours or a client's. Keepalive works without system calls.
 *
 * @param calls - null where there are none: the settings that need them are off then.
 * @throws the error of the system; options before the failed one are set.
 * @source PgBouncer's tune_socket: the keepalive values count only while keepalive is on.
 */
export function tuneConnection(
  socket: AcceptedSocket,
  settings: SocketSettings,
  calls: NativeCalls | null,
): void {
  const { tcpKeepalive, tcpKeepidleMs } = settings;
  // With an idle time, libuv also sets interval and count, to 1 s and 10: both belong to the system.
  socket.setKeepAlive(tcpKeepalive, calls === null ? tcpKeepidleMs : 0);
  const fd = descriptorOf(socket);
  if (calls === null || fd === -1) {
    return;
  }
  for (const [level, option, value] of wantedOptions(settings)) {
    calls.setOption(fd, level, option, value);
  }
}

type WantedOption = readonly [level: number, option: number, value: number];

function wantedOptions(settings: SocketSettings): readonly WantedOption[] {
  const wanted: WantedOption[] = [];
  const add = (level: number, option: number, value: number): void => {
    if (value > 0) {
      wanted.push([level, option, value]);
    }
  };
  add(SOL_SOCKET, SO_RCVBUF, settings.tcpSocketBufferBytes);
  add(SOL_SOCKET, SO_SNDBUF, settings.tcpSocketBufferBytes);
  if (settings.tcpKeepalive) {
    add(IPPROTO_TCP, TCP_KEEPIDLE, settings.tcpKeepidleMs / MS_PER_SECOND);
    add(IPPROTO_TCP, TCP_KEEPINTVL, settings.tcpKeepintvlMs / MS_PER_SECOND);
    add(IPPROTO_TCP, TCP_KEEPCNT, settings.tcpKeepcnt);
  }
  add(IPPROTO_TCP, TCP_USER_TIMEOUT, settings.tcpUserTimeout);
  return wanted;
}

/**
 * Sets whether a TCP listener wakes up only when a connection has sent its first bytes. The system
 * accepts one that stays silent after about a second all the same.
 *
 * @param server - of node:net, listening.
 * @throws the error of the system.
 * @source PgBouncer's pooler_tune_accept: the value of the option is 1.
 */
export function setDeferAccept(server: object, isOn: boolean, calls: NativeCalls): void {
  const fd = descriptorOf(server);
  if (fd !== -1) {
    calls.setOption(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, isOn ? 1 : 0);
  }
}
