/** A place where two transcripts part: lines that only one of them has. */
export interface Hunk {
  readonly pgbouncer: readonly string[];
  readonly maitred: readonly string[];
  /** The last line that both have before it; empty at the beginning. */
  readonly after: string;
}

/** A difference that is known and explained: its id stands in expected-differences.json. */
export interface Difference {
  readonly id: string;
  readonly pgbouncer: readonly string[];
  readonly maitred: readonly string[];
}

/**
 * Differences of the same kind wherever they occur: judges one hunk.
 *
 * @returns What is left of it, and the ids of what was taken away.
 */
export type CommonDifference = (hunk: Hunk) => { readonly rest: Hunk; readonly id: string } | null;

/** What a comparison has found. */
export interface Findings {
  /** Hunks that nothing explains. */
  readonly unexplained: readonly Hunk[];
  /** Expected differences that were not seen. */
  readonly stale: readonly Difference[];
  /** Ids of the differences seen. */
  readonly ids: ReadonlySet<string>;
}

/** Compares two transcripts, line by line. */
export function findDifferences(
  pgbouncer: readonly string[],
  maitred: readonly string[],
  expected: readonly Difference[],
  common: readonly CommonDifference[],
): Findings {
  const ids = new Set<string>();
  const unexplained: Hunk[] = [];
  const seen = new Set<Difference>();
  for (const hunk of hunksOf(pgbouncer, maitred)) {
    const rest = withoutCommon(hunk, common, ids);
    if (rest.pgbouncer.length + rest.maitred.length === 0) {
      continue;
    }
    const match = expected.find((difference) => isSame(difference, rest));
    if (match === undefined) {
      unexplained.push(rest);
    } else {
      seen.add(match);
      ids.add(match.id);
    }
  }
  return { unexplained, stale: expected.filter((difference) => !seen.has(difference)), ids };
}

function withoutCommon(hunk: Hunk, common: readonly CommonDifference[], ids: Set<string>): Hunk {
  let rest = hunk;
  for (const judge of common) {
    const verdict = judge(rest);
    if (verdict !== null) {
      ids.add(verdict.id);
      rest = verdict.rest;
    }
  }
  return rest;
}

function isSame(difference: Difference, hunk: Hunk): boolean {
  const text = (lines: readonly string[]): string => lines.join('\n');
  return (
    text(difference.pgbouncer) === text(hunk.pgbouncer) &&
    text(difference.maitred) === text(hunk.maitred)
  );
}

/** The hunks of the shortest edit from `left` to `right`. */
export function hunksOf(left: readonly string[], right: readonly string[]): Hunk[] {
  const common = commonLengths(left, right);
  const width = right.length + 1;
  const hunks: Hunk[] = [];
  let i = 0;
  let j = 0;
  let after = '';
  while (i < left.length || j < right.length) {
    const fromLeft: string[] = [];
    const fromRight: string[] = [];
    while ((i < left.length || j < right.length) && (i >= left.length || left[i] !== right[j])) {
      const down = i < left.length ? (common[(i + 1) * width + j] ?? 0) : -1;
      const across = j < right.length ? (common[i * width + j + 1] ?? 0) : -1;
      if (down >= across) {
        fromLeft.push(left[i++] ?? '');
      } else {
        fromRight.push(right[j++] ?? '');
      }
    }
    if (fromLeft.length + fromRight.length > 0) {
      hunks.push({ pgbouncer: fromLeft, maitred: fromRight, after });
    } else {
      after = left[i] ?? '';
      i++;
      j++;
    }
  }
  return hunks;
}

/** For each pair of positions, the length of the longest common subsequence from there on. */
function commonLengths(left: readonly string[], right: readonly string[]): Uint32Array {
  const width = right.length + 1;
  const lengths = new Uint32Array((left.length + 1) * width);
  for (let i = left.length - 1; i >= 0; i--) {
    for (let j = right.length - 1; j >= 0; j--) {
      lengths[i * width + j] =
        left[i] === right[j]
          ? (lengths[(i + 1) * width + j + 1] ?? 0) + 1
          : Math.max(lengths[(i + 1) * width + j] ?? 0, lengths[i * width + j + 1] ?? 0);
    }
  }
  return lengths;
}

/** A hunk as text for a failure message. */
export function describeHunk({ pgbouncer, maitred, after }: Hunk): string {
  return [
    `after: ${after}`,
    ...pgbouncer.map((line) => `- ${line}`),
    ...maitred.map((line) => `+ ${line}`),
  ].join('\n');
}
