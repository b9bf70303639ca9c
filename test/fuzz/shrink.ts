/** Tries out whether some pieces are enough to make something fail. */
export type Trial = (pieces: readonly Buffer[]) => Promise<boolean>;

/**
 * Looks for few pieces that still make something fail, by leaving out larger and then smaller runs
 * of them.
 *
 * @param pieces - that make it fail.
 * @param maxTrials - when to be content with what was found.
 */
export async function shrink(
  pieces: readonly Buffer[],
  fails: Trial,
  maxTrials: number,
): Promise<readonly Buffer[]> {
  let kept = pieces;
  let trials = 0;
  for (let run = Math.ceil(kept.length / 2); run >= 1; run = run === 1 ? 0 : Math.ceil(run / 2)) {
    for (let start = 0; start < kept.length && kept.length > 1;) {
      if (trials++ >= maxTrials) {
        return kept;
      }
      const fewer = [...kept.slice(0, start), ...kept.slice(start + run)];
      if (fewer.length > 0 && (await fails(fewer))) {
        kept = fewer;
      } else {
        start += run;
      }
    }
  }
  return kept;
}

/**
 * Finds out which of several candidates makes something fail alone, and the least of it that does.
 *
 * @param candidates - the most likely first.
 * @returns null when none does alone.
 */
export async function findCulprit(
  candidates: readonly (readonly Buffer[])[],
  fails: Trial,
  maxTrials: number,
): Promise<readonly Buffer[] | null> {
  for (const [index, candidate] of candidates.entries()) {
    if (index < maxTrials && candidate.length > 0 && (await fails(candidate))) {
      return shrink(candidate, fails, maxTrials - index - 1);
    }
  }
  return null;
}
