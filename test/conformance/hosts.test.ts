import { describeConformance } from './conformance.ts';
import { BOB } from './stage.ts';
import type { Stage } from './stage.ts';

/** An address of this machine on which nobody listens. */
const DEAD = '127.0.0.77';

/** Tells where connections lead, one by one. */
async function openMany(stage: Stage, database: string, count: number): Promise<void> {
  for (let i = 0; i < count; i++) {
    const client = await stage.login(`c${String(i)}`, { user: BOB, database });
    await client.query('SELECT host(inet_server_addr()) AS address');
  }
}

describeConformance({
  name: 'lists of hosts',
  ini: (place) => {
    const { postgres } = place;
    const rest = `port=${String(postgres.port)} dbname=${postgres.database}`;
    return {
      pgbouncer: ['server_login_retry = 1', 'query_wait_timeout = 8', 'client_login_timeout = 3'],
      databases: [
        `turns = host=${postgres.host},${postgres.socketDir} ${rest}`,
        `first = host=${DEAD},${postgres.host} ${rest}`,
        `second = host=${postgres.host},${DEAD} ${rest} pool_size=2`,
        `dead = host=${DEAD},${DEAD} ${rest}`,
      ],
    };
  },
  scenarios: [
    { name: 'are used in turn', run: (stage) => openMany(stage, 'turns', 5) },
    {
      name: 'whose first one is dead are tried on',
      run: async (stage) => {
        await openMany(stage, 'first', 1);
        await stage.log(/ S-0x.* closing because: /);
      },
    },
    {
      name: 'whose second one is dead keep clients waiting for the first one',
      run: async (stage) => {
        const one = await stage.enter('a', { database: 'second' });
        await one.query('BEGIN');
        const two = await stage.enter('b', { database: 'second' });
        two.ask('SELECT 2 AS two');
        await stage.log(/ S-0x.* closing because: /);
        await two.readAnswer();
        await one.query('COMMIT');
      },
    },
    {
      name: 'that are all dead refuse clients',
      run: async (stage) => {
        await openMany(stage, 'dead', 1);
      },
    },
    {
      name: 'are shown as they are written',
      run: async (stage) => {
        for (const { name, host } of await stage.look('SHOW DATABASES')) {
          stage.note(`${String(name)} ${String(host)}`);
        }
      },
    },
  ],
});
