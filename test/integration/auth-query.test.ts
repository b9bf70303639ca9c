import { createHash } from 'node:crypto';
import { beforeAll, describe, expect, it } from 'vitest';
import {
  AUTH_USER,
  authQueryConfig,
  CONSOLE_PASSWORD,
  createAuthUser,
  QueryCounter,
  setPassword,
  withAuthQuery,
} from '../support/auth-query-scene.ts';
import { failedLogin, refuse, sessionUser } from '../support/login-outcome.ts';
import { refusedWith } from '../support/refusal.ts';
import { sharedPostgres } from '../support/shared-postgres.ts';
import { waitFor } from '../support/wait-for.ts';
import { RENEWAL_BURST, RENEWAL_INTERVAL_MS } from '../../src/auth/user-lookups.ts';

const postgres = sharedPostgres();
const PASSWORD = 'fish & chips, äöü';
const WRONG = 'fish & chips';
const counter = new QueryCounter(postgres, 'aq_count');

const SCRAM_USER = { user: 'aq_scram', database: 'app', password: PASSWORD };
const MD5_USER = { user: 'aq_md5', database: 'app', password: PASSWORD };
const PASSWORD_FAILED = 'FATAL 28P01: password authentication failed';
const SASL_FAILED = 'FATAL 28P01: SASL authentication failed';
const CONFIG_ERROR = 'FATAL 28000: bouncer config error';

beforeAll(async () => {
  await createAuthUser(postgres);
  await postgres.createRole('aq_scram', PASSWORD, 'scram-sha-256');
  await postgres.createRole('aq_md5', PASSWORD, 'md5');
  await postgres.createRole('aq_none');
  await postgres.query(
    `ALTER ROLE aq_none PASSWORD NULL; GRANT auth_scram TO aq_scram; GRANT auth_md5 TO aq_md5`,
  );
  await counter.create();
});

describe('a user who is not in auth_file', () => {
  it.each([
    ['scram-sha-256', SCRAM_USER, [10, 11, 12, 0]],
    ['md5', SCRAM_USER, [10, 11, 12, 0]],
    ['md5', MD5_USER, [5, 0]],
    ['plain', SCRAM_USER, [3, 0]],
    ['plain', MD5_USER, [3, 0]],
  ] as const)('is found by auth_query and logs in by %s (%o)', async (authType, user, codes) => {
    await withAuthQuery(postgres, { settings: { auth_type: authType } }, async (pooler) => {
      // The server asks by the method of the role: the secret that was found must serve there, too.
      const client = await pooler.login(user);
      expect(client.authenticationCodes).toEqual(codes);
      expect(await client.query('SELECT session_user AS name')).toEqual([{ name: user.user }]);
      await client.close();
      const text = codes[0] === 10 ? SASL_FAILED : PASSWORD_FAILED;
      expect(await refuse(pooler, { ...user, password: WRONG })).toBe(text);
    });
  });

  it('is unknown without auth_user', async () => {
    await withAuthQuery(postgres, { settings: { auth_user: '' } }, async (pooler) => {
      expect(await refuse(pooler, SCRAM_USER)).toBe(SASL_FAILED);
      expect(await pooler.console('SHOW POOLS')).toHaveLength(1);
    });
  });

  it('may log in under trust if it exists, and not otherwise', async () => {
    await withAuthQuery(postgres, { settings: { auth_type: 'trust' } }, async (pooler) => {
      expect(await sessionUser(pooler, { user: 'aq_none', database: 'app' })).toBe('aq_none');
      expect(await refuse(pooler, { user: 'aq_nobody', database: 'app' })).toBe(
        'FATAL 28P01: "trust" authentication failed',
      );
      await postgres.query('DROP ROLE IF EXISTS aq_nobody; CREATE ROLE aq_nobody LOGIN');
      expect(await sessionUser(pooler, { user: 'aq_nobody', database: 'app' })).toBe('aq_nobody');
      await postgres.query('DROP ROLE aq_nobody');
    });
  });

  it.each(['plain', 'md5', 'scram-sha-256'])(
    'is not admitted under %s with a NULL or an empty secret, whatever it says',
    async (authType) => {
      const settings = {
        auth_type: authType,
        auth_query: `SELECT 'aq_none'::text, CASE $1::text WHEN 'aq_none' THEN NULL ELSE '' END`,
      };
      await withAuthQuery(postgres, { settings }, async (pooler) => {
        for (const user of ['aq_none', 'aq_empty']) {
          for (const password of ['', 'md5', 'SCRAM-SHA-256', 'null', 'NULL']) {
            const login = { user, database: 'app', password };
            const error = await refusedWith(pooler.login(login));
            expect([error.severity, error.sqlState]).toEqual(['FATAL', '28P01']);
          }
        }
      });
    },
  );

  it('becomes who the query says it is', async () => {
    const settings = {
      auth_query:
        'SELECT rolname, rolpassword FROM pg_authid WHERE rolname = lower($1::text) AND rolcanlogin',
    };
    await withAuthQuery(postgres, { settings }, async (pooler) => {
      expect(await sessionUser(pooler, { ...SCRAM_USER, user: 'AQ_Scram' })).toBe('aq_scram');
    });
    // The hash was made with the name that is found.
    const plain = { ...settings, auth_type: 'plain' };
    await withAuthQuery(postgres, { settings: plain }, async (pooler) => {
      const login = { ...MD5_USER, user: 'AQ_md5' };
      expect(await sessionUser(pooler, login)).toBe('aq_md5');
      expect(await refuse(pooler, { ...login, password: WRONG })).toBe(PASSWORD_FAILED);
    });
  });

  it('with non-ASCII letters and quotes in its name is asked for as it is', async () => {
    const user = `aq "ä" 'é' \\ $1`;
    await postgres.createRole(user, PASSWORD, 'scram-sha-256');
    await withAuthQuery(postgres, {}, async (pooler) => {
      expect(await sessionUser(pooler, { ...SCRAM_USER, user })).toBe(user);
    });
  });

  it('is asked for by the settings of its database', async () => {
    const options = {
      settings: { auth_user: 'aq_no_such_user', auth_query: `SELECT 1, 2, 3, $1` },
      database: {
        auth_user: AUTH_USER,
        auth_query: 'SELECT rolname, rolpassword FROM pg_authid WHERE rolname = $1',
      },
    };
    await withAuthQuery(postgres, options, async (pooler) => {
      expect(await sessionUser(pooler, SCRAM_USER)).toBe('aq_scram');
    });
  });
});

