import { isIP, isIPv4 } from 'node:net';

/** What a resolver file says about looking names up. */
export interface ResolverFile {
  /** Name servers as `address`, `address:port` or `[address]:port`; empty for those of the system. */
  readonly nameServers: readonly string[];
  /** Domains to try behind names that are not complete. */
  readonly searchDomains: readonly string[];
  /** Dots from which on a name is first tried as it is, 0 to 15. */
  readonly minDots: number;
  /** How long one name server has for an answer, in ms. */
  readonly timeoutMs: number;
  /** How often all name servers are asked. */
  readonly attempts: number;
}

/** Limits of resolv.conf(5): RES_MAXNDOTS, RES_MAXRETRANS in s, RES_MAXRETRY. */
const MOST = { ndots: 15, timeout: 30, attempts: 5 };
const DEFAULT_TIMEOUT_S = 5;
const DEFAULT_ATTEMPTS = 2;
const MAX_PORT = 65_535;

/** @returns the address as the resolver takes it, or null when it is none. */
function nameServerOf(text: string): string | null {
  if (text.includes('%')) {
    // An address with a zone means something to the system's resolver only.
    return null;
  }
  if (isIP(text) !== 0) {
    return text;
  }
  const [, bracketed, plain, digits] = /^(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/.exec(text) ?? [];
  const port = Number(digits ?? 0);
  if (port < 1 || port > MAX_PORT) {
    return null;
  }
  if (bracketed !== undefined) {
    return isIP(bracketed) === 6 ? text : null;
  }
  return isIPv4(plain ?? '') ? text : null;
}

function readOption(text: string, name: keyof typeof MOST): number | null {
  const match = new RegExp(`^${name}:(\\d{1,6})$`).exec(text);
  return match === null ? null : Math.min(Number(match[1]), MOST[name]);
}

/**
 * Reads a resolver file. A name server may have a port, which resolv.conf(5) does not know. What is
 * not understood is skipped. Never throws.
 *
 * @source resolv.conf(5): nameserver, search, domain, options ndots, timeout, attempts
 */
export function parseResolverFile(text: string): ResolverFile {
  const nameServers: string[] = [];
  let searchDomains: readonly string[] = [];
  let minDots = 1;
  let timeoutS = DEFAULT_TIMEOUT_S;
  let attempts = DEFAULT_ATTEMPTS;
  for (const line of text.split('\n')) {
    const [keyword, ...values] = line
      .replace(/[#;].*/, '')
      .trim()
      .split(/\s+/);
    if (keyword === 'nameserver') {
      const server = nameServerOf(values[0] ?? '');
      if (server !== null) {
        nameServers.push(server);
      }
    } else if (keyword === 'search' || keyword === 'domain') {
      // The last one counts. `.` is the root, where a name as it is belongs already.
      searchDomains = values.map((domain) => domain.replace(/\.$/, '')).filter(Boolean);
    } else if (keyword === 'options') {
      for (const option of values) {
        minDots = readOption(option, 'ndots') ?? minDots;
        timeoutS = Math.max(readOption(option, 'timeout') ?? timeoutS, 1);
        attempts = Math.max(readOption(option, 'attempts') ?? attempts, 1);
      }
    }
  }
  return { nameServers, searchDomains, minDots, timeoutMs: timeoutS * 1000, attempts };
}

/** The names to ask for, in order, for the name an operator wrote. */
export function candidateNames(name: string, file: ResolverFile): readonly string[] {
  if (name.endsWith('.')) {
    return [name.slice(0, -1)];
  }
  const searched = file.searchDomains.map((domain) => `${name}.${domain}`);
  const dots = name.split('.').length - 1;
  return dots >= file.minDots ? [name, ...searched] : [...searched, name];
}
