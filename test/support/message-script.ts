import * as frontend from './frontend-messages.ts';
import type { BindValue } from './frontend-messages.ts';
import type { SeededRandom } from './seeded-random.ts';

/** A message to send, and how to call it when something is wrong. */
export interface ScriptStep {
  readonly text: string;
  readonly bytes: Buffer;
}

const EXPRESSIONS = [
  '1',
  '1 / 0',
  "'abc'::int",
  'NULL',
  "repeat('x', 20)",
  "repeat('y', 100000)",
  'generate_series(1, 3)',
  'generate_series(1, 300)',
  'nonsense',
  'pg_sleep(0.001)',
];

const INT4_PLUS = 177;
const INT4_DIVIDE = 154;
const NO_FUNCTION = 4_000_000_000;

/**
 * Writes random but legal conversations of one client: simple and extended queries, pipelines,
 * errors, Flush, COPY, FunctionCall, Close and Describe of things that are there or not.
 *
 * A unit begins and ends outside of transactions, and what one unit leaves behind in its session
 * is never used by another: what holds for any server connection holds for all.
 */
export class ScriptWriter {
  readonly #random: SeededRandom;
  readonly #table: string;
  #steps: ScriptStep[] = [];
  #unitCount = 0;
  /** Names of statements and portals may be used: the server connection stays the same. */
  #isInBlock = false;
  /** The unnamed statement is one of this unit. */
  #hasUnnamed = false;
  /** The unnamed portal has been bound since the last Sync and the last simple query. */
  #hasPortal = false;
  #statements = new Set<string>();

  /** @param table - a table `(a int, b text)` of this client alone. */
  constructor(random: SeededRandom, table: string) {
    this.#random = random;
    this.#table = table;
  }

  /** The value that the last row of the last unit carries. */
  get marker(): string {
    return `end of unit ${String(this.#unitCount)}`;
  }

  /** Writes one unit. It ends with a query that returns {@link marker}. */
  unit(): ScriptStep[] {
    this.#steps = [];
    this.#unitCount++;
    this.#hasUnnamed = false;
    this.#statements = new Set();
    this.#isInBlock = this.#random.chance(0.4);
    if (this.#isInBlock) {
      this.#query('BEGIN');
    }
    for (let left = 1 + this.#random.below(6); left > 0; left--) {
      this.#batch();
    }
    // An error may make the server skip everything up to Sync.
    this.#sync();
    for (const name of this.#statements) {
      this.#add(`Close S ${name}`, frontend.close('S', name));
    }
    this.#sync();
    if (this.#isInBlock) {
      this.#query(this.#random.pick(['COMMIT', 'ROLLBACK', 'END', 'ABORT']));
    }
    // Whatever a simple query of several statements may have opened.
    this.#query('ROLLBACK');
    this.#query(`SELECT '${this.marker}'`);
    return this.#steps;
  }

