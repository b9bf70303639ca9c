import { describe, expect, it } from 'vitest';
import { parseCommand } from '../../../src/admin/command-parser.ts';
import { SHOW_TOPICS } from '../../../src/admin/topics.ts';

const SYNTAX = '42601';

function invalid(text: string): object {
  return { kind: 'error', sqlstate: SYNTAX, message: `invalid command '${text}', use SHOW HELP;` };
}

const BAD_ARGUMENTS = { kind: 'error', sqlstate: SYNTAX, message: 'bad arguments' };

describe('commands that are accepted', () => {
  it.each([
    ['SHOW POOLS', { kind: 'show', topic: 'pools' }],
    ['show stats_totals;', { kind: 'show', topic: 'stats_totals' }],
    [' \t\r\n"ShOw"\n"pOOls" ; \n', { kind: 'show', topic: 'pools' }],
    ['SELECT version', { kind: 'show', topic: 'version' }],
    ['RELOAD;', { kind: 'reload' }],
    ['reload dry\n run ;', { kind: 'reload_dry_run' }],
    ['SUSPEND;', { kind: 'suspend' }],
    ['PAUSE', { kind: 'database', verb: 'pause', database: null }],
    ['pause MyDb', { kind: 'database', verb: 'pause', database: 'MyDb' }],
    ['PAUSE ""', { kind: 'database', verb: 'pause', database: '' }],
    ['PAUSE "a""b;c d"', { kind: 'database', verb: 'pause', database: 'a"b;c d' }],
    ['RESUME "é"', { kind: 'database', verb: 'resume', database: 'é' }],
    ['DISABLE', { kind: 'database', verb: 'disable', database: null }],
    ['ENABLE x', { kind: 'database', verb: 'enable', database: 'x' }],
    ['KILL __proto__', { kind: 'database', verb: 'kill', database: '__proto__' }],
    ['RECONNECT', { kind: 'database', verb: 'reconnect', database: null }],
    ['WAIT_CLOSE x', { kind: 'database', verb: 'wait_close', database: 'x' }],
    ['KILL_CLIENT 42', { kind: 'kill_client', id: '42' }],
    ['KILL_CLIENT', { kind: 'kill_client', id: null }],
    ['SHUTDOWN', { kind: 'shutdown', mode: 'immediate' }],
    ['shutdown wait_for_servers', { kind: 'shutdown', mode: 'wait_for_servers' }],
    ['SHUTDOWN WAIT_FOR_CLIENTS;', { kind: 'shutdown', mode: 'wait_for_clients' }],
    ['SET verbose = 2', { kind: 'set', key: 'verbose', value: '2' }],
    ['SET verbose=2;', { kind: 'set', key: 'verbose', value: '2' }],
    ['set Verbose to 2', { kind: 'set', key: 'Verbose', value: '2' }],
    ["SET a TO'x'", { kind: 'set', key: 'a', value: 'x' }],
    ["SET a = 'it''s 1.5-x; y'", { kind: 'set', key: 'a', value: "it's 1.5-x; y" }],
    ['SET "a b" = "c""d"', { kind: 'set', key: 'a b', value: 'c"d' }],
    ["SET a = ''", { kind: 'set', key: 'a', value: '' }],
    ['SET to to to', { kind: 'set', key: 'to', value: 'to' }],
    ['', { kind: 'empty' }],
    [' \r\n', { kind: 'empty' }],
    [' ; ', { kind: 'empty' }],
  ])('reads %j', (query, expected) => {
    expect(parseCommand(query)).toEqual(expected);
  });

  it.each(SHOW_TOPICS)('reads SHOW %s in any case', (topic) => {
    expect(parseCommand(`SHOW ${topic.toUpperCase()}`)).toEqual({ kind: 'show', topic });
    expect(parseCommand(`sHOW ${topic}`)).toEqual({ kind: 'show', topic });
  });

  it.each([
    ['client_encoding', 'UTF-8'],
    ['default_transaction_isolation', 'read committed'],
    ['standard_conforming_strings', 'on'],
    ['datestyle', 'ISO'],
    ['timezone', 'GMT'],
  ])('answers SHOW %s for drivers and ignores SET of it', (name, value) => {
    expect(parseCommand(`SHOW ${name.toUpperCase()}`)).toEqual({
      kind: 'show_parameter',
      name,
      value,
    });
    expect(parseCommand(`SET ${name.toUpperCase()} = 'x, y'`)).toEqual({ kind: 'set_ignored' });
  });

  it.each(['SET extra_float_digits = 3', "SET application_name = 'x'"])(
    'ignores %s, which drivers send after login',
    (query) => {
      expect(parseCommand(query)).toEqual({ kind: 'set_ignored' });
    },
  );
});

