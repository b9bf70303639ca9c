/** Longest value of a label, in UTF-16 units. PostgreSQL cuts its names to 63 bytes. */
const MAX_LABEL_LENGTH = 256;

/**
 * Control characters and line separators, which some readers of the format take for the end of a
 * line, and lone surrogates, which are not UTF-8. The line feed stays: the format has an escape for
 * it.
 */
const UNSAFE = /(?!\n)[\p{Cc}\p{Surrogate}\u2028\u2029]/gu;

const REPLACEMENT = '\ufffd';

/**
 * Makes any text fit for the value of a label. Quotes, backslashes and line feeds are left to the
 * writer of the format.
 *
 * @returns at most {@link MAX_LABEL_LENGTH} units, unsafe characters replaced by U+FFFD.
 */
export function labelText(text: string): string {
  return text.slice(0, MAX_LABEL_LENGTH).replace(UNSAFE, REPLACEMENT);
}