describe('the users of auth_file', () => {
  it('are not asked for, and one without a password just fails', async () => {
    const options = {
      settings: { auth_type: 'plain', auth_query: counter.query },
      users: { aq_md5: 'of the file', aq_scram: '' },
      database: { user: AUTH_USER },
    };
    await withAuthQuery(postgres, options, async (pooler) => {
      const before = [await counter.count('aq_md5'), await counter.count('aq_scram')];
      const login = { user: 'aq_md5', database: 'app', password: 'of the file' };
      expect(await sessionUser(pooler, login)).toBe(AUTH_USER);
      expect(await refuse(pooler, MD5_USER)).toBe(PASSWORD_FAILED);
      expect(await refuse(pooler, SCRAM_USER)).toBe(PASSWORD_FAILED);
      expect([await counter.count('aq_md5'), await counter.count('aq_scram')]).toEqual(before);
    });
  });
});

describe('an unknown user with auth_query', () => {
  it.each([
    ['plain', MD5_USER.user],
    ['plain', SCRAM_USER.user],
    ['md5', SCRAM_USER.user],
    ['scram-sha-256', SCRAM_USER.user],
    ['scram-sha-256', MD5_USER.user],
  ])('under %s sees what %s sees with a wrong password', async (authType, user) => {
    await withAuthQuery(postgres, { settings: { auth_type: authType } }, async (pooler) => {
      const login = { database: 'app', password: WRONG };
      // Twice each: once by the query, once by what is remembered of it.
      for (const round of [1, 2]) {
        const known = await failedLogin(pooler, { ...login, user });
        const unknown = await failedLogin(pooler, { ...login, user: 'aq_nobody' });
        expect(unknown, `round ${String(round)}`).toEqual(known);
      }
    });
  });

  // CVE-2015-6817
  it('never becomes auth_user', async () => {
    const database = { auth_user: AUTH_USER };
    await withAuthQuery(postgres, { database }, async (pooler) => {
      for (const password of ['', PASSWORD, WRONG]) {
        const login = { user: 'aq_nobody', database: 'app', password };
        const error = await refusedWith(pooler.login(login));
        expect([error.severity, error.sqlState]).toEqual(['FATAL', '28P01']);
      }
      expect(await refuse(pooler, { user: AUTH_USER, database: 'app', password: WRONG })).toBe(
        SASL_FAILED,
      );
      const servers = await pooler.console('SHOW SERVERS');
      expect(servers.map(({ user }) => user)).toEqual([AUTH_USER]);
      await pooler.waitForLog('the attack', ({ reason }) => reason === 'no such user');
    });
  });

  it('is not asked for where the database does not exist', async () => {
    await withAuthQuery(postgres, {}, async (pooler) => {
      expect(await refuse(pooler, { ...SCRAM_USER, database: 'nowhere' })).toBe(SASL_FAILED);
      expect(await pooler.console('SHOW SERVERS')).toEqual([]);
    });
  });
});