describe('comments', () => {
  it.each([
    ['/* DBD::Pg ping test v3.16.0 */', { kind: 'empty' }],
    ['-- nothing', { kind: 'empty' }],
    ['-- nothing\n;', { kind: 'empty' }],
    ['/* a /* b */ c */ SHOW POOLS', { kind: 'show', topic: 'pools' }],
    ['SHOW/**/POOLS; -- all of them', { kind: 'show', topic: 'pools' }],
    ["-- it's\nSHOW POOLS", { kind: 'show', topic: 'pools' }],
    ['PAUSE "/* x */" -- now', { kind: 'database', verb: 'pause', database: '/* x */' }],
    ["SET a = '--b' /* c */", { kind: 'set', key: 'a', value: '--b' }],
  ])('are left out of %j', (query, expected) => {
    expect(parseCommand(query)).toEqual(expected);
  });

  it('take time linear in the length of the query', () => {
    for (const text of ['/*', '/**/', '--\n', "''", '/* */ x']) {
      const begin = performance.now();
      expect(parseCommand(text.repeat(100_000)).kind).toMatch(/^(?:empty|error)$/);
      expect(performance.now() - begin).toBeLessThan(2000);
    }
  });
});

describe('queries that are no command', () => {
  it.each([
    'SHOW',
    'SHOW;',
    'SHOW ""',
    'SHOW nothing',
    'SHOW __proto__',
    'constructor',
    'SHOW POOLS x',
    'SHOW POOLS; SHOW STATS',
    'SHOW POOLS;;',
    '; SHOW POOLS',
    ';;',
    'SHOW"POOLS"',
    'SHOW -- comment',
    '/* x SHOW POOLS',
    '/* /* x */ SHOW POOLS',
    'SHOW/* x */',
    'SHOW POOLS */',
    "SHOW POOLS -- ' \n '",
    'SELECT 1 + 1',
    'RELOAD x',
    'SUSPEND x',
    'SHUTDOWN now',
    'SHUTDOWN wait_for_servers x',
    'PAUSE a.b',
    'PAUSE "a',
    'PAUSE "a""',
    "PAUSE 'a'",
    'PAUSE "a"b',
    'PAUSE\u00a0a',
    'PAUSE é',
    '"\u212aILL"',
    '\u017fHOW POOLS',
    '"show',
    '"',
    'SET',
    'SET x',
    'SET x 1',
    'SET x =',
    'SET x = ;',
    'SET x = 1 2',
    'SET x = 1.5',
    "SET x = 'a",
    "SET x = 'a''",
    "SET x = 'a' 'b'",
    'SET x "to" y',
    'SET xTO y',
    'SET x TOy',
    "SET 'x' = y",
    'SET x = y; SET x = z',
    'PAUSE "a\0b"',
    'SHOW POOLS\0',
    '\0',
  ])('refuses %j with its text', (query) => {
    expect(parseCommand(query)).toEqual(invalid(query));
  });

  it('repeats 127 characters of a long query at most', () => {
    expect(parseCommand('x'.repeat(127))).toEqual(BAD_ARGUMENTS);
    expect(parseCommand('?'.repeat(127))).toEqual(invalid('?'.repeat(127)));
    expect(parseCommand('?'.repeat(128))).toEqual(invalid('?'.repeat(127)));
  });

  it('does not cut a query through the middle of a character', () => {
    expect(parseCommand(`${'?'.repeat(126)}😀`)).toEqual(invalid('?'.repeat(126)));
  });
});

