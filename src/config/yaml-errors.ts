/**
 * What to tell for each error code of the YAML parser. Its own messages may repeat pieces of the
 * file, passwords among them, so they are never shown.
 */
const SYNTAX_MESSAGES: ReadonlyMap<string, string> = new Map([
  ['ALIAS_PROPS', 'an alias (*name) cannot have a tag or an anchor'],
  [
    'BAD_ALIAS',
    'a plain * starts an alias here; write "*" in quotes for the database of that name',
  ],
  ['BAD_COLLECTION_TYPE', 'a tag does not fit what follows it'],
  ['BAD_DIRECTIVE', 'a line starting with % must be a directive this YAML version knows'],
  [
    'BAD_DQ_ESCAPE',
    'unknown escape in a double-quoted text; use single quotes for a plain backslash',
  ],
  ['BAD_INDENT', 'wrong indentation, or a bracket that is never closed'],
  ['BAD_PROP_ORDER', 'tags and anchors must stand before the value'],
  ['BAD_SCALAR_START', 'an unquoted value cannot start with this character; write it in quotes'],
  [
    'BLOCK_AS_IMPLICIT_KEY',
    'a key with values cannot start in the middle of a line; check the indentation',
  ],
  ['BLOCK_IN_FLOW', 'indented blocks are not allowed inside brackets'],
  ['KEY_OVER_1024_CHARS', 'a key is longer than 1024 characters'],
  ['MISSING_CHAR', 'a quote, comma, colon or space is missing'],
  ['MULTILINE_IMPLICIT_KEY', 'a key must stand on one line; check the indentation and the colons'],
  ['MULTIPLE_ANCHORS', 'a value can have one anchor only'],
  ['MULTIPLE_DOCS', 'a second document starts here; one file holds one'],
  ['MULTIPLE_TAGS', 'a value can have one tag only'],
  ['NON_STRING_KEY', 'a key must be a text'],
  ['RESOURCE_EXHAUSTION', 'nested too deeply'],
  ['TAB_AS_INDENT', 'a tab in the indentation; YAML allows spaces only'],
  ['TAG_RESOLVE_FAILED', 'tags (!name) are not used here; write the value without one'],
  ['UNEXPECTED_TOKEN', 'something unexpected stands here; check brackets, quotes and indentation'],
]);

/**
 * Explains a YAML syntax error without repeating the file.
 *
 * @param code - The parser's error code.
 */
export function explainSyntaxError(code: string): string {
  return `YAML syntax error: ${SYNTAX_MESSAGES.get(code) ?? 'cannot be read'}`;
}
