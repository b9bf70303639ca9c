/** Chooses who runs PostgreSQL, which refuses to run as root; `null` when this process is not root. */
export function serverIdentity(): { uid: number; gid: number } | null;
