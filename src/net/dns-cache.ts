import { ResolveError, type NameResolver, type ResolvedName } from './resolver.ts';

/** What a {@link DnsCache} needs from around it. */
export interface DnsCacheHost {
  readonly resolver: NameResolver;
  nowMs(): number;
  /** How long addresses are remembered, in ms; read for each answer. */
  readonly maxTtlMs: number;
  /** How long a failure is remembered, in ms; read for each failure. */
  readonly failureTtlMs: number;
  /** A name could not be resolved. Not called for failures that are remembered. */
  onFailure(name: string, error: ResolveError): void;
  /** A name was resolved. */
  onResolved(name: string, addresses: readonly string[]): void;
  /** Addresses that a name had before and has no more. Called before look-ups are answered. */
  onVanished(name: string, addresses: ReadonlySet<string>): void;
}

/**
 * Takes the outcome of a look-up.
 *
 * @param addresses - numeric, in the order to try them; empty with an error.
 */
export type LookupDone = (error: ResolveError | null, addresses: readonly string[]) => void;

/** What is known of one name. */
export interface DnsEntry {
  readonly name: string;
  /** Empty after a failure, and before the first answer. */
  readonly addresses: readonly string[];
  /** When it must be looked up again, in clock ms. */
  readonly expiresAtMs: number;
}

class CachedName implements DnsEntry {
  readonly name: string;
  addresses: readonly string[] = [];
  /** The last addresses that were known; kept over failures, so that what vanished is seen. */
  lastAddresses: readonly string[] = [];
  expiresAtMs = Number.NEGATIVE_INFINITY;
  error: ResolveError | null = null;
  /** Who waits for the answer; null while none is under way. */
  waiting: LookupDone[] | null = null;
  /** Place of the address whose turn it is. */
  turn = 0;

  constructor(name: string) {
    this.name = name;
  }
}

/** Remembers the addresses of host names and gives them out in turn. */
export class DnsCache {
  readonly #host: DnsCacheHost;
  readonly #names = new Map<string, CachedName>();
  #queryCount = 0;

  constructor(host: DnsCacheHost) {
    this.#host = host;
  }

  /** All names that have been looked up. */
  get entries(): readonly DnsEntry[] {
    return [...this.#names.values()];
  }

  /** Look-ups under way, count. */
  get queryCount(): number {
    return this.#queryCount;
  }

  /**
   * Finds the addresses of a host name. Look-ups of the same name at the same time are one.
   *
   * @param done - called once, never before this returns and never in a chain of promises: a caller
   *   that tries again at once does not keep the process from its other work.
   */
  lookup(name: string, done: LookupDone): void {
    const entry = this.#entryOf(name);
    if (entry.waiting !== null) {
      entry.waiting.push(done);
    } else if (this.#host.nowMs() < entry.expiresAtMs) {
      answer(entry, done);
    } else {
      entry.waiting = [done];
      void this.#resolve(entry);
    }
  }

  /** Looks a name up again now, whatever is remembered. Who asks meanwhile waits for the answer. */
  refresh(name: string): void {
    const entry = this.#entryOf(name);
    if (entry.waiting === null) {
      entry.waiting = [];
      void this.#resolve(entry);
    }
  }

  #entryOf(name: string): CachedName {
    let entry = this.#names.get(name);
    if (entry === undefined) {
      entry = new CachedName(name);
      this.#names.set(name, entry);
    }
    return entry;
  }

  /** Never rejects. */
  async #resolve(entry: CachedName): Promise<void> {
    this.#queryCount++;
    const outcome = await this.#host.resolver
      .resolve(entry.name)
      .catch((error: unknown) =>
        error instanceof ResolveError ? error : new ResolveError(entry.name, String(error)),
      );
    this.#queryCount--;
    setImmediate(() => {
      this.#settle(entry, outcome);
    });
  }

  #settle(entry: CachedName, outcome: ResolvedName | ResolveError): void {
    const waiting = entry.waiting ?? [];
    entry.waiting = null;
    const nowMs = this.#host.nowMs();
    if (outcome instanceof ResolveError) {
      entry.error = outcome;
      entry.addresses = [];
      entry.expiresAtMs = nowMs + this.#host.failureTtlMs;
      this.#host.onFailure(entry.name, outcome);
    } else {
      entry.error = null;
      entry.expiresAtMs = nowMs + this.#host.maxTtlMs;
      this.#adopt(entry, outcome);
      this.#host.onResolved(entry.name, entry.addresses);
    }
    for (const done of waiting) {
      answer(entry, done);
    }
  }

  #adopt(entry: CachedName, { addresses, isComplete }: ResolvedName): void {
    const old = entry.lastAddresses;
    // Name servers shuffle their answers; taking turns needs an order that stays.
    const kept = old.filter((address) => addresses.includes(address));
    entry.addresses = [...kept, ...addresses.filter((address) => !old.includes(address))];
    const vanished = new Set(old.filter((address) => !addresses.includes(address)));
    if (!isComplete) {
      // Those of the family that was not answered may still be right.
      entry.lastAddresses = [...entry.addresses, ...vanished];
      return;
    }
    entry.lastAddresses = entry.addresses;
    if (vanished.size > 0) {
      this.#host.onVanished(entry.name, vanished);
    }
  }
}

function answer(entry: CachedName, done: LookupDone): void {
  const { error, addresses, turn } = entry;
  const start = addresses.length === 0 ? 0 : turn % addresses.length;
  entry.turn = start + 1;
  const ordered = [...addresses.slice(start), ...addresses.slice(0, start)];
  setImmediate(() => {
    done(error, ordered);
  });
}
