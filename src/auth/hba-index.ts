import { HbaNameTable } from './hba-name-table.ts';
import { HBA_CONNECTIONS } from './hba-rules.ts';
import type { ConnectionFacts, HbaConnection, HbaRule, LocalNetworks } from './hba-rules.ts';

/** The rules of one type: those for physical replication and those for all else. */
interface TypeTables {
  readonly ordinary: HbaNameTable;
  readonly replication: HbaNameTable;
}

/**
 * Finds the rule that decides about a connection: the first that matches in all columns.
 *
 * Rules are found by type, user, database and address in tables made when the file is read, so that a
 * login costs about the same with ten rules and with a hundred thousand. What the tables hand out is
 * held against the rule itself: they may name too many rules, never too few.
 *
 * @source PostgreSQL manual, "The pg_hba.conf File"
 */
export class HbaIndex {
  readonly #rules: readonly HbaRule[];
  readonly #tables: ReadonlyMap<HbaConnection, TypeTables>;

  /** @param rules - in the order of their lines; never changed from now on. */
  constructor(rules: readonly HbaRule[]) {
    this.#rules = rules;
    this.#tables = new Map(HBA_CONNECTIONS.map((type) => [type, tablesOf(rules, type)]));
  }

  /**
   * Finds the rule for a connection.
   *
   * @param localNetworks - Asked for `samehost` and `samenet` only.
   * @returns `null` when there is none: the connection is refused.
   */
  find(facts: ConnectionFacts, localNetworks: LocalNetworks): HbaRule | null {
    let best = this.#rules.length;
    for (const type of typesOf(facts)) {
      const tables = this.#tables.get(type);
      const table = facts.isPhysicalReplication ? tables?.replication : tables?.ordinary;
      best = table?.findBefore(best, facts, localNetworks) ?? best;
    }
    return this.#rules[best] ?? null;
  }
}

function typesOf({ address, isTls }: ConnectionFacts): readonly HbaConnection[] {
  if (address === null) {
    return ['local'];
  }
  return isTls ? ['host', 'hostssl'] : ['host', 'hostnossl'];
}

function tablesOf(rules: readonly HbaRule[], type: HbaConnection): TypeTables {
  const ordinary = new HbaNameTable(rules);
  const replication = new HbaNameTable(rules);
  for (const [position, rule] of rules.entries()) {
    if (rule.connection === type) {
      ordinary.enter(position, rule.users, rule.databases);
      if (rule.databases.isReplication) {
        replication.enter(position, rule.users, null);
      }
    }
  }
  ordinary.close();
  replication.close();
  return { ordinary, replication };
}
