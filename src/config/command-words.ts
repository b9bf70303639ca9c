/**
 * Splits a command into its words, as a program is run without a shell: at white space, except
 * within double quotes. A backslash takes the character behind it as it is, inside and outside of
 * quotes. Nothing is expanded: no variables, no wildcards, no pipes.
 *
 * @param text - The value as written.
 * @returns The words, or `null` when a quote is not closed or nothing stands behind a backslash.
 */
export function splitCommand(text: string): readonly string[] | null {
  const words: string[] = [];
  let word: string | null = null;
  let isQuoted = false;
  for (let at = 0; at < text.length; at++) {
    const character = text.charAt(at);
    if (character === '\\') {
      at += 1;
      if (at === text.length) {
        return null;
      }
      word = `${word ?? ''}${text.charAt(at)}`;
    } else if (character === '"') {
      isQuoted = !isQuoted;
      word ??= '';
    } else if (!isQuoted && /\s/.test(character)) {
      if (word !== null) {
        words.push(word);
      }
      word = null;
    } else {
      word = `${word ?? ''}${character}`;
    }
  }
  if (word !== null) {
    words.push(word);
  }
  return isQuoted ? null : words;
}