// CVE-2025-2291
describe('VALID UNTIL', () => {
  it.each([
    ['infinity', true],
    ['2100-01-01', true],
    ['2001-01-01', false],
  ])('%s: the default query admits %s', async (until, isAdmitted) => {
    await postgres.createRole('aq_until', PASSWORD, 'scram-sha-256');
    await postgres.query(`ALTER ROLE aq_until VALID UNTIL '${until}'`);
    await withAuthQuery(postgres, {}, async (pooler) => {
      const login = { ...SCRAM_USER, user: 'aq_until' };
      const outcome = isAdmitted ? sessionUser(pooler, login) : refuse(pooler, login);
      expect(await outcome).toBe(isAdmitted ? 'aq_until' : SASL_FAILED);
      if (!isAdmitted) {
        await pooler.waitForLog('why', ({ reason }) => reason === 'user has no password');
      }
    });
  });

  it('that passes while the answer is remembered counts when that has expired', async () => {
    await postgres.createRole('aq_until', PASSWORD, 'scram-sha-256');
    await postgres.query(`ALTER ROLE aq_until VALID UNTIL 'infinity'`);
    const settings = { auth_query_cache_ttl: '200ms' };
    await withAuthQuery(postgres, { settings }, async (pooler) => {
      const login = { ...SCRAM_USER, user: 'aq_until' };
      expect(await sessionUser(pooler, login)).toBe('aq_until');
      await postgres.query(`ALTER ROLE aq_until VALID UNTIL '2001-01-01'`);
      await expect
        .poll(() => sessionUser(pooler, login).catch((error: unknown) => String(error)), {
          timeout: 5000,
        })
        .toContain('SASL authentication failed');
    });
  });
});

