import { RawClient } from './raw-client.ts';
import type { ConnectTarget, LoginOptions } from './raw-client.ts';
import { waitFor } from './wait-for.ts';

/** Visitors at a time. */
const WORKERS = 4;

/** A small load of short visits: clients that come, ask and go, again and again. */
export class Visitors {
  /** What went wrong, one line for each visit that failed. */
  readonly problems: string[] = [];
  /** Visits that went well. */
  count = 0;
  readonly #target: ConnectTarget;
  readonly #account: LoginOptions;
  readonly #workers: Promise<void>[];
  #isOver = false;

  constructor(target: ConnectTarget, account: LoginOptions) {
    this.#target = target;
    this.#account = account;
    this.#workers = Array.from({ length: WORKERS }, () => this.#work());
  }

  /** Waits until `count` more visits went well. */
  async waitForMore(count: number): Promise<void> {
    const goal = this.count + count;
    await waitFor(`${String(count)} more visits`, () => this.count >= goal, { timeoutMs: 30_000 });
  }

  /** Lets the last visits end. */
  async stop(): Promise<void> {
    this.#isOver = true;
    await Promise.all(this.#workers);
  }

  async #work(): Promise<void> {
    while (!this.#isOver) {
      try {
        const client = await RawClient.login(this.#target, this.#account);
        await client.query('SELECT 1');
        await client.close();
        this.count++;
      } catch (error) {
        this.problems.push(String(error));
      }
    }
  }
}
