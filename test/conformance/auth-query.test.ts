import { createHash } from 'node:crypto';
import type { Difference } from './comparison.ts';
import { describeConformance } from './conformance.ts';
import type { Scenario } from './conformance.ts';
import { BOB, PASSWORD } from './stage.ts';
import type { Place } from './stage.ts';

/** Who asks; the server trusts it. */
const ASKER = 'cf_asker';
const DIGEST = `md5${createHash('md5').update(`${PASSWORD}${BOB}`).digest('hex')}`;

async function prepare({ postgres }: Place): Promise<void> {
  await postgres.createRole(ASKER);
}

/** A login of somebody who is not in auth_file. */
function scenario(
  name: string,
  account: { readonly user?: string; readonly password?: string },
  differences: readonly Difference[] = [],
): Scenario {
  return {
    name,
    run: async (stage) => {
      const client = await stage.login('a', {
        user: BOB,
        database: 'app',
        password: PASSWORD,
        ...account,
      });
      await client.terminate().catch(() => undefined);
      await stage.logAll(
        /\bC-\S+ .*(?:login attempt|pooler error|closing because: (?!client close))/,
        /\bC-\S+ .*closing because/,
      );
    },
    differences,
  };
}

/** The lines of the log about a refusal. */
function refusal(text: string, who: string): readonly string[] {
  return [
    `log LOG C: app/${who}@127.0.0.1:PORT closing because: ${text} (age=Ns)`,
    `log WARNING C: app/${who}@127.0.0.1:PORT pooler error: ${text}`,
  ];
}

function attempt(user: string): string {
  return `log LOG C: app/${user}@127.0.0.1:PORT login attempt: db=app user=${user} tls=no replication=no`;
}

const WRONG = 'password authentication failed';
const ASKED = 'a< Authentication 3';

const QUERIES: readonly (readonly [string, string, readonly Scenario[]])[] = [
  [
    'that finds a user',
    `SELECT '${BOB}'::text, '${DIGEST}'::text WHERE $1 = '${BOB}'`,
    [
      scenario('right password', {}),
      scenario('wrong password', { password: 'guess' }),
      scenario('a user that it does not find', { user: 'stranger' }, [
        {
          id: 'auth-query-unknown',
          pgbouncer: ['a< ErrorResponse no such user'],
          maitred: [ASKED, `a< ErrorResponse ${WRONG}`],
        },
        {
          id: 'auth-query-unknown',
          pgbouncer: refusal('no such user', '(nouser)'),
          maitred: [attempt('stranger'), ...refusal(WRONG, 'stranger')],
        },
      ]),
    ],
  ],
  [
    'that finds another name',
    `SELECT '${BOB}'::text, '${DIGEST}'::text WHERE $1 <> ''`,
    [
      scenario('right password', { user: 'someone' }, [
        { id: 'auth-query-name', pgbouncer: [attempt(BOB)], maitred: [attempt('someone')] },
      ]),
    ],
  ],
  ['with a NULL secret', `SELECT $1::text, NULL::text`, [scenario('a password', {})]],
  ['with an empty secret', `SELECT $1::text, ''::text`, [scenario('a password', {})]],
  [
    'with a NULL name',
    `SELECT NULL::text, '${DIGEST}'::text WHERE $1 <> ''`,
    [scenario('a password', {})],
  ],
  ['with one column', `SELECT $1::text`, [scenario('a password', {})]],
  ['with three columns', `SELECT $1::text, 'x'::text, 'y'::text`, [scenario('a password', {})]],
  [
    'with two rows',
    `SELECT $1::text, '${DIGEST}'::text UNION ALL SELECT $1::text, 'other'::text`,
    [
      scenario('a password', {}, [
        {
          id: 'auth-query-rows',
          pgbouncer: [ASKED, `a< ErrorResponse ${WRONG}`],
          maitred: ['a< ErrorResponse bouncer config error'],
        },
        {
          id: 'auth-query-rows',
          pgbouncer: [attempt(BOB), ...refusal(WRONG, BOB)],
          maitred: refusal('bouncer config error', BOB),
        },
      ]),
    ],
  ],
  ['that fails', `SELECT $1::text, 1/0`, [scenario('a password', {})]],
  ['that is no query', `SELEKT $1`, [scenario('a password', {})]],
  ['that returns nothing', `SET application_name = 'x' -- $1`, [scenario('a password', {})]],
];

for (const [name, query, scenarios] of QUERIES) {
  describeConformance({
    name: `an auth_query ${name}`,
    ini: { pgbouncer: ['auth_type = plain', `auth_user = ${ASKER}`, `auth_query = ${query}`] },
    users: { admin: PASSWORD, stats: PASSWORD },
    prepare,
    scenarios,
  });
}
