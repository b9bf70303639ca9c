/** The first releases of Node.js whose sockets know SO_REUSEPORT: 22.12 and 23.1. */
const FIRST_MINOR: ReadonlyMap<number, number> = new Map([
  [22, 12],
  [23, 1],
]);

/** The first line of releases that has it from the start. */
const FIRST_MAJOR = 24;

/**
 * Tells whether several processes can listen on one TCP port with this Node.js. Older ones take the
 * option and do nothing, so the version has to be asked.
 *
 * @param version - `process.versions.node`.
 */
export function canReusePort(version: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  return major >= FIRST_MAJOR || minor >= (FIRST_MINOR.get(major) ?? Infinity);
}
