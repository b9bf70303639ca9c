import { describe, expect, it } from 'vitest';
import { consoleWelcome, isConsoleDatabase } from '../../../src/admin/console-welcome.ts';

const OWN = [
  ['server_version', '1.25.2/bouncer'],
  ['client_encoding', 'UTF8'],
  ['server_encoding', 'UTF8'],
  ['DateStyle', 'ISO'],
  ['TimeZone', 'GMT'],
  ['standard_conforming_strings', 'on'],
  ['is_superuser', 'on'],
];

describe('consoleWelcome', () => {
  it('lists the parameters of the console in order', () => {
    expect(consoleWelcome([])).toEqual(OWN);
  });

  it('repeats what the client sent, with its own values, at the end', () => {
    const sent = [
      ['client_encoding', 'LATIN1'],
      ['application_name', 'x'],
    ] as const;
    expect(consoleWelcome(sent)).toEqual([...OWN, ...sent]);
  });
});

describe('isConsoleDatabase', () => {
  it.each(['pgbouncer', 'maitred'])('knows %s', (name) => {
    expect(isConsoleDatabase(name)).toBe(true);
  });

  it.each(['PgBouncer', 'pgbouncer ', 'pgbounce', 'maitred2', ''])('does not know %j', (name) => {
    expect(isConsoleDatabase(name)).toBe(false);
  });
});
