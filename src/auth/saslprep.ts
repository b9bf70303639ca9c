import { isUtf8 } from 'node:buffer';
import {
  isInRanges,
  LEFT_TO_RIGHT,
  MAPPED_TO_NOTHING,
  NON_ASCII_SPACE,
  PROHIBITED,
  RIGHT_TO_LEFT,
  UNASSIGNED,
} from './saslprep-tables.ts';

/**
 * Prepares a password for SCRAM the way PostgreSQL does: SASLprep where it applies, the bytes as
 * they are where it does not (invalid UTF-8, prohibited or unassigned characters, mixed writing
 * directions, nothing left). Both sides of a login must agree on this to the byte.
 *
 * @param password - Text, or its bytes in any encoding (borrowed).
 * @returns UTF-8 bytes, owned by the caller. Never throws.
 *
 * @source RFC 4013; PostgreSQL `pg_saslprep`, whose callers fall back to the raw password
 */
export function preparePassword(password: string | Buffer): Buffer {
  const raw = typeof password === 'string' ? Buffer.from(password, 'utf8') : Buffer.from(password);
  // PostgreSQL takes pure ASCII as it is, control characters included.
  if (raw.every((byte) => byte < 0x80) || !isUtf8(raw)) {
    return raw;
  }
  const mapped = mapCharacters(raw.toString('utf8'));
  return mapped.length === 0 || !isPermitted(mapped)
    ? raw
    : Buffer.from(mapped.map(toCharacter).join('').normalize('NFKC'), 'utf8');
}

function toCharacter(codePoint: number): string {
  return String.fromCodePoint(codePoint);
}

/** RFC 4013, "Mapping". */
function mapCharacters(text: string): number[] {
  const mapped: number[] = [];
  for (const character of text) {
    const codePoint = character.codePointAt(0) ?? 0;
    // U+200B is in both tables; PostgreSQL makes a space of it.
    if (isInRanges(NON_ASCII_SPACE, codePoint)) {
      mapped.push(0x20);
    } else if (!isInRanges(MAPPED_TO_NOTHING, codePoint)) {
      mapped.push(codePoint);
    }
  }
  return mapped;
}

/**
 * RFC 4013, "Prohibited Output", "Bidirectional Characters" and "Unassigned Code Points".
 *
 * COMPAT: PostgreSQL looks at the mapped text before normalization, not after it as the RFC says:
 * U+0340 is refused although its normalized form is permitted. Seen with PostgreSQL 18.4.
 */
function isPermitted(mapped: readonly number[]): boolean {
  if (mapped.some((c) => isInRanges(PROHIBITED, c) || isInRanges(UNASSIGNED, c))) {
    return false;
  }
  if (!mapped.some((c) => isInRanges(RIGHT_TO_LEFT, c))) {
    return true;
  }
  return (
    isInRanges(RIGHT_TO_LEFT, mapped.at(0) ?? 0) &&
    isInRanges(RIGHT_TO_LEFT, mapped.at(-1) ?? 0) &&
    !mapped.some((c) => isInRanges(LEFT_TO_RIGHT, c))
  );
}
