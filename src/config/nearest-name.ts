/** Counts the single-letter insertions, deletions and changes that turn `a` into `b`. */
function editDistance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_unused, index) => index);
  for (let i = 1; i <= a.length; i += 1) {
    const current = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const change = (previous[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      const insertOrDelete = Math.min(previous[j] ?? 0, current[j - 1] ?? 0) + 1;
      current.push(Math.min(change, insertOrDelete));
    }
    previous = current;
  }
  return previous[b.length] ?? 0;
}

/** Longer words are not compared: no name is as long, and the work grows with the product. */
const LONGEST_WORD = 64;

/**
 * Finds the name that a misspelt word was probably meant to be.
 *
 * @param word - What was written.
 * @param names - What is known.
 * @returns The nearest name, or `null` when none is near enough to be worth proposing.
 */
export function nearestName(word: string, names: Iterable<string>): string | null {
  if (word.length > LONGEST_WORD) {
    return null;
  }
  const plain = word.toLowerCase().replaceAll('-', '_');
  let nearest: string | null = null;
  let nearestDistance = Math.max(1, Math.floor(plain.length / 3)) + 1;
  for (const name of names) {
    const distance = editDistance(plain, name);
    if (distance < nearestDistance) {
      nearest = name;
      nearestDistance = distance;
    }
  }
  return nearest;
}
