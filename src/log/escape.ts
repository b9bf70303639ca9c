/**
 * Characters that end a line, steer a terminal or turn the direction of reading for some readers:
 * DEL, the C1 controls, the Unicode line ends, bidirectional controls, and lone surrogates, which are
 * not UTF-8. The C0 controls are not among them: JSON has escaped them already.
 */
const UNSAFE_IN_JSON = /[\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]|\p{Surrogate}/gu;

/** The same with the C0 controls, for text that is not JSON. */
const UNSAFE_IN_TEXT =
  // eslint-disable-next-line no-control-regex -- control characters are what is looked for
  /[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]|\p{Surrogate}/gu;

const SHORT_ESCAPES: ReadonlyMap<string, string> = new Map([
  ['\n', '\\n'],
  ['\r', '\\r'],
  ['\t', '\\t'],
]);

/**
 * Makes the text of one line out of any text: what could break, forge or hide a line becomes `\n`,
 * `\r`, `\t` or `\uXXXX`. Never throws.
 *
 * @param text - Anything, names given by peers included.
 */
export function escapeText(text: string): string {
  return text.replace(
    UNSAFE_IN_TEXT,
    (found) => SHORT_ESCAPES.get(found) ?? toUnicodeEscape(found),
  );
}

/**
 * Escapes in a finished JSON text what JSON allows but a line of a log should not have.
 *
 * @param line - One JSON text and its newline; it means the same afterwards.
 */
export function escapeJsonLine(line: string): string {
  return line.replace(UNSAFE_IN_JSON, toUnicodeEscape);
}

function toUnicodeEscape(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
}
