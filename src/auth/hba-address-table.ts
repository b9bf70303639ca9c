import type { IpAddress } from '../net/ip-address.ts';
import { matchesRule } from './hba-rules.ts';
import type { ConnectionFacts, HbaRule, LocalNetworks } from './hba-rules.ts';

/** Rules about networks of one mask. */
interface MaskTable {
  readonly mask: IpAddress;
  /** The first of their positions. */
  readonly first: number;
  /** Positions in their order, by address within the mask. */
  readonly byAddress: Map<string, number[]>;
}

/** Rules of one type, user and database, by address. */
export class HbaAddressTable {
  readonly #rules: readonly HbaRule[];
  /** Rules about all addresses, and those of which only this machine knows the addresses. */
  readonly #others: Readonly<Record<'all' | 'samehost' | 'samenet', number[]>> = {
    all: [],
    samehost: [],
    samenet: [],
  };
  /** Those with the first rules come first. */
  readonly #masks: readonly MaskTable[];

  /**
   * @param rules - all of them.
   * @param positions - of those that the table is about, in their order.
   * @param exact - of those that match everybody who gets here, if only the address does.
   */
  constructor(rules: readonly HbaRule[], positions: readonly number[], exact: ReadonlySet<number>) {
    this.#rules = rules;
    const masks = new Map<string, MaskTable>();
    for (const position of positions) {
      const address = rules[position]?.address;
      if (address?.kind === 'network') {
        const { mask, address: base } = address.network;
        const table = entryOf(masks, keyOf(mask, mask), () => ({
          mask,
          first: position,
          byAddress: new Map<string, number[]>(),
        }));
        append(entryOf(table.byAddress, keyOf(base, mask), newList), position, exact);
      } else if (address !== undefined) {
        append(this.#others[address.kind], position, exact);
      }
    }
    this.#masks = [...masks.values()];
  }

  /** Finds the first rule that matches and stands before position `best`; else returns `best`. */
  findBefore(best: number, facts: ConnectionFacts, localNetworks: LocalNetworks): number {
    const { address } = facts;
    const search = (positions: readonly number[], before: number): number =>
      firstMatch(this.#rules, positions, before, facts, localNetworks);
    let found = search(this.#others.all, best);
    if (address === null) {
      return found;
    }
    for (const { mask, first, byAddress } of this.#masks) {
      if (first >= found) {
        break;
      }
      if (mask.length === address.length) {
        found = search(byAddress.get(keyOf(address, mask)) ?? [], found);
      }
    }
    return search(this.#others.samenet, search(this.#others.samehost, found));
  }
}

/**
 * Walks over rules.
 *
 * @param positions - in their order.
 * @returns the first position of a rule that matches, if it stands before `best`; else `best`.
 */
export function firstMatch(
  rules: readonly HbaRule[],
  positions: readonly number[],
  best: number,
  facts: ConnectionFacts,
  localNetworks: LocalNetworks,
): number {
  for (const position of positions) {
    const rule = rules[position];
    if (position >= best || rule === undefined) {
      return best;
    }
    if (matchesRule(rule, facts, localNetworks)) {
      return position;
    }
  }
  return best;
}

/** The bytes of an address that a mask leaves, as characters; the address is as long as the mask. */
function keyOf(address: IpAddress, mask: IpAddress): string {
  let key = '';
  for (let index = 0; index < mask.length; index++) {
    key += String.fromCharCode((address[index] ?? 0) & (mask[index] ?? 0));
  }
  return key;
}

/** What stands behind a rule that leaves nobody over is never reached. */
function append(positions: number[], position: number, exact: ReadonlySet<number>): void {
  const last = positions.at(-1);
  if (last === undefined || !exact.has(last)) {
    positions.push(position);
  }
}

function entryOf<Key, Value>(table: Map<Key, Value>, key: Key, make: () => Value): Value {
  const known = table.get(key);
  if (known !== undefined) {
    return known;
  }
  const made = make();
  table.set(key, made);
  return made;
}

function newList(): number[] {
  return [];
}