// CVE-2025-12819
describe('the connection of auth_query', () => {
  it('knows nothing of what clients send, and looks in no schema of others', async () => {
    await postgres.createRole('aq_planter', PASSWORD, 'scram-sha-256');
    await postgres.query(
      `DROP SCHEMA IF EXISTS aq_evil CASCADE; CREATE SCHEMA aq_evil;
       DROP TABLE IF EXISTS public.aq_loot; CREATE TABLE public.aq_loot (who text);
       GRANT ALL ON public.aq_loot TO public;
       CREATE FUNCTION aq_evil.same(a name, b name) RETURNS bool LANGUAGE plpgsql AS
       $$ BEGIN INSERT INTO public.aq_loot VALUES (session_user); RETURN true; END $$;
       CREATE OPERATOR aq_evil.= (LEFTARG = name, RIGHTARG = name, FUNCTION = aq_evil.same);
       CREATE VIEW aq_evil.pg_authid AS
         SELECT 'aq_victim'::name AS rolname, 'md5${createHash('md5').update('xaq_victim').digest('hex')}'::text AS rolpassword,
         NULL::timestamptz AS rolvaliduntil, true AS rolcanlogin;
       GRANT USAGE ON SCHEMA aq_evil TO public; GRANT SELECT ON aq_evil.pg_authid TO public;
       ALTER ROLE ${AUTH_USER} SET search_path = aq_evil, pg_catalog`,
    );
    const settings = {
      auth_type: 'plain',
      track_extra_parameters: 'search_path',
      auth_query_cache_ttl: 0,
    };
    try {
      await withAuthQuery(postgres, { settings }, async (pooler) => {
        const parameters = { search_path: 'aq_evil, pg_catalog' };
        const victim = { user: 'aq_victim', database: 'app', password: 'x', parameters };
        expect(await refuse(pooler, victim)).toBe(PASSWORD_FAILED);
        expect(await sessionUser(pooler, { ...SCRAM_USER, parameters })).toBe('aq_scram');
        expect(await refuse(pooler, victim)).toBe(PASSWORD_FAILED);
        expect(await postgres.query('SELECT who FROM public.aq_loot')).toEqual([]);
        const line = await pooler.waitForEvent('client_login_failed');
        expect([line['user'], line['reason']]).toEqual(['aq_victim', 'no such user']);
      });
      // The same without the guard, to see that the trap is one.
      const unguarded = { ...settings, auth_query_search_path: '' };
      await withAuthQuery(postgres, { settings: unguarded }, async (pooler) => {
        await refuse(pooler, { user: 'aq_victim', database: 'app', password: 'y' });
        expect(await postgres.query('SELECT who FROM public.aq_loot')).not.toEqual([]);
      });
    } finally {
      await postgres.query(
        `ALTER ROLE ${AUTH_USER} RESET search_path; DROP SCHEMA aq_evil CASCADE`,
      );
    }
  });

  it('takes a search_path that the operator names', async () => {
    await postgres.query(
      `CREATE OR REPLACE FUNCTION public.aq_find(who text, OUT name text, OUT secret text) LANGUAGE sql
       AS 'SELECT rolname::text, rolpassword FROM pg_authid WHERE rolname = who'`,
    );
    const auth_query = 'SELECT * FROM aq_find($1)';
    await withAuthQuery(postgres, { settings: { auth_query } }, async (pooler) => {
      expect(await refuse(pooler, SCRAM_USER)).toBe(CONFIG_ERROR);
      const line = await pooler.waitForEvent('auth_query_failed');
      expect(line['error']).toContain('function aq_find(unknown) does not exist (42883): name its');
    });
    for (const auth_query_search_path of ['public', '']) {
      const settings = { auth_query, auth_query_search_path };
      await withAuthQuery(postgres, { settings }, async (pooler) => {
        expect(await sessionUser(pooler, SCRAM_USER)).toBe('aq_scram');
      });
    }
  });

  it('runs no connect_query and is not that of clients who log in as auth_user', async () => {
    const options = {
      database: { connect_query: 'SELECT pg_advisory_lock_shared(4711)' },
      users: { [AUTH_USER]: CONSOLE_PASSWORD },
      settings: { auth_query_cache_ttl: 0 },
    };
    await withAuthQuery(postgres, options, async (pooler) => {
      const own = { user: AUTH_USER, database: 'app', password: CONSOLE_PASSWORD };
      const client = await pooler.login(own);
      await client.query('CREATE TEMP TABLE pg_authid (x int); SET search_path = pg_temp');
      expect(await sessionUser(pooler, SCRAM_USER)).toBe('aq_scram');
      const sessions = await postgres.query(
        `SELECT usename, (SELECT count(*) FROM pg_locks l WHERE l.pid = a.pid AND objid = 4711) AS locks
         FROM pg_stat_activity a WHERE usename IN ('${AUTH_USER}', 'aq_scram') ORDER BY 1, 2`,
      );
      expect(sessions).toEqual([
        { usename: AUTH_USER, locks: '0' },
        { usename: AUTH_USER, locks: '1' },
        { usename: 'aq_scram', locks: '1' },
      ]);
      // Monitoring takes database and user for the key of a row.
      const pools = await pooler.console('SHOW POOLS');
      const rows = pools.filter((row) => row['user'] === AUTH_USER);
      expect(rows.map((row) => [row['database'], row['sv_idle']])).toEqual([['app', '2']]);
      await client.close();
    });
  });

  it('has a small budget of its own beside the limits of the database', async () => {
    const options = {
      settings: { auth_query: counter.query, auth_query_cache_ttl: 0 },
      database: { max_db_connections: 1, pool_size: 1 },
    };
    await withAuthQuery(postgres, options, async (pooler) => {
      const client = await pooler.login(SCRAM_USER);
      await client.query('BEGIN');
      // The only place of the database is taken: who logs in is asked for all the same.
      await Promise.all(
        Array.from({ length: 8 }, (_, i) =>
          refuse(pooler, { ...SCRAM_USER, user: `aq_nobody_${String(i)}` }),
        ),
      );
      const [row] = await pooler.console('SHOW DATABASES');
      expect(row?.['current_connections']).toBe('1');
      const pools = await pooler.console('SHOW POOLS');
      const pool = pools.find(({ user }) => user === AUTH_USER);
      expect(Number(pool?.['sv_idle'])).toBeGreaterThan(0);
      expect(Number(pool?.['sv_idle'])).toBeLessThanOrEqual(2);
      await client.query('COMMIT');
      await client.close();
    });
  });
});