describe('limits of length', () => {
  it('holds for a name at both sides of the limit', () => {
    expect(parseCommand('x'.repeat(15))).toEqual(invalid('x'.repeat(15)));
    expect(parseCommand('x'.repeat(16))).toEqual(BAD_ARGUMENTS);
  });

  it.each([
    ['argument', (bytes: number) => `PAUSE ${'x'.repeat(bytes)}`, 63],
    ['quoted argument', (bytes: number) => `PAUSE "${'x'.repeat(bytes - 2)}"`, 63],
    ['argument with doubled quotes', (bytes: number) => `PAUSE "${'x'.repeat(bytes - 4)}"""`, 63],
    ['setting name', (bytes: number) => `SET ${'x'.repeat(bytes)} = 1`, 63],
    ['value', (bytes: number) => `SET x = ${'y'.repeat(bytes)}`, 255],
    ['quoted value', (bytes: number) => `SET x = '${'y'.repeat(bytes - 2)}'`, 255],
  ])('holds for a %s at both sides of the limit', (_what, make, limit) => {
    expect(['database', 'set']).toContain(parseCommand(make(limit)).kind);
    expect(parseCommand(make(limit + 1))).toEqual(BAD_ARGUMENTS);
  });

  it('counts bytes, not characters', () => {
    const fits = `PAUSE "${'é'.repeat(30)}x"`;
    expect(parseCommand(fits)).toMatchObject({ kind: 'database' });
    expect(parseCommand(`PAUSE "${'é'.repeat(31)}"`)).toEqual(BAD_ARGUMENTS);
  });
});

describe('hostile queries', () => {
  const SIZE = 1_000_000;

  /** Fails when work grows faster than the query: a quadratic parser needs minutes for these. */
  it.each([
    ['double quotes', '"'.repeat(SIZE)],
    ['an argument of double quotes', `PAUSE ${'"'.repeat(SIZE)}`],
    ['an unterminated argument', `PAUSE "${'""'.repeat(SIZE)}`],
    ['a value of single quotes', `SET x = ${"'".repeat(SIZE)}`],
    ['an unterminated value', `SET x = '${"''".repeat(SIZE)}`],
    ['spaces', ' '.repeat(SIZE) + 'x'],
    ['spaces behind a command', `SHOW POOLS${' '.repeat(SIZE)}x`],
    ['semicolons', ';'.repeat(SIZE)],
    ['a word', 'a'.repeat(SIZE)],
    ['words', 'a '.repeat(SIZE)],
    ['zero bytes', '\0'.repeat(SIZE)],
  ])('refuses a megabyte of %s quickly', (_what, query) => {
    const startMs = performance.now();
    const parsed = parseCommand(query);
    expect(performance.now() - startMs).toBeLessThan(2000);
    expect(parsed).toMatchObject({ kind: 'error', sqlstate: SYNTAX });
    expect((parsed as { message: string }).message.length).toBeLessThan(200);
  });

  it('never throws, whatever the characters', () => {
    const words = ['SHOW', 'SET', 'PAUSE', 'pools', '"', "'", ';', '=', ' ', '\0', 'é', '\ud800'];
    const kinds = new Set<string>();
    let state = 12_345;
    const random = (limit: number): number => {
      state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fffffff;
      return (state >> 8) % limit;
    };
    for (let round = 0; round < 20_000; round += 1) {
      let query = '';
      for (let length = 1 + random(6); length > 0; length -= 1) {
        query += words[random(words.length)] ?? '';
      }
      kinds.add(parseCommand(query).kind);
    }
    expect([...kinds].sort()).toEqual(
      expect.arrayContaining(['database', 'empty', 'error', 'show']),
    );
  });
});
