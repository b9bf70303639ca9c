import * as frontend from '../support/frontend-messages.ts';
import { describeConformance } from './conformance.ts';
import { BOB, PASSWORD } from './stage.ts';

const APP = { user: BOB, database: 'app' };

describeConformance({
  name: 'logins with auth_type trust',
  scenarios: [
    {
      name: 'a client that waits for the first server connection is welcomed and served',
      run: async (stage) => {
        const client = await stage.login('a', APP);
        await client.query('SELECT 1 AS one');
        await client.query('SELECT nonsense');
        await client.terminate();
        await stage.logAll(
          /\] (?!LOG (?:kernel|listening|process))/,
          /closing because: client close/,
        );
      },
    },
    {
      name: 'a later client is welcomed without a server connection',
      run: async (stage) => {
        const client = await stage.login('a', APP);
        await client.query('SHOW application_name');
      },
    },
    {
      name: 'the database is the user name where none is given',
      run: async (stage) => {
        await stage.login('a', { user: BOB });
        await stage.logAll(/login|pooler error|closing/, /pooler error/);
      },
    },
    {
      name: 'unknown database',
      run: async (stage) => {
        await stage.login('a', { user: BOB, database: 'nowhere' });
        await stage.logAll(/login|pooler error|closing/, /pooler error/);
      },
    },
    {
      name: 'unknown user',
      run: async (stage) => {
        await stage.login('a', { user: 'stranger', database: 'app' });
        await stage.logAll(/such|login|pooler error|closing/, /pooler error/);
      },
    },
    {
      name: 'a user whom the server does not know',
      run: async (stage) => {
        await stage.login('a', { user: 'admin', database: 'app' });
        await stage.logAll(/login failed|pooler error|closing/, / S-0x.* closing because: /);
      },
    },
    {
      name: 'no user name',
      run: async (stage) => {
        const client = await stage.connect('a');
        client.raw.startup({ database: 'app' });
        await client.readToEnd();
        await stage.logAll(/pooler error|closing/, /pooler error/);
      },
    },
    {
      name: 'tracked startup parameters are set on the server connection',
      run: async (stage) => {
        const parameters = {
          application_name: "o'neill",
          DateStyle: 'German',
          timezone: 'Europe/Paris',
          client_encoding: 'LATIN1',
        };
        const client = await stage.login('a', { ...APP, parameters });
        await client.query('SHOW DateStyle');
        await client.query('SHOW TimeZone');
        await client.query('SHOW client_encoding');
        await client.query('SHOW application_name');
      },
    },
    {
      name: 'a startup parameter that is neither tracked nor ignored',
      run: async (stage) => {
        await stage.login('a', { ...APP, parameters: { extra_float_digits: '2' } });
        await stage.logAll(/pooler error|closing|startup parameter/, /pooler error/);
      },
    },
    {
      name: 'SSLRequest and GSSENCRequest',
      run: async (stage) => {
        const client = await stage.connect('a');
        client.raw.send(frontend.sslRequest());
        stage.note(`SSLRequest: ${(await client.raw.readBytes(1)).toString()}`);
        client.raw.send(frontend.gssEncRequest());
        stage.note(`GSSENCRequest: ${(await client.raw.readBytes(1)).toString()}`);
        await client.login(APP);
      },
    },
    {
      name: 'protocol 2.0',
      run: async (stage) => {
        const client = await stage.connect('a');
        client.raw.startup(APP, 0x0002_0000);
        await client.readToEnd();
      },
    },
    {
      name: 'a cancel request that nobody knows',
      run: async (stage) => {
        const client = await stage.connect('a');
        client.raw.send(frontend.cancelRequest(4711, Buffer.from([1, 2, 3, 4])));
        await client.readToEnd();
        await stage.log(/closing because: failed cancel request/);
      },
    },
    {
      name: 'a message before the startup packet',
      run: async (stage) => {
        const client = await stage.connect('a');
        client.raw.send(frontend.query('SELECT 1'));
        client.raw.endWriting();
        await client.readToEnd();
      },
      differences: [
        {
          id: 'no-startup-packet',
          pgbouncer: [],
          maitred: [
            "a< ErrorResponse bad packet header: '510000000d53454c'",
            'a<   S: FATAL',
            'a<   C: 08P01',
          ],
        },
      ],
    },
    {
      name: 'Unix socket',
      run: async (stage) => {
        const client = await stage.login('a', APP, true);
        await client.query('SELECT 1 AS one');
        await client.terminate();
        await stage.logAll(/login attempt|closing/, /closing because: client close/);
      },
    },
    {
      name: 'a client that leaves without Terminate',
      run: async (stage) => {
        const client = await stage.enter('a');
        client.raw.destroy();
        await stage.log(/login attempt/, /closing because: client unexpected eof/);
      },
    },
  ],
});