describe('auth_dbname', () => {
  it('says where to ask, for all databases or for one', async () => {
    await postgres.createDatabase('aq_other');
    const target = { host: postgres.host, port: postgres.port };
    const options = {
      settings: { auth_dbname: 'asked' },
      databases: {
        asked: { ...target, dbname: postgres.database },
        more: { ...target, dbname: 'aq_other', auth_dbname: 'too' },
        too: { ...target, dbname: postgres.database },
      },
    };
    await withAuthQuery(postgres, options, async (pooler) => {
      expect(await sessionUser(pooler, SCRAM_USER)).toBe('aq_scram');
      expect(await sessionUser(pooler, { ...SCRAM_USER, database: 'more' })).toBe('aq_scram');
      const servers = await pooler.console('SHOW SERVERS');
      const asked = servers.filter(({ user }) => user === AUTH_USER);
      expect(asked.map(({ database }) => database).sort()).toEqual(['asked', 'too']);
    });
  });

  it('that is no database, or switched off, admits nobody', async () => {
    await withAuthQuery(postgres, { settings: { auth_dbname: 'gone' } }, async (pooler) => {
      expect(await refuse(pooler, SCRAM_USER)).toBe(CONFIG_ERROR);
      const line = await pooler.waitForEvent('client_login_failed');
      expect(line['reason']).toBe('auth_dbname "gone" is no database');
    });
    await withAuthQuery(postgres, {}, async (pooler) => {
      await pooler.console('DISABLE app');
      expect(await refuse(pooler, SCRAM_USER)).toBe(
        'FATAL 57P03: authentication database "app" is disabled',
      );
    });
  });

  it.each(['pgbouncer', 'maitred'])('%s is refused', async (name) => {
    await expect(
      withAuthQuery(postgres, { settings: { auth_dbname: name } }, async () => {}),
    ).rejects.toThrow(`cannot use the reserved "${name}" database as an auth_dbname`);
  });

  it('lets users of the server use the console, if it is global', async () => {
    const settings = { admin_users: 'postgres, aq_scram' };
    const login = { ...SCRAM_USER, database: 'pgbouncer' };
    await withAuthQuery(postgres, { settings }, async (pooler) => {
      expect(await refuse(pooler, login)).toBe(SASL_FAILED);
    });
    const more = { ...settings, auth_dbname: 'app' };
    await withAuthQuery(postgres, { settings: more }, async (pooler) => {
      const client = await pooler.login(login);
      expect(await client.query('SHOW VERSION')).toHaveLength(1);
      await client.close();
      expect(await refuse(pooler, { ...login, password: WRONG })).toBe(SASL_FAILED);
      expect(await refuse(pooler, { ...login, user: 'aq_md5' })).toBe('FATAL 42501: not allowed');
    });
  });
});

