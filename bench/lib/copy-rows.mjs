import { copyDataMessage } from './wire-client.mjs';

/** Bytes of text in a row, the same for all transfers. */
export const ROW_TEXT_BYTES = 1000;

/** Bytes of a row in COPY's text format: with the line's end. */
export const COPY_LINE_BYTES = ROW_TEXT_BYTES + 1;

/** 8 kB to a CopyData message, the size in which libpq's clients commonly send. */
const ROWS_PER_MESSAGE = 8;
const MESSAGES_PER_BLOCK = 8;

/** Rows in a block of COPY IN. */
export const ROWS_PER_BLOCK = ROWS_PER_MESSAGE * MESSAGES_PER_BLOCK;

/**
 * Builds what COPY IN sends over and over.
 *
 * @returns {Buffer} whole CopyData messages with `ROWS_PER_BLOCK` rows, 64 kB
 */
export function copyInBlock() {
  const line = `${'x'.repeat(ROW_TEXT_BYTES)}\n`;
  const message = copyDataMessage(Buffer.from(line.repeat(ROWS_PER_MESSAGE)));
  return Buffer.concat(Array.from({ length: MESSAGES_PER_BLOCK }, () => message));
}
