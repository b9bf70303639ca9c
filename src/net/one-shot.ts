import type net from 'node:net';
import { openSocket } from './abstract-socket.ts';

/**
 * Connects, sends `message`, and waits until the peer closes: the whole life of a cancel request.
 *
 * @param message - owned by the call from now on.
 * @param onDone - called exactly once; null when the peer has closed after it got the message.
 * @param onSent - called once the message is on its way.
 * @returns a function that gives up; `onDone` follows.
 */
export function sendAndAwaitClose(
  target: net.NetConnectOpts,
  message: Buffer,
  onDone: (error: Error | null) => void,
  onSent: () => void = () => undefined,
): () => void {
  const socket = openSocket(target);
  let failure: Error | null = null;
  let isSent = false;
  socket.once('connect', () => {
    isSent = true;
    socket.write(message);
    onSent();
  });
  socket.on('error', (error) => {
    failure = error;
  });
  // Nothing is expected; read on, so that the end is seen.
  socket.resume();
  socket.once('close', () => {
    onDone(isSent ? null : (failure ?? new Error('closed before it was sent')));
  });
  return () => {
    socket.destroy();
  };
}