describe('what auth_query has answered', () => {
  const settings = { auth_query: counter.query, auth_query_cache_ttl: '60s' };

  it('is used again for a while, for users who exist and for those who do not', async () => {
    const before = [await counter.count('aq_scram'), await counter.count('aq_nobody')];
    const plain = { ...settings, auth_type: 'plain' };
    await withAuthQuery(postgres, { settings: plain }, async (pooler) => {
      for (let i = 0; i < 3; i++) {
        expect(await sessionUser(pooler, SCRAM_USER)).toBe('aq_scram');
      }
      expect(await counter.count('aq_scram')).toBe((before[0] ?? 0) + 1);
      await refuse(pooler, { ...SCRAM_USER, user: 'aq_nobody' });
      await refuse(pooler, { ...SCRAM_USER, user: 'aq_nobody' });
      // The second failure has it asked once more.
      expect(await counter.count('aq_nobody')).toBe((before[1] ?? 0) + 2);
    });
  });

  it('is used again under SCRAM by logins that come faster than a user is asked for', async () => {
    const before = await counter.count('aq_scram');
    await withAuthQuery(postgres, { settings }, async (pooler) => {
      const start = performance.now();
      const logins = 60;
      for (let i = 0; i < logins; i++) {
        expect(await sessionUser(pooler, SCRAM_USER)).toBe('aq_scram');
      }
      const intervals = Math.ceil((performance.now() - start) / RENEWAL_INTERVAL_MS);
      const count = (await counter.count('aq_scram')) - before;
      expect(count).toBeLessThanOrEqual(1 + RENEWAL_BURST + intervals);
    });
  });

  it('is asked once for clients that come at the same time', async () => {
    const before = await counter.count('aq_scram');
    await withAuthQuery(postgres, { settings }, async (pooler) => {
      const answer = await counter.holdUp();
      const logins = Array.from({ length: 20 }, () => sessionUser(pooler, SCRAM_USER));
      await waitFor('all of them to wait', async () => {
        const rows = await pooler.console("SHOW LISTS WHERE list = 'login_clients'");
        return rows[0]?.['items'] === '20';
      });
      // Whatever they have sent has been read by the next answer.
      await pooler.console('SHOW VERSION');
      await answer();
      expect(new Set(await Promise.all(logins))).toEqual(new Set(['aq_scram']));
      expect(await counter.count('aq_scram')).toBe(before + 1);
    });
  });

  it('is asked anew at each login with auth_query_cache_ttl 0', async () => {
    const before = await counter.count('aq_scram');
    const always = { ...settings, auth_query_cache_ttl: 0 };
    await withAuthQuery(postgres, { settings: always }, async (pooler) => {
      await sessionUser(pooler, SCRAM_USER);
      await sessionUser(pooler, SCRAM_USER);
      expect(await counter.count('aq_scram')).toBe(before + 2);
    });
  });

  it('does not turn wrong passwords into questions one by one', async () => {
    await withAuthQuery(postgres, { settings }, async (pooler) => {
      await sessionUser(pooler, SCRAM_USER);
      const before = await counter.count('aq_scram');
      const start = performance.now();
      for (let i = 0; i < 60; i++) {
        await refuse(pooler, { ...SCRAM_USER, password: WRONG });
      }
      const intervals = Math.ceil((performance.now() - start) / RENEWAL_INTERVAL_MS);
      await sessionUser(pooler, SCRAM_USER);
      const most = RENEWAL_BURST + intervals;
      expect((await counter.count('aq_scram')) - before).toBeLessThanOrEqual(most);
    });
  });

  it.each([
    ['plain', 'scram-sha-256', 'scram-sha-256'],
    ['plain', 'md5', 'md5'],
    ['plain', 'md5', 'scram-sha-256'],
    ['md5', 'md5', 'md5'],
    ['md5', 'md5', 'scram-sha-256'],
    ['md5', 'scram-sha-256', 'md5'],
    ['scram-sha-256', 'scram-sha-256', 'scram-sha-256'],
  ] as const)(
    'does not keep a changed password from working at once (%s, %s to %s)',
    async (auth_type, before, after) => {
      await postgres.createRole('aq_change', 'old', before);
      const login = { user: 'aq_change', database: 'app', password: 'old' };
      const options = { settings: { ...settings, auth_type } };
      await withAuthQuery(postgres, options, async (pooler) => {
        expect(await sessionUser(pooler, login)).toBe('aq_change');
        await setPassword(postgres, 'aq_change', 'new', after);
        expect(await sessionUser(pooler, { ...login, password: 'new' })).toBe('aq_change');
        expect(await refuse(pooler, login)).toMatch(
          /^FATAL 28P01: (password|SASL) authentication failed$/,
        );
        await setPassword(postgres, 'aq_change', 'newer', after);
        expect(await sessionUser(pooler, { ...login, password: 'newer' })).toBe('aq_change');
      });
    },
  );

  it('does not keep a role that is gone, or may not log in any more, from being refused', async () => {
    await postgres.createRole('aq_change', 'old', 'scram-sha-256');
    const login = { user: 'aq_change', database: 'app', password: 'old' };
    await withAuthQuery(postgres, { settings }, async (pooler) => {
      expect(await sessionUser(pooler, login)).toBe('aq_change');
      await postgres.query('ALTER ROLE aq_change NOLOGIN');
      expect(await refuse(pooler, login)).toBe(SASL_FAILED);
      await postgres.query('ALTER ROLE aq_change LOGIN');
      expect(await sessionUser(pooler, login)).toBe('aq_change');
    });
  });

  it.each([
    ['plain', PASSWORD_FAILED],
    ['scram-sha-256', SASL_FAILED],
  ])('does not keep a new user out (%s)', async (auth_type, failed) => {
    await postgres.query('DROP ROLE IF EXISTS aq_new');
    const login = { user: 'aq_new', database: 'app', password: PASSWORD };
    const options = { settings: { ...settings, auth_type } };
    await withAuthQuery(postgres, options, async (pooler) => {
      expect(await refuse(pooler, login)).toBe(failed);
      await postgres.createRole('aq_new', PASSWORD, 'scram-sha-256');
      expect(await sessionUser(pooler, login)).toBe('aq_new');
      await postgres.query('DROP ROLE aq_new');
    });
  });

  it('is forgotten on RELOAD', async () => {
    const plain = { ...settings, auth_type: 'plain' };
    await withAuthQuery(postgres, { settings: plain }, async (pooler) => {
      await sessionUser(pooler, SCRAM_USER);
      const before = await counter.count('aq_scram');
      await sessionUser(pooler, SCRAM_USER);
      expect(await counter.count('aq_scram')).toBe(before);
      await pooler.console('RELOAD');
      await sessionUser(pooler, SCRAM_USER);
      expect(await counter.count('aq_scram')).toBe(before + 1);
    });
  });

  it('follows a changed auth_query and auth_user after RELOAD', async () => {
    await withAuthQuery(postgres, { settings }, async (pooler) => {
      await sessionUser(pooler, SCRAM_USER);
      const changed = {
        settings: { auth_user: postgres.user, auth_query: 'SELECT $1::text, NULL' },
      };
      const { maitred, databases } = authQueryConfig(postgres, changed);
      pooler.rewriteConfig({ maitred: { ...maitred, listen_port: pooler.port }, databases });
      await pooler.console('RELOAD');
      expect(await refuse(pooler, SCRAM_USER)).toBe(SASL_FAILED);
      const servers = await pooler.console('SHOW SERVERS');
      expect(servers.map(({ user }) => user)).toContain(postgres.user);
    });
  });
});

