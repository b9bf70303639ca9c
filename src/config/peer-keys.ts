import { int, str } from './setting.ts';
import { checkHost } from './text-checks.ts';

/** Largest id of a peer: a cancel key has 16 bits for it. */
export const MAX_PEER_ID = 65_535;

/** The keys of one entry of `peers`. `host` is required. */
export const PEER_KEYS = {
  host: str({
    default: null,
    group: 'essential',
    check: checkHost,
    allowed: 'names, IPv4 or IPv6 addresses, or directories starting with /, with commas between',
    doc: 'Where the process with this id listens: name, IPv4 or IPv6 address, or the directory of its Unix socket; several with commas between are used in turn. Required.',
  }),
  port: int({
    default: 6432,
    min: 1,
    max: 65_535,
    group: 'essential',
    doc: 'Port that it listens on.',
  }),
  pool_size: int({
    default: null,
    inherit: 'negative',
    group: 'frequent',
    doc: 'Most cancel requests on their way to it at a time; more wait for their turn, up to cancel_wait_timeout. Without it, default_pool_size. 0 stands for 20.',
  }),
} as const;

/**
 * Reads the id of a peer.
 *
 * @param name - The name of the entry as written.
 * @returns 1 to {@link MAX_PEER_ID}, or `null` for anything else.
 */
export function parsePeerId(name: string): number | null {
  const id = /^[1-9]\d{0,4}$/.test(name) ? Number(name) : 0;
  return id >= 1 && id <= MAX_PEER_ID ? id : null;
}
