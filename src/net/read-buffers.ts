import { ViewCache } from '../base/view-cache.ts';

/** Bytes read at a time, at most. */
export const READ_BUFFER_BYTES = 65_536;

/**
 * Reads of all client sockets go here: requests are small and are copied before they are written,
 * so the buffer is free again when the callback returns.
 */
export const sharedReadBuffer = Buffer.allocUnsafeSlow(READ_BUFFER_BYTES);
/** Views of its beginning. */
export const sharedReadViews = new ViewCache(sharedReadBuffer);

/** Read buffers kept for reuse: fresh memory costs more than reading into it. */
const MAX_FREE_BUFFERS = 64;
const freeBuffers: Buffer[] = [];

/** A read buffer of one's own. */
export function takeReadBuffer(): Buffer {
  return freeBuffers.pop() ?? Buffer.allocUnsafeSlow(READ_BUFFER_BYTES);
}

/** Takes back a buffer that nothing refers to any more. */
export function giveBack(buffer: Buffer): void {
  if (freeBuffers.length < MAX_FREE_BUFFERS) {
    freeBuffers.push(buffer);
  }
}
