/** Format code of text values. */
export const TEXT_FORMAT = 0;
/** Format code of binary values. */
export const BINARY_FORMAT = 1;

/** The format of each column of a result; empty where all are text. */
export type ColumnFormats = readonly number[];

/**
 * Spreads the result formats of Bind over the columns: none means text, one is for all.
 *
 * @returns `null` if there are as many as fit no result of this width.
 */
export function spreadFormats(
  formats: readonly number[],
  columnCount: number,
): ColumnFormats | null {
  const [first = TEXT_FORMAT] = formats;
  if (formats.length <= 1) {
    return first === TEXT_FORMAT ? [] : Array.from({ length: columnCount }, () => first);
  }
  return formats.length === columnCount ? formats : null;
}
