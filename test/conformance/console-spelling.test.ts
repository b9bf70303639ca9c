import { commands } from './commands.ts';
import { describeConformance } from './conformance.ts';
import { BOB } from './stage.ts';

describeConformance({
  name: 'spellings of console commands',
  ini: { databases: ['CaSe = $SERVER'] },
  scenarios: [
    commands('blanks', [
      '  SHOW   VERSION  ',
      '\tSHOW\tVERSION\t;\t',
      '\r\nSHOW\nVERSION\n;\n',
      'SHOW\fVERSION',
      'SHOW\vVERSION',
      'SHOWVERSION',
    ]),
    commands('semicolons', [
      'SHOW VERSION;;',
      ';SHOW VERSION',
      'SHOW; VERSION',
      'SHOW VERSION ; ;',
    ]),
    commands('quotes', [
      '"SHOW" "VERSION"',
      '"show" version',
      '"SHOW VERSION"',
      "'SHOW' VERSION",
      'SHOW "pools',
      'SHOW ""',
      'SHOW "a""b"',
      'SHOW"VERSION"',
      '"SHOW""VERSION"',
    ]),
    commands('names of databases', [
      'PAUSE CaSe',
      'RESUME case',
      'RESUME "CaSe" ;',
      "PAUSE 'app'",
      'PAUSE app.x',
      'PAUSE app-x',
      'PAUSE "',
      'PAUSE *',
      'PAUSE "*"',
      'PAUSE app app',
      `PAUSE "${'x'.repeat(63)}"`,
      `PAUSE ${'x'.repeat(64)}`,
      `PAUSE "${'x'.repeat(64)}"`,
    ]),
    commands('long words', [
      `SHOW ${'x'.repeat(64)}`,
      'ABCDEFGHIJKLMNO',
      'ABCDEFGHIJKLMNOP',
      `SET server_reset_query = '${'q'.repeat(250)}'`,
      `SET server_reset_query = '${'q'.repeat(260)}'`,
    ]),
    commands('SET', [
      "SET query_timeout='5'",
      'SET query_timeout to 6',
      'SET "query_timeout" = 7',
      'SET query_timeout = "7"',
      'SET query_timeout = 1.5',
      'SET query_timeout =',
      'SET query_timeout = 1 2',
      'SET query_timeout == 1',
      'SET QUERY_TIMEOUT = 1',
      "SET server_reset_query = 'a''b'",
      "SET server_reset_query = 'x",
      'SET LOCAL a = 1',
      'SET query_timeout = DEFAULT',
      "SET TimeZone = 'UTC'",
      'SET=1',
    ]),
    commands(
      'an empty name, which is none',
      ['PAUSE ""', 'RESUME', 'RECONNECT ""', 'RELOAD ""'],
      [
        {
          id: 'empty-name',
          pgbouncer: ['console< CommandComplete PAUSE'],
          maitred: [
            'console< ErrorResponse no such database: ',
            'console<   S: ERROR',
            'console<   C: 3D000',
          ],
        },
        {
          id: 'empty-name',
          pgbouncer: ['console< CommandComplete RESUME'],
          maitred: [
            'console< ErrorResponse pooler is not paused/suspended',
            'console<   S: ERROR',
            'console<   C: 55000',
          ],
        },
        {
          id: 'empty-name',
          pgbouncer: ['console< CommandComplete RECONNECT'],
          maitred: [
            'console< ErrorResponse no such database: ',
            'console<   S: ERROR',
            'console<   C: 3D000',
          ],
        },
        {
          id: 'empty-name',
          pgbouncer: ['console< CommandComplete RELOAD'],
          maitred: [
            `console< ErrorResponse invalid command 'RELOAD ""', use SHOW HELP;`,
            'console<   S: ERROR',
            'console<   C: 42601',
          ],
        },
      ],
    ),
  ],
});

describeConformance({
  name: 'databases made from *',
  isFresh: true,
  ini: { pgbouncer: ['pool_mode = transaction'], databases: ['* = $SERVER pool_size=4'] },
  scenarios: [
    commands('console commands make them, those that undo something do not', [
      'PAUSE one',
      'RESUME one',
      'DISABLE two',
      'ENABLE two',
      'RECONNECT three',
      'WAIT_CLOSE four',
      'KILL five',
      'RESUME five',
      'ENABLE six',
      'RESUME seven',
      'PAUSE "*"',
      'RESUME "*"',
    ]),
    {
      name: 'states of a database as its clients see them',
      run: async (stage) => {
        const client = await stage.login('a', { user: BOB, database: 'made' });
        await client.query('SELECT 1 AS one');
        const console = await stage.enterConsole();
        for (const sql of ['DISABLE made', 'SHOW DATABASES', 'PAUSE made', 'SHOW DATABASES']) {
          await console.query(sql);
        }
        await stage.login('b', { user: BOB, database: 'made' });
        client.ask('SELECT 2 AS two');
        await stage.waitForPool({ cl_waiting: 1 }, 'made');
        await console.query('RESUME made');
        await client.readAnswer();
        for (const sql of ['PAUSE', 'PAUSE made', 'RESUME made', 'SHOW DATABASES', 'RESUME']) {
          await console.query(sql);
        }
        await console.query('ENABLE made');
        const lists = await stage.look('SHOW LISTS');
        stage.note(
          `databases: ${String(lists.find(({ list }) => list === 'databases')?.['items'])}`,
        );
        const again = await stage.login('c', { user: BOB, database: 'made' });
        await again.query('SELECT 3 AS three');
      },
    },
    {
      name: 'the name * itself',
      run: async (stage) => {
        await stage.login('a', { user: BOB, database: '*' });
      },
    },
  ],
});
