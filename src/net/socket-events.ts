import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';

/** Who is told of the events of a socket. */
export interface SocketOwner {
  onPublicData(chunk: Buffer): void;
  onDrained(): void;
  /** The peer has finished writing. */
  onRawEnd(): void;
  /** The handshake of TLS is done. */
  onSecure(socket: TLSSocket): void;
  onError(error: Error): void;
  onClosed(): void;
}

interface OwnedSocket extends Socket {
  maitredOwner: SocketOwner;
}

// One set of listeners for all sockets: a closure per event and socket would cost memory.
function onData(this: OwnedSocket, chunk: Buffer): void {
  this.maitredOwner.onPublicData(chunk);
}
function onDrain(this: OwnedSocket): void {
  this.maitredOwner.onDrained();
}
function onEnd(this: OwnedSocket): void {
  this.maitredOwner.onRawEnd();
}
function onSecure(this: OwnedSocket): void {
  this.maitredOwner.onSecure(this as unknown as TLSSocket);
}
function onError(this: OwnedSocket, error: Error): void {
  this.maitredOwner.onError(error);
}
function onClose(this: OwnedSocket): void {
  this.maitredOwner.onClosed();
}

/** Tells `owner` of errors and of the end of the socket. */
export function watchEnds(socket: Socket, owner: SocketOwner): void {
  (socket as OwnedSocket).maitredOwner = owner;
  socket.on('error', onError);
  socket.on('close', onClose);
}

/** Tells no more of the end: that of the TLS socket around it counts. Errors need a listener still. */
export function leaveClose(socket: Socket): void {
  socket.off('close', onClose);
}

/** Tells of the end of a handshake. {@link watchEnds} has named the owner. */
export function watchHandshake(socket: TLSSocket): void {
  socket.once('secure', onSecure);
}

/** Reads by the public interface, from now on. {@link watchEnds} has named the owner. */
export function readPublicly(socket: Socket): void {
  socket.on('data', onData);
  socket.on('drain', onDrain);
  socket.on('end', onEnd);
  socket.resume();
}

/** Undoes {@link readPublicly}. */
export function stopReadingPublicly(socket: Socket): void {
  socket.off('data', onData).off('drain', onDrain).off('end', onEnd).pause();
}
