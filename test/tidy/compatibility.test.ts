import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { SHOW_TABLES } from '../../src/admin/show-tables.ts';
import { DATABASE_KEYS } from '../../src/config/database-keys.ts';
import { GLOBAL_SETTINGS } from '../../src/config/global-settings.ts';
import { PEER_KEYS } from '../../src/config/peer-keys.ts';
import { USER_KEYS } from '../../src/config/user-keys.ts';

const DOCUMENT = readFileSync(new URL('../../docs/COMPATIBILITY.md', import.meta.url), 'utf8');

/** The chapters that name everything: the notes before them may name it, too. */
const CHAPTERS = DOCUMENT.slice(DOCUMENT.indexOf('## Every setting'));

const DIFFERENCES = JSON.parse(
  readFileSync(new URL('../conformance/expected-differences.json', import.meta.url), 'utf8'),
) as Record<string, { verdict: string; what: string; why: string }>;

/** @source PgBouncer, SHOW HELP. */
const PGBOUNCER_TOPICS = [
  'HELP CONFIG DATABASES POOLS CLIENTS SERVERS USERS VERSION PEERS PEER_POOLS FDS SOCKETS',
  'ACTIVE_SOCKETS LISTS MEM STATE DNS_HOSTS DNS_ZONES STATS STATS_TOTALS STATS_AVERAGES TOTALS',
].flatMap((line) => line.split(' '));

/** @source PgBouncer, SHOW HELP. */
const PGBOUNCER_COMMANDS = [
  'SET RELOAD PAUSE RESUME DISABLE ENABLE RECONNECT KILL KILL_CLIENT SUSPEND SHUTDOWN WAIT_CLOSE',
].flatMap((line) => line.split(' '));

function rowOf(name: string): string | undefined {
  return CHAPTERS.split('\n').find((line) => line.startsWith(`| ${name} |`));
}

describe('docs/COMPATIBILITY.md', () => {
  it.each([
    ...Object.keys(GLOBAL_SETTINGS),
    ...Object.keys(DATABASE_KEYS),
    ...Object.keys(USER_KEYS),
    ...Object.keys(PEER_KEYS),
  ])('names the setting %s', (name) => {
    expect(rowOf(`\`${name}\``)).toMatch(
      /\| (?:same|better|different|not yet|databases|users|peers) \|/,
    );
  });

  it.each([...PGBOUNCER_TOPICS, ...Object.keys(SHOW_TABLES).map((topic) => topic.toUpperCase())])(
    'names SHOW %s',
    (topic) => {
      expect(rowOf(`SHOW ${topic}`)).toMatch(/\| (?:same|better|different|not yet) \|/);
    },
  );

  it.each([...PGBOUNCER_COMMANDS, 'KILL_SERVER'])('names the command %s', (command) => {
    expect(rowOf(command)).toMatch(/\| (?:same|better|different|not yet) \|/);
  });

  it.each(Object.entries(DIFFERENCES))('explains the difference %s', (id, difference) => {
    expect(rowOf(`\`${id}\``)).toContain(difference.what);
    expect(['better', 'different', 'version']).toContain(difference.verdict);
    expect(difference.why).not.toBe('');
  });

  it('would notice what is missing', () => {
    expect(rowOf('`nonsense`')).toBeUndefined();
  });
});
