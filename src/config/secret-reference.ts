import { couldNotLoad, keyForMessage } from './config-error.ts';
import type { Sources } from './dialect.ts';
import type { RawMap } from './raw-node.ts';

const FORM = 'a secret is a text, { file: PATH } or { env: NAME }';

/**
 * Fetches a secret that is kept elsewhere: `{ file: PATH }` or `{ env: NAME }`. One line end at the
 * end of a file does not belong to the secret.
 *
 * @param map - The reference as written.
 * @param sources - Where files and variables come from.
 * @returns The secret, or what is wrong as a clause that never holds one.
 */
export function resolveSecret(
  map: RawMap,
  sources: Sources,
): { readonly text: string } | { readonly wrong: string } {
  const [entry, ...more] = map.entries;
  if (entry?.value.kind !== 'text' || more.length > 0) {
    return { wrong: FORM };
  }
  const { text } = entry.value;
  if (entry.key === 'env') {
    const value = Object.hasOwn(sources.env, text) ? sources.env[text] : undefined;
    return value === undefined
      ? { wrong: `environment variable ${keyForMessage(text)} is not set` }
      : { text: value };
  }
  if (entry.key !== 'file') {
    return { wrong: FORM };
  }
  try {
    return { text: sources.readText(text).replace(/\r?\n$/, '') };
  } catch (cause) {
    return { wrong: couldNotLoad(text, cause) };
  }
}
