import { HbaAddressTable, firstMatch } from './hba-address-table.ts';
import type { HbaNames } from './hba-names.ts';
import type { ConnectionFacts, HbaRule, LocalNetworks } from './hba-rules.ts';

/** Stands for a column that admits every name, or whose names are looked at later. */
const ANY = 0;
/** Stands for `sameuser`. */
const SAME = 1;
const FIRST_NAME = 2;
/** Factor by which a user and a database become one exact number; there are fewer names. */
const USER_STEP = 2 ** 26;

/** A rule is entered under each pair of its users and databases, up to this many pairs. */
const MAX_PAIRS = 64;
/** Entries of a table. Rules beyond are looked at for every client. */
const MAX_ENTRIES = 1_000_000;
/** Rules of one user and database that are sooner walked than found in a table. */
const MAX_WALKED = 8;

/** Under what a rule is entered. */
interface Keys {
  readonly users: readonly number[];
  readonly databases: readonly number[];
}

const ANY_NAME: readonly number[] = [ANY];
const ANYBODY: Keys = { users: ANY_NAME, databases: ANY_NAME };

/**
 * Rules of one type, by user and database, and where these have many rules, by address.
 *
 * A column may name users by the thousand, and the pairs with the names of the other column be millions:
 * then one of the columns, or both, are left for later, which costs time and changes nothing else.
 */
export class HbaNameTable {
  readonly #rules: readonly HbaRule[];
  readonly #ids = new Map<string, number>();
  /** Positions in their order, by user and database. */
  readonly #buckets = new Map<number, number[] | HbaAddressTable>();
  /** Positions of rules whose columns of names say no more than their entries. */
  readonly #exact = new Set<number>();
  #entries = 0;

  /** @param rules - all of them; what is entered are positions in it. */
  constructor(rules: readonly HbaRule[]) {
    this.#rules = rules;
  }

  /**
   * Enters a rule. Positions come in their order.
   *
   * @param databases - `null` where the column of databases has no say.
   */
  enter(position: number, users: HbaNames, databases: HbaNames | null): void {
    const wanted = { users: this.#keysOf(users), databases: this.#keysOf(databases) };
    const kept = this.#affordable(wanted);
    if (kept === wanted) {
      this.#exact.add(position);
    }
    this.#entries += kept.users.length * kept.databases.length;
    for (const user of kept.users) {
      for (const database of kept.databases) {
        this.#put(user * USER_STEP + database, position);
      }
    }
  }

  /** Nothing will be entered any more. */
  close(): void {
    for (const [key, bucket] of this.#buckets) {
      if (Array.isArray(bucket) && bucket.length > MAX_WALKED) {
        const table = new HbaAddressTable(this.#rules, bucket, this.#exact);
        this.#buckets.set(key, table);
      }
    }
    this.#exact.clear();
  }

  /** Finds the first rule that matches and stands before position `best`; else returns `best`. */
  findBefore(best: number, facts: ConnectionFacts, localNetworks: LocalNetworks): number {
    const isSame = facts.user === facts.database;
    const users = this.#keysFor(facts.user, isSame);
    const databases = this.#keysFor(facts.database, isSame);
    let found = best;
    for (const user of users) {
      for (const database of databases) {
        const bucket = this.#buckets.get(user * USER_STEP + database);
        if (bucket instanceof HbaAddressTable) {
          found = bucket.findBefore(found, facts, localNetworks);
        } else if (bucket !== undefined) {
          found = firstMatch(this.#rules, bucket, found, facts, localNetworks);
        }
      }
    }
    return found;
  }

  /** Under what rules for somebody are entered. */
  #keysFor(name: string, isSame: boolean): number[] {
    const keys = isSame ? [ANY, SAME] : [ANY];
    const id = this.#ids.get(name);
    if (id !== undefined) {
      keys.push(id);
    }
    return keys;
  }

  #keysOf(column: HbaNames | null): readonly number[] {
    if (column === null || column.isAll) {
      return ANY_NAME;
    }
    const keys = column.isSameUser ? [SAME] : [];
    for (const name of column.names) {
      keys.push(this.#idOf(name));
    }
    return keys;
  }

  #idOf(name: string): number {
    const known = this.#ids.get(name);
    const id = known ?? this.#ids.size + FIRST_NAME;
    if (known === undefined) {
      this.#ids.set(name, id);
    }
    return id;
  }

  /** Returns `keys` itself where nothing had to be left out. */
  #affordable(keys: Keys): Keys {
    const { users, databases } = keys;
    const isPlain = users === ANY_NAME || databases === ANY_NAME;
    const kept =
      isPlain || users.length * databases.length <= MAX_PAIRS ? keys : byShorterColumn(keys);
    const count = kept.users.length * kept.databases.length;
    return this.#entries + count <= MAX_ENTRIES ? kept : ANYBODY;
  }

  #put(key: number, position: number): void {
    const bucket = this.#buckets.get(key);
    if (bucket === undefined) {
      this.#buckets.set(key, [position]);
    } else if (Array.isArray(bucket)) {
      bucket.push(position);
    }
  }
}

function byShorterColumn({ users, databases }: Keys): Keys {
  return users.length <= databases.length
    ? { users, databases: ANY_NAME }
    : { users: ANY_NAME, databases };
}
