import { getSystemErrorMap } from 'node:util';

/** Texts of glibc that libuv words otherwise, apart from the first letter. */
const TEXTS: ReadonlyMap<string, string> = new Map([
  ['EADDRNOTAVAIL', 'Cannot assign requested address'],
  ['EAFNOSUPPORT', 'Address family not supported by protocol'],
  ['EEXIST', 'File exists'],
  ['EISDIR', 'Is a directory'],
  ['ELOOP', 'Too many levels of symbolic links'],
  ['ENAMETOOLONG', 'File name too long'],
]);

/** Code and words of a system error, as libuv has them. */
function knownError(error: unknown): readonly [code: string, words: string] | null {
  const number = (error as { errno?: unknown } | null)?.errno;
  const known = typeof number === 'number' ? getSystemErrorMap().get(number) : undefined;
  if (known !== undefined) {
    return known;
  }
  const [, code, words] = /^(E[A-Z0-9]+)[:,] ([^,]+)/.exec(messageOf(error)) ?? [];
  return code === undefined || words === undefined ? null : [code, words];
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/**
 * Returns what the C library says of an error of Node.js: `Permission denied` out of
 * `EACCES: permission denied, open '/x'` or `EPERM, Operation not permitted`. Programs that read
 * logs look for these texts. Other errors give their whole message.
 *
 * @source strerror(3), of glibc
 */
export function systemErrorText(error: unknown): string {
  const known = knownError(error);
  if (known === null) {
    return messageOf(error);
  }
  const [code, words] = known;
  return TEXTS.get(code) ?? words.charAt(0).toUpperCase() + words.slice(1);
}
