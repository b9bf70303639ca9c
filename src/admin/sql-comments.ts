const BLOCK_EDGE = /\/\*|\*\//g;

/** Where the comment in slashes and stars that begins at `start` ends; -1 if it never does. */
function blockEnd(query: string, start: number): number {
  let depth = 0;
  BLOCK_EDGE.lastIndex = start;
  for (let edge = BLOCK_EDGE.exec(query); edge !== null; edge = BLOCK_EDGE.exec(query)) {
    depth += edge[0] === '/*' ? 1 : -1;
    if (depth === 0) {
      return BLOCK_EDGE.lastIndex;
    }
  }
  return -1;
}

/** Where the comment that begins at `start` ends: `start` if none does, -1 if it never ends. */
function commentEnd(query: string, start: number): number {
  if (query.startsWith('--', start)) {
    const newline = query.indexOf('\n', start);
    return newline < 0 ? query.length : newline;
  }
  return query.startsWith('/*', start) ? blockEnd(query, start) : start;
}

/**
 * Puts a space in the place of each comment, as PostgreSQL does: `--` up to the end of the line, and
 * slashes with stars, which nest. Takes time linear in the length of the query.
 *
 * @returns `null` if a comment or a quoted text does not end.
 */
export function withoutComments(query: string): string | null {
  let bare = '';
  let kept = 0;
  let offset = 0;
  while (offset < query.length) {
    const character = query.charAt(offset);
    if (character === "'" || character === '"') {
      // A doubled quote is the end of one text and the beginning of the next.
      const end = query.indexOf(character, offset + 1);
      if (end < 0) {
        return null;
      }
      offset = end + 1;
      continue;
    }
    const end = commentEnd(query, offset);
    if (end < 0) {
      return null;
    }
    if (end > offset) {
      bare += `${query.slice(kept, offset)} `;
      kept = end;
    }
    offset = Math.max(end, offset + 1);
  }
  return bare + query.slice(kept);
}
