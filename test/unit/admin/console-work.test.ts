import { describe, expect, it } from 'vitest';
import { MAX_TURN_MS, STEPS_PER_TURN } from '../../../src/admin/console-work.ts';
import * as frontend from '../../support/frontend-messages.ts';
import { ConsoleFixture, summary } from './console-fixture.ts';
import { CLIENT } from './samples.ts';

const COUNT = 5 * STEPS_PER_TURN + 7;

function withClients(count = COUNT): ConsoleFixture {
  const fixture = new ConsoleFixture();
  fixture.control.clientRows = Array.from({ length: count }, (_, id) => ({ ...CLIENT, id }));
  return fixture;
}

/** Plays the event loop until nothing is put off. @returns how many turns that took. */
function runDeferred(fixture: ConsoleFixture): number {
  let turns = 0;
  for (let action = fixture.deferred.shift(); action; action = fixture.deferred.shift()) {
    action();
    turns += 1;
  }
  return turns;
}

function rowCount(lines: readonly string[]): number {
  return lines.filter((line) => line.startsWith('DataRow')).length;
}

const EXECUTE = [
  frontend.parse('SHOW CLIENTS'),
  frontend.bind(),
  frontend.execute(),
  frontend.sync(),
] as const;

describe('long answers of the console', () => {
  it('come in slices, and other messages wait for them', () => {
    const fixture = withClients();
    const first = fixture.exchange(frontend.query('SHOW CLIENTS'), frontend.query('SHOW VERSION'));
    expect(rowCount(first)).toBeLessThan(STEPS_PER_TURN);
    expect(fixture.deferred).toHaveLength(1);
    expect(runDeferred(fixture)).toBeGreaterThanOrEqual(5);
    const lines = [...first, ...summary(fixture.output())];
    expect(rowCount(lines)).toBe(COUNT + 1);
    expect(lines.filter((line) => line === 'CommandComplete SHOW')).toHaveLength(2);
    expect(lines.slice(-4).map((line) => line.split(' ')[0])).toEqual([
      'RowDescription',
      'DataRow',
      'CommandComplete',
      'ReadyForQuery',
    ]);
  });

  it('tell of the moment of the query, whatever happens while they are made', () => {
    const fixture = withClients();
    fixture.take(frontend.query('SHOW CLIENTS'));
    fixture.control.clientRows = [];
    runDeferred(fixture);
    expect(rowCount(summary(fixture.output()))).toBe(COUNT);
  });

  it('come in smaller slices where each step takes its time', () => {
    const fixture = withClients();
    fixture.stepMs = MAX_TURN_MS / 4;
    fixture.take(frontend.query('SHOW CLIENTS'));
    expect(runDeferred(fixture)).toBeGreaterThan(COUNT / 5);
    expect(rowCount(summary(fixture.output()))).toBe(COUNT);
  });

  it('make one step in each turn at least', () => {
    const fixture = withClients(STEPS_PER_TURN);
    fixture.stepMs = 10 * MAX_TURN_MS;
    fixture.take(frontend.query('SHOW CLIENTS'));
    runDeferred(fixture);
    expect(rowCount(summary(fixture.output()))).toBe(STEPS_PER_TURN);
  });

  it('come at once when they are short', () => {
    const fixture = withClients(STEPS_PER_TURN / 2);
    expect(rowCount(fixture.exchange(frontend.query('SHOW CLIENTS')))).toBe(STEPS_PER_TURN / 2);
    expect(fixture.deferred).toEqual([]);
  });

  it.each([
    ['a filter that finds nothing', "SHOW CLIENTS WHERE state = 'nonsense'", 0],
    ['an order', 'SHOW CLIENTS ORDER BY id DESC LIMIT 3', 3],
    ['a count', 'SELECT count(*) FROM pgbouncer.clients', 1],
  ])('come in slices with %s', (_what, sql, rows) => {
    const fixture = withClients();
    fixture.take(frontend.query(sql));
    expect(runDeferred(fixture)).toBeGreaterThanOrEqual(5);
    const lines = summary(fixture.output());
    expect(rowCount(lines)).toBe(rows);
    expect(lines.at(-1)).toBe('ReadyForQuery I');
  });

  it('come in slices over the extended protocol, and what follows them behind', () => {
    const fixture = withClients();
    const first = fixture.exchange(...EXECUTE);
    expect(first.some((line) => line.startsWith('ReadyForQuery'))).toBe(false);
    runDeferred(fixture);
    const lines = summary(fixture.output());
    expect(rowCount([...first, ...lines])).toBe(COUNT);
    expect(lines.slice(-2)).toEqual(['CommandComplete SHOW', 'ReadyForQuery I']);
  });

  it('stop with their client', () => {
    const fixture = withClients();
    fixture.take(frontend.query('SHOW CLIENTS'));
    fixture.output();
    fixture.session.onClosed();
    runDeferred(fixture);
    expect(fixture.output()).toEqual([]);
  });

  it('keep messages that arrive meanwhile up to a limit', () => {
    const fixture = withClients();
    fixture.take(frontend.query('SHOW CLIENTS'));
    let isOpen = true;
    for (let sent = 0; sent < 1000 && isOpen; sent += 1) {
      isOpen = fixture.take(frontend.query('SHOW VERSION'));
    }
    expect(isOpen).toBe(false);
    expect(summary(fixture.output()).at(-1)).toContain('FATAL 54000');
  });
});
