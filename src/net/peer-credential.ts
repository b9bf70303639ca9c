import { hostname } from 'node:os';
import type { NativeCalls } from './native-calls.ts';
import { descriptorOf } from './raw-handle.ts';

/** The process at the other end of a unix socket, as it was when it connected. */
export interface PeerCredential {
  readonly pid: number;
  readonly uid: number;
  readonly gid: number;
}

/** Numbers of Linux. @source unix(7) */
const SOL_SOCKET = 1;
const SO_PEERCRED = 17;
const CREDENTIAL_BYTES = 12;

/** What the system says of a process that it cannot see, in another namespace. */
const UNKNOWN_ID = 0xff_ff_ff_ff;

/**
 * Asks the system who is at the other end of a unix socket. Nobody can forge the answer.
 *
 * @returns `null` where it cannot be told. Never throws.
 */
export function peerCredentialOf(socket: object, calls: NativeCalls): PeerCredential | null {
  const fd = descriptorOf(socket);
  if (fd === -1) {
    return null;
  }
  try {
    const found = calls.getOption(fd, SOL_SOCKET, SO_PEERCRED, CREDENTIAL_BYTES);
    if (found.length < CREDENTIAL_BYTES) {
      return null;
    }
    const uid = found.readUInt32LE(4);
    // A socket without a peer has the process 0 and this user, who is nobody.
    return uid === UNKNOWN_ID
      ? null
      : { pid: found.readInt32LE(0), uid, gid: found.readUInt32LE(8) };
  } catch {
    // Closed meanwhile, or no unix socket: nobody is known there.
    return null;
  }
}

/** Names the other end of a unix socket: `unix(PID@HOSTNAME)`, or `unix` when it is not known. */
export function describePeer(peer: PeerCredential | null): string {
  return peer === null ? 'unix' : `unix(${String(peer.pid)}@${hostname()})`;
}