describeConformance({
  name: 'startup parameters that are ignored',
  ini: { pgbouncer: ['ignore_startup_parameters = extra_float_digits, search_path'] },
  scenarios: [
    {
      name: 'ignored parameters are dropped',
      run: async (stage) => {
        const parameters = { extra_float_digits: '-3', search_path: 'nowhere' };
        const client = await stage.login('a', { ...APP, parameters });
        await client.query('SHOW extra_float_digits');
        await client.query('SHOW search_path');
      },
    },
    {
      name: 'others are refused all the same',
      run: async (stage) => {
        await stage.login('a', { ...APP, parameters: { work_mem: '64MB' } });
      },
    },
  ],
});

describeConformance({
  name: 'application_name_add_host',
  ini: { pgbouncer: ['application_name_add_host = 1'] },
  scenarios: [
    {
      name: 'a client with a name',
      run: async (stage) => {
        const client = await stage.enter('a', { parameters: { application_name: 'shop' } });
        const shown = await client.ask1('SHOW application_name');
        stage.note(shown.replace(/\d+$/, 'PORT'));
      },
    },
    {
      name: 'a client without a name',
      run: async (stage) => {
        const client = await stage.enter('a');
        const shown = await client.ask1('SHOW application_name');
        stage.note(shown.replace(/\d+$/, 'PORT'));
      },
    },
  ],
});

const SECRETS = { admin: PASSWORD, stats: '', [BOB]: PASSWORD };

/** The answers to each way of giving a wrong password. */
for (const [authType, user] of [
  ['plain', BOB],
  ['md5', BOB],
  ['scram-sha-256', BOB],
] as const) {
  describeConformance({
    name: `logins with auth_type ${authType}`,
    ini: { pgbouncer: [`auth_type = ${authType}`] },
    users: SECRETS,
    scenarios: [
      {
        name: 'right password',
        run: async (stage) => {
          const client = await stage.login('a', { ...APP, user, password: PASSWORD });
          await client.query('SELECT 1 AS one');
        },
      },
      {
        name: 'wrong password',
        run: async (stage) => {
          await stage.login('a', { ...APP, user, password: 'guess' });
          await stage.logAll(/login|pooler error|closing/, /pooler error/);
        },
      },
      {
        name: 'empty password',
        run: async (stage) => {
          await stage.login('a', { ...APP, user });
          await stage.logAll(/login|pooler error|closing/, /pooler error/);
        },
      },
      {
        name: 'unknown user',
        run: async (stage) => {
          await stage.login('a', { ...APP, user: 'stranger', password: PASSWORD });
          await stage.logAll(/such|login|pooler error|closing/, /pooler error/);
        },
      },
      {
        name: 'user without a password',
        run: async (stage) => {
          await stage.login('a', { ...APP, user: 'stats', password: PASSWORD });
        },
      },
      {
        name: 'unknown database, wrong password',
        run: async (stage) => {
          await stage.login('a', { user, database: 'nowhere', password: 'guess' });
        },
      },
      {
        name: 'unknown database, right password',
        run: async (stage) => {
          await stage.login('a', { user, database: 'nowhere', password: PASSWORD });
        },
      },
      {
        name: 'console, user who may not use it',
        run: async (stage) => {
          await stage.login('a', { user, database: 'pgbouncer', password: PASSWORD });
          await stage.logAll(/login|pooler error|closing/, /pooler error/);
        },
      },
      {
        name: 'console, admin with the wrong password',
        run: async (stage) => {
          await stage.login('a', { user: 'admin', database: 'pgbouncer', password: 'guess' });
        },
      },
    ],
  });
}
