import type { ConsoleRole } from '../../../src/admin/commands.ts';
import { ConsoleSession } from '../../../src/admin/console-session.ts';
import * as frontend from '../../support/frontend-messages.ts';
import { decode, type Decoded } from './decode.ts';
import { FakeControl } from './fake-control.ts';

/** A console session on a fake control, with its output decoded. */
export class ConsoleFixture {
  readonly control = new FakeControl();
  readonly audited: string[] = [];
  /** Errors sent, as they are logged. */
  readonly loggedErrors: string[] = [];
  /** Work put off to a later turn of the event loop. */
  readonly deferred: (() => void)[] = [];
  readonly session: ConsoleSession;
  /** Time that each look at the clock takes, ms; answers are made in as few turns as steps allow. */
  stepMs = 0;
  #clockMs = 0;
  #sent: Buffer[] = [];

  constructor(role: ConsoleRole = 'admin') {
    this.session = new ConsoleSession({
      control: this.control,
      actor: { user: 'alice', address: '192.0.2.1:5000' },
      role,
      send: (messages) => this.#sent.push(messages),
      nowMs: () => this.nowMs(),
      defer: (action) => this.deferred.push(action),
      audit: (text, actor) => this.audited.push(`${actor.user}@${actor.address}: ${text}`),
      logQuery: () => undefined,
      logError: ({ message }, actor) => this.loggedErrors.push(`${actor.user}: ${message}`),
    });
  }

  nowMs(): number {
    this.#clockMs += this.stepMs;
    return this.#clockMs;
  }

  /** Sends whole messages. @returns what the session said to the last of them. */
  take(...messages: readonly Buffer[]): boolean {
    let isOpen = true;
    for (const message of messages) {
      isOpen = this.session.onMessage(message.readUInt8(), message.subarray(5));
    }
    return isOpen;
  }

  /** Sends a query. @returns whether the session goes on. */
  send(sql: string): boolean {
    return this.take(frontend.query(sql));
  }

  /** Sends whole messages and returns what has been answered by then, one line each. */
  exchange(...messages: readonly Buffer[]): string[] {
    this.take(...messages);
    return summary(this.output());
  }

  /** Sends a query and returns what has been answered by the time it is taken. */
  query(sql: string): Decoded[] {
    this.send(sql);
    return this.output();
  }

  /** Returns what was sent since the last call. */
  output(): Decoded[] {
    const messages = decode(Buffer.concat(this.#sent));
    this.#sent = [];
    return messages;
  }
}

/** One line for each message, for comparing whole conversations. */
export function summary(messages: readonly Decoded[]): string[] {
  return messages.map((message) => {
    switch (message.type) {
      case 'RowDescription':
        return `RowDescription ${message.columns.map(({ name }) => name).join(',')}`;
      case 'DataRow':
        return `DataRow ${message.values.map((value) => value ?? 'NULL').join('|')}`;
      case 'CommandComplete':
        return `CommandComplete ${message.tag}`;
      case 'ParameterDescription':
        return `ParameterDescription ${message.count}`;
      case 'Bare':
        return message.name;
      case 'ReadyForQuery':
        return `ReadyForQuery ${message.status}`;
      case 'ErrorResponse':
      case 'NoticeResponse':
        return `${message.type} ${message.severity} ${message.sqlstate} ${message.message}`;
    }
  });
}
