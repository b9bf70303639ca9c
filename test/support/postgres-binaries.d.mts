/** Who runs PostgreSQL, which refuses to run as root; `null` when this process is not root. */
export function serverIdentity(): { readonly uid: number; readonly gid: number } | null;

/** Finds PostgreSQL programs that `identity` may run. @returns The directory with `bin`. */
export function preparePostgresBinaries(
  identity: { readonly uid: number; readonly gid: number } | null,
): string;
