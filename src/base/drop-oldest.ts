/** Forgets entries of a table until it has no more than `most`: those that were put in first. */
export function dropOldest(table: Map<unknown, unknown> | Set<unknown>, most: number): void {
  for (const oldest of table.keys()) {
    if (table.size <= most) {
      return;
    }
    table.delete(oldest);
  }
}
