import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'vitest';
import { sharedPostgres } from '../support/shared-postgres.ts';
import { waitFor } from '../support/wait-for.ts';
import { compareTranscripts, describeConformance } from './conformance.ts';
import { installedPgbouncer, runToEnd } from './pooler-process.ts';
import type { PoolerName } from './pooler-process.ts';
import { BOB, iniText, makePlace, removePlace, writePlaceFile } from './stage.ts';
import type { Place, Stage } from './stage.ts';

const APP = { user: BOB, database: 'app' };

/** Command lines: both write to the same streams, name the same options and end the same way. */
const COMMANDS: readonly (readonly [name: string, args: readonly string[]])[] = [
  ['no arguments', []],
  ['-h', ['-h']],
  ['--help', ['--help']],
  ['-V', ['-V']],
  ['--version', ['--version']],
  ['an unknown option', ['-x']],
  ['an unknown long option', ['--nonsense']],
  ['two files', ['a.ini', 'b.ini']],
  ['the version, whatever comes behind', ['-V', '-x', '--nonsense']],
  ['the help among other letters', ['-qvh']],
  ['a long option cut short', ['--vers']],
  ['a long option cut too short', ['--ver']],
  ['a value for an option without', ['--quiet=1', 'a.ini']],
  ['--user without a name', ['--user']],
  ['an unknown letter among others', ['-qx']],
  ['an option behind the file', ['missing.ini', '-q']],
  ['-q without a file', ['-q']],
  ['two files behind --', ['--', 'a.ini', '-V']],
  ['-d without a pidfile', ['-d', 'plain.ini']],
  ['-d without a pidfile, quietly', ['-dq', 'plain.ini']],
  ['a user that does not exist', ['-u', 'no_such_user', 'plain.ini']],
  ['a user of the file that does not exist', ['user.ini']],
  ['a user that it may not become', ['-uroot', 'plain.ini']],
  ['a pidfile that cannot be written', ['pidfile.ini']],
  ['a pidfile of somebody else', ['garbage.ini']],
  ['-u without a name', ['-u']],
  ['a file that is missing', ['missing.ini']],
];

function describeRun(pooler: PoolerName, args: readonly string[], place: Place): string[] {
  const { status, stdout, stderr: text } = runToEnd(pooler, args, place.directory);
  const stderr = text
    .replaceAll(`${pooler}:`, 'PROGRAM:')
    // The name of the file came later.
    .replace('FATAL pidfile exists,', "FATAL pidfile 'plain.ini' exists,");
  return [
    `standard output: ${stdout === '' ? 'nothing' : 'some text'}`,
    `standard error: ${stderr === '' ? 'nothing' : 'some text'}`,
    ...optionsOf(stdout),
    ...stderr
      .split('\n')
      .flatMap((line) => /(?:FATAL|Try|PROGRAM:|process up) .*$/.exec(line)?.[0] ?? []),
    `exit code ${String(status)}`,
  ].map((line) => line.replaceAll(pooler, 'PROGRAM'));
}

/** The options that a usage text names. */
function optionsOf(text: string): string[] {
  const options = [...text.matchAll(/^\s+(-[a-zA-Z], --[a-z]+)/gm)].map(([, option]) =>
    String(option),
  );
  return options.sort();
}

describe.skipIf(installedPgbouncer() === null)('command line', () => {
  it.each(COMMANDS)('%s', async (_name, args) => {
    const place = await makePlace(sharedPostgres());
    try {
      writePlaceFile(place, 'plain.ini', iniText(place));
      writePlaceFile(place, 'user.ini', iniText(place, { pgbouncer: ['user = no_such_user'] }));
      const pidfile = 'pidfile = /nowhere/at/all';
      writePlaceFile(place, 'pidfile.ini', iniText(place, { pgbouncer: [pidfile] }));
      const other = 'pidfile = plain.ini';
      writePlaceFile(place, 'garbage.ini', iniText(place, { pgbouncer: [other] }));
      const both = [describeRun('pgbouncer', args, place), describeRun('maitred', args, place)];
      compareTranscripts(both, []);
    } finally {
      removePlace(place);
    }
  });
});

const PIDFILE = 'pooler.pid';

async function endBy(stage: Stage, signal: NodeJS.Signals): Promise<void> {
  stage.process.signal(signal);
  await stage.exit();
}

describeConformance({
  name: 'signals and the pidfile',
  isFresh: true,
  ini: { pgbouncer: [`pidfile = ${PIDFILE}`] },
  scenarios: [
    {
      name: 'the pidfile is there while it runs',
      run: async (stage) => {
        const file = path.join(stage.place.directory, PIDFILE);
        await waitFor('the pidfile', () => existsSync(file));
        const text = readFileSync(file, 'utf8');
        stage.note(JSON.stringify(text.replace(String(stage.process.pid), 'PID')));
        await endBy(stage, 'SIGINT');
        stage.note(existsSync(file) ? 'it is left' : 'it is removed');
      },
    },
    {
      name: 'SIGQUIT ends it at once and tells clients nothing',
      run: async (stage) => {
        const client = await stage.enter('a');
        await client.query('SELECT 1 AS one');
        await endBy(stage, 'SIGQUIT');
        await client.readToEnd();
      },
      differences: [
        {
          id: 'version-sigquit',
          pgbouncer: ['exit code null, signal SIGQUIT'],
          maitred: ['exit code 0, signal null'],
        },
      ],
    },
    {
      name: 'SIGUSR1 and SIGUSR2',
      run: async (stage) => {
        const client = await stage.enter('a');
        await client.query('SELECT 1 AS one');
        await client.terminate();
        stage.process.signal('SIGUSR1');
        await stage.log(/got SIGUSR1, pausing all activity/);
        stage.process.signal('SIGUSR1');
        await stage.log(/got SIGUSR1, but already paused/);
        stage.process.signal('SIGUSR2');
        await stage.log(/got SIGUSR2, continuing from PAUSE/);
        stage.process.signal('SIGUSR2');
        await stage.log(/got SIGUSR2, but not paused/);
      },
    },
    {
      name: 'SHUTDOWN on the console',
      run: async (stage) => {
        const client = await stage.enter('a');
        await client.query('SELECT 1 AS one');
        const console = await stage.enterConsole();
        console.ask('SHUTDOWN');
        await console.readToEnd();
        await client.readToEnd();
        await stage.exit();
        await stage.logAll(/SHUTDOWN/, /SHUTDOWN/);
      },
    },
    {
      name: 'SIGTERM twice',
      run: async (stage) => {
        const client = await stage.enter('a');
        await client.query('SELECT 1 AS one');
        stage.process.signal('SIGTERM');
        await waitFor(
          'the signal',
          () =>
            stage.process.end !== null ||
            stage.process.lines.some((line) => line.includes('got SIGTERM')),
        );
        stage.process.signal('SIGTERM');
        await stage.exit();
        await client.readToEnd();
      },
      differences: [
        {
          id: 'version-sigterm',
          pgbouncer: ['exit code 1, signal null'],
          maitred: ['exit code 0, signal null'],
        },
      ],
    },
    {
      name: 'a second process on the same files is refused',
      run: async (stage) => {
        const file = path.join(stage.place.directory, 'pgbouncer.ini');
        const { status, stderr } = runToEnd(stage.name, [file], stage.place.directory);
        stage.note(`exit code ${String(status)}`);
        for (const line of stderr.split('\n').filter((text) => text.includes('FATAL'))) {
          stage.note(line.replace(/^.*FATAL /, 'FATAL '));
        }
        const client = await stage.login('a', APP);
        await client.query('SELECT 1 AS one');
      },
    },
  ],
});