  #add(text: string, bytes: Buffer): void {
    this.#steps.push({ text, bytes });
  }

  #query(sql: string): void {
    this.#add(`Query ${JSON.stringify(sql)}`, frontend.query(sql));
    // It drops the unnamed statement and the unnamed portal.
    this.#hasUnnamed = false;
    this.#hasPortal = false;
  }

  #sync(): void {
    this.#add('Sync', frontend.sync());
    this.#hasUnnamed &&= this.#isInBlock;
    this.#hasPortal = false;
  }

  #batch(): void {
    const kinds: readonly (() => void)[] = [
      () => {
        this.#simple();
      },
      () => {
        this.#extended();
      },
      () => {
        this.#extended();
      },
      () => {
        this.#extended();
      },
      () => {
        this.#copyIn();
      },
      () => {
        this.#copyInExtended();
      },
      () => {
        this.#functionCall();
      },
      () => {
        this.#stray();
      },
    ];
    this.#random.pick(kinds)();
  }

  #expression(): string {
    return this.#random.pick(EXPRESSIONS);
  }

  #statement(): string {
    const below = (limit: number): string => String(this.#random.below(limit));
    const common = [
      () => `SELECT ${this.#expression()} AS value`,
      () => `SELECT ${this.#expression()}, ${this.#expression()}`,
      () => `INSERT INTO ${this.#table} VALUES (${below(100)}, 'row')`,
      () => `UPDATE ${this.#table} SET b = b || 'x' WHERE a < ${below(100)}`,
      () => `DELETE FROM ${this.#table} WHERE a > ${below(100)}`,
      () => `SELECT count(*) + 0 AS n, max(a) + 0 AS most FROM ${this.#table}`,
      () => `SELECT a + 0 AS a, b || '' AS b FROM ${this.#table} ORDER BY a, b LIMIT 50`,
      () => `COPY (SELECT generate_series(1, ${below(400)})) TO STDOUT`,
      () => `COPY (SELECT 100 / (5 - generate_series(1, 10))) TO STDOUT`,
      () => `DO $$ BEGIN RAISE NOTICE 'look %', ${below(9)}; END $$`,
      () => `DO $$ BEGIN RAISE EXCEPTION 'no %', ${below(9)}; END $$`,
      () => 'a syntax error',
      () => '',
    ];
    const inBlock = [
      () => 'SAVEPOINT s',
      () => 'ROLLBACK TO SAVEPOINT s',
      () => 'RELEASE SAVEPOINT s',
      () => `SET LOCAL application_name = 'name ${below(9)}'`,
      () => `DECLARE c${below(3)} CURSOR FOR SELECT generate_series(1, 10) AS n`,
      () => `FETCH ${below(5)} FROM c${below(3)}`,
      () => `CLOSE c${below(3)}`,
    ];
    return this.#random.pick(this.#isInBlock ? [...common, ...inBlock] : common)();
  }

  #simple(): void {
    const outside = ['BEGIN', 'COMMIT', 'ROLLBACK', 'START TRANSACTION READ ONLY'];
    const parts: string[] = [];
    for (let left = 1 + (this.#random.chance(0.3) ? this.#random.below(4) : 0); left > 0; left--) {
      const isControl = !this.#isInBlock && this.#random.chance(0.15);
      parts.push(isControl ? this.#random.pick(outside) : this.#statement());
    }
    this.#query(parts.join('; '));
  }

  #name(): string {
    return this.#isInBlock ? this.#random.pick(['', '', 'one', 'two']) : '';
  }

  #values(): BindValue[] {
    return this.#random.pick<BindValue[]>([
      ['7'],
      ['0'],
      [null],
      ['many'],
      [],
      ['1', '2'],
      ['9'.repeat(9)],
    ]);
  }

  #extended(): void {
    for (let left = 1 + this.#random.below(8); left > 0; left--) {
      this.#extendedStep();
    }
    if (this.#random.chance(0.2)) {
      this.#add('Flush', frontend.flush());
    }
    if (!this.#isInBlock || this.#random.chance(0.8)) {
      this.#sync();
    }
  }

  #extendedStep(): void {
    const kind = this.#random.below(10);
    if (kind < 3 || (!this.#hasUnnamed && kind < 7)) {
      this.#wholeStatement();
    } else if (kind === 3) {
      this.#parse(this.#name());
    } else if (kind === 4) {
      this.#bind(this.#usableStatement());
    } else if (kind === 5) {
      const name = this.#usableStatement();
      this.#add(`Describe S ${name}`, frontend.describe('S', name));
    } else if (kind === 6) {
      const portal = this.#usablePortal();
      const limit = this.#random.pick([0, 0, 1, 2]);
      this.#add(`Execute ${portal} ${String(limit)}`, frontend.execute(portal, limit));
    } else if (kind === 7) {
      const type = this.#random.pick(['S', 'P'] as const);
      const name = this.#random.pick(['missing', this.#name()]);
      this.#add(`Close ${type} ${name}`, frontend.close(type, name));
      this.#hasUnnamed &&= type === 'P' || name !== '';
    } else if (kind === 8) {
      const type = this.#random.pick(['S', 'P'] as const);
      this.#add(`Describe ${type} missing`, frontend.describe(type, 'missing'));
    } else {
      this.#add('Flush', frontend.flush());
    }
  }

  /** The unnamed statement of somebody else may be there: it must not be used. */
  #usableStatement(): string {
    const names = ['missing', ...this.#statements, ...(this.#hasUnnamed ? [''] : [])];
    return this.#random.pick(names);
  }

  /**
   * PostgreSQL 18.4 crashes when Execute names the unnamed portal that a failed simple query has
   * left behind in a transaction block, so it must have been bound before.
   */
  #usablePortal(): string {
    const names = ['missing', ...this.#statements, ...(this.#hasPortal ? ['', ''] : [])];
    return this.#random.pick(names);
  }

  #wholeStatement(): void {
    const name = this.#name();
    this.#parse(name);
    const portal = this.#bind(name);
    if (this.#random.chance(0.7)) {
      this.#add(`Describe P ${portal}`, frontend.describe('P', portal));
    }
    const limit = this.#random.pick([0, 0, 0, 2]);
    this.#add(`Execute ${portal} ${String(limit)}`, frontend.execute(portal, limit));
  }

  #parse(name: string): void {
    const sql = this.#random.chance(0.4)
      ? this.#random.pick(['SELECT $1::int + 1', 'SELECT 100 / $1::int', 'SELECT $1::text, $1'])
      : this.#statement();
    this.#add(`Parse ${name} ${JSON.stringify(sql)}`, frontend.parse(sql, name));
    if (name === '') {
      this.#hasUnnamed = true;
    } else {
      this.#statements.add(name);
    }
  }

  #bind(statement: string): string {
    const portal = this.#name();
    const values = this.#random.chance(0.6) ? [] : this.#values();
    const format = this.#random.pick([0, 1] as const);
    this.#add(
      `Bind ${portal} ${statement} ${JSON.stringify(values)} ${String(format)}`,
      frontend.bind({ portal, statement, values, resultFormats: [format] }),
    );
    this.#hasPortal ||= portal === '';
    return portal;
  }

  #copyMessages(): void {
    for (let left = this.#random.below(4); left > 0; left--) {
      const line = this.#random.chance(0.85)
        ? `${String(this.#random.below(100))}\tin\n`
        : 'bad\tx\n';
      const text = line.repeat(this.#random.pick([1, 1, 3, 5_000]));
      this.#add(`CopyData ${JSON.stringify(line)}...`, frontend.copyData(text));
      if (this.#random.chance(0.1)) {
        this.#add('Flush', frontend.flush());
      }
    }
    if (this.#random.chance(0.85)) {
      this.#add('CopyDone', frontend.copyDone());
    } else {
      this.#add('CopyFail', frontend.copyFail('enough'));
    }
  }

  #copyIn(): void {
    const copy = `COPY ${this.#table} FROM STDIN`;
    const count = this.#random.pick([1, 1, 1, 2]);
    this.#query(Array.from({ length: count }, () => copy).join('; '));
    for (let left = count; left > 0; left--) {
      this.#copyMessages();
    }
  }

  #copyInExtended(): void {
    this.#add('Parse COPY', frontend.parse(`COPY ${this.#table} FROM STDIN`));
    // Whoever executed it again would have PostgreSQL end the connection for what comes behind it.
    this.#hasUnnamed = false;
    this.#add('Bind', frontend.bind());
    this.#add('Execute', frontend.execute());
    if (this.#random.chance(0.3)) {
      this.#add('Sync', frontend.sync());
    }
    this.#copyMessages();
    this.#sync();
  }

  #functionCall(): void {
    const [oid, values] = this.#random.pick<readonly [number, readonly string[]]>([
      [INT4_PLUS, ['40', '2']],
      [INT4_DIVIDE, ['1', '0']],
      [INT4_PLUS, ['1']],
      [NO_FUNCTION, []],
    ]);
    const text = `FunctionCall ${String(oid)} ${JSON.stringify(values)}`;
    this.#add(text, frontend.functionCall(oid, values));
  }

  #stray(): void {
    this.#random.pick([
      () => {
        this.#add('CopyData', frontend.copyData('stray'));
      },
      () => {
        this.#add('CopyDone', frontend.copyDone());
      },
      () => {
        this.#add('CopyFail', frontend.copyFail('stray'));
      },
      () => {
        this.#add('Flush', frontend.flush());
      },
      () => {
        this.#sync();
      },
    ])();
  }
}