describe('the keys that a client of auth_query proves', () => {
  it('fill min_pool_size after its login, without a password anywhere', async () => {
    const database = { min_pool_size: 3, pool_size: 5 };
    await withAuthQuery(postgres, { database }, async (pooler) => {
      const client = await pooler.login(SCRAM_USER);
      await expect
        .poll(async () => {
          const pools = await pooler.console('SHOW POOLS');
          return pools.find(({ user }) => user === 'aq_scram')?.['sv_idle'];
        })
        .toBe('3');
      await client.close();
    });
  });

  it('replace those of an old password', async () => {
    await postgres.createRole('aq_change', 'old', 'scram-sha-256');
    await postgres.query('GRANT auth_scram TO aq_change');
    const login = { user: 'aq_change', database: 'app', password: 'old' };
    await withAuthQuery(postgres, { settings: { auth_query_cache_ttl: 0 } }, async (pooler) => {
      const early = await pooler.login(login);
      expect(await early.query('SELECT 1 AS one')).toEqual([{ one: '1' }]);
      await setPassword(postgres, 'aq_change', 'new');
      await pooler.console('RECONNECT app');
      expect(await sessionUser(pooler, { ...login, password: 'new' })).toBe('aq_change');
      expect(await early.query('SELECT 2 AS two')).toEqual([{ two: '2' }]);
      await early.close();
    });
  });
});
