import { createHash } from 'node:crypto';
import { makeAuthority } from '../support/certificates.ts';
import type { Difference } from './comparison.ts';
import { describeConformance } from './conformance.ts';
import type { Scenario } from './conformance.ts';
import { BOB, PASSWORD, writePlaceFile } from './stage.ts';
import type { Place, Stage } from './stage.ts';
import type { Account } from './stage-client.ts';

/** Everybody is the same user to the server: rules decide by the name that the client gives. */
const FORCED = `$SERVER user=${BOB}`;

const WRONG = 'guess';
const CONSOLE = 'pgbouncer';

const USERS = {
  admin: PASSWORD,
  stats: PASSWORD,
  trusty: '',
  passwordless: '',
  hashed: `md5${createHash('md5').update(`${PASSWORD}hashed`).digest('hex')}`,
  plainly: PASSWORD,
  'quoted user': PASSWORD,
  scrammed: PASSWORD,
  rejected: PASSWORD,
  tlsonly: PASSWORD,
  plainonly: PASSWORD,
  certified: PASSWORD,
  peered: PASSWORD,
  same: PASSWORD,
  listed: PASSWORD,
  masked: PASSWORD,
  farther: PASSWORD,
  local: PASSWORD,
  all: PASSWORD,
};

const RULES = [
  '# who may come in, and how',
  'host  pgbouncer  admin  127.0.0.1/32  trust',
  'host  pgbouncer  stats  127.0.0.1/32  md5',
  '',
  '   host  shop  trusty  127.0.0.1/32  trust   # a comment',
  'host  shop  passwordless,hashed,plainly,"quoted user"  127.0.0.1  255.255.255.255  md5',
  'host  shop,other  scrammed  127.0.0.0/8  scram-sha-256',
  'host  other  plainly  0.0.0.0/0  password',
  'host  other  hashed   0.0.0.0/0  scram-sha-256',
  'host  other  passwordless  0.0.0.0/0  password',
  'host  shop  rejected  0.0.0.0/0  reject',
  'host  shop  rejected  0.0.0.0/0  trust',
  'hostssl  shop  tlsonly  0.0.0.0/0  trust',
  'hostnossl  shop  plainonly  0.0.0.0/0  trust',
  'host  shop  certified  0.0.0.0/0  cert',
  'host  shop  peered  0.0.0.0/0  peer',
  'host  sameuser  same  127.0.0.1/32  trust',
  'host  shop  @names.txt  127.0.0.1/32  trust',
  'host  shop  masked  127.0.0.77/8  trust',
  'host  shop  farther  10.0.0.0/8  trust',
  'host  shop  farther  ::1/128  trust',
  'local shop  local  trust',
  'local shop  peered  peer',
  'host  shop  "all"  127.0.0.1/32  trust',
];

const SETTINGS = [
  'auth_type = hba',
  'auth_hba_file = $DIR/hba.conf',
  'client_tls_sslmode = allow',
  'client_tls_cert_file = $DIR/server.crt',
  'client_tls_key_file = $DIR/server.key',
];

function preparePlace(place: Place): Promise<void> {
  const { cert, key } = makeAuthority().issue({ commonName: 'localhost' });
  writePlaceFile(place, 'server.crt', cert);
  writePlaceFile(place, 'server.key', key);
  writePlaceFile(place, 'names.txt', 'listed\n"another one"\n');
  writePlaceFile(place, 'hba.conf', `${RULES.join('\n')}\n`);
  return Promise.resolve();
}

interface Attempt extends Account {
  /** How it reaches the pooler; TCP by default. */
  readonly by?: 'tls' | 'unix';
}

/** A login and what the log says of it. */
async function attempt(stage: Stage, { by, ...account }: Attempt): Promise<void> {
  const client = await stage.connect(account.database === CONSOLE ? 'console' : 'a', by === 'unix');
  if (by === 'tls') {
    await client.raw.startTls();
  }
  await client.login({ database: 'shop', ...account });
  await client.terminate().catch(() => undefined);
  await stage.logAll(/login attempt|pooler error|closing because: (?!client close)/, /closing/);
}

function scenario(
  name: string,
  account: Attempt,
  differences: readonly Difference[] = [],
): Scenario {
  return { name, run: (stage) => attempt(stage, account), differences };
}

/**
 * A login that no line is for: newer versions of PgBouncer have a text for it.
 *
 * @param from - As PgBouncer's log names who it is.
 */
function noLine(name: string, account: Attempt, from?: string): Scenario {
  const { user, database = 'shop', by } = account;
  const address = by === 'unix' ? 'unix:PORT' : '127.0.0.1:PORT';
  const lines = (text: string, who: string): readonly string[] => [
    `log LOG C: ${who}@${address} closing because: ${text} (age=Ns)`,
    `log WARNING C: ${who}@${address} pooler error: ${text}`,
  ];
  const [old, text] = ['login rejected', 'no authentication method is found'];
  const who = `${database}/${user}`;
  const id = 'version-hba-no-line';
  return scenario(name, account, [
    { id, pgbouncer: [`a< ErrorResponse ${old}`], maitred: [`a< ErrorResponse ${text}`] },
    { id, pgbouncer: lines(old, from ?? who), maitred: lines(text, who) },
  ]);
}

/** Only whether somebody comes in. */
function admission(name: string, user: string, difference: Difference): Scenario {
  return {
    name,
    run: async (stage) => {
      const outcome = await stage.enter('a', { user, database: 'shop' }).then(
        () => 'admitted',
        (error: unknown) => String(error),
      );
      stage.note(outcome.replace(/ [0-9A-Z]{5}:/, ''));
    },
    differences: [difference],
  };
}

describeConformance({
  name: 'rules of auth_hba_file',
  ini: {
    pgbouncer: SETTINGS,
    databases: [`other = ${FORCED}`, `same = ${FORCED}`, `shop = ${FORCED}`],
  },
  users: USERS,
  prepare: preparePlace,
  scenarios: [
    scenario('trust', { user: 'trusty' }),
    scenario('trust, and a password that nobody asks for', { user: 'trusty', password: WRONG }),
    scenario('md5, a stored hash', { user: 'hashed', password: PASSWORD }),
    scenario('md5, a stored hash, wrong', { user: 'hashed', password: WRONG }),
    scenario('md5, a plain password', { user: 'plainly', password: PASSWORD }),
    scenario('md5, a quoted name in a list', { user: 'quoted user', password: PASSWORD }),
    scenario('md5, no password stored', { user: 'passwordless', password: PASSWORD }),
    scenario('scram-sha-256', { user: 'scrammed', password: PASSWORD }),
    scenario('scram-sha-256, wrong', { user: 'scrammed', password: WRONG }),
    scenario('scram-sha-256, the second database of a list', {
      user: 'scrammed',
      database: 'other',
      password: PASSWORD,
    }),
    scenario(
      'scram-sha-256, a stored md5 hash',
      {
        user: 'hashed',
        database: 'other',
        password: PASSWORD,
      },
      [{ id: 'scram-md5-secret', pgbouncer: [], maitred: ['a< Authentication 11 r=R,s=S,i=4096'] }],
    ),
    scenario('password', { user: 'plainly', database: 'other', password: PASSWORD }),
    scenario('password, wrong', { user: 'plainly', database: 'other', password: WRONG }),
    scenario('password, empty', { user: 'plainly', database: 'other', password: '' }),
    scenario('password, none stored', {
      user: 'passwordless',
      database: 'other',
      password: PASSWORD,
    }),
    scenario('reject, before a line that would admit', { user: 'rejected', password: PASSWORD }),
    scenario('hostssl, with TLS', { user: 'tlsonly', by: 'tls' }),
    noLine('hostssl, without TLS', { user: 'tlsonly' }),
    noLine('hostnossl, with TLS', { user: 'plainonly', by: 'tls' }),
    scenario('hostnossl, without TLS', { user: 'plainonly' }),
    scenario('cert, without TLS', { user: 'certified' }),
    scenario('cert, without a certificate', { user: 'certified', by: 'tls' }),
    scenario('peer on TCP', { user: 'peered' }),
    scenario('peer of another system user', { user: 'peered', by: 'unix' }),
    scenario('sameuser', { user: 'same', database: 'same' }),
    noLine('sameuser, another database', { user: 'same' }),
    scenario('@file', { user: 'listed' }),
    admission('a network with bits behind its mask', 'masked', {
      id: 'hba-host-bits',
      pgbouncer: ['BackendError: FATAL login rejected'],
      maitred: ['admitted'],
    }),
    noLine('an address that does not match', { user: 'farther' }),
    scenario('local', { user: 'local', by: 'unix' }),
    noLine('local, over TCP', { user: 'local' }),
    scenario('a user called all', { user: 'all' }),
    noLine('no line for the user', { user: 'stranger', password: PASSWORD }, '(nodb)/stranger'),
    noLine('no line for the database', { user: 'trusty', database: 'other' }),
    noLine(
      'a database that does not exist, and no line',
      { user: 'trusty', database: 'gone' },
      '(nodb)/trusty',
    ),
    scenario('the console', { user: 'stats', database: CONSOLE, password: PASSWORD }),
    scenario('the console, wrong password', {
      user: 'stats',
      database: CONSOLE,
      password: WRONG,
    }),
  ],
});

const PROBLEM =
  /hba line \d+: (?:unknown type|invalid mask|did not find mask|failed to parse mask|unsupported method: buf=\w+|unsupported parameters)/;
const SKIPPED = /could not parse hba config line \d+/;

/** Has the rules read anew, with some more. */
async function reloadRules(stage: Stage, ...rules: readonly string[]): Promise<void> {
  writePlaceFile(stage.place, 'hba.conf', `${RULES.join('\n')}\n${rules.join('\n')}\n`);
  await stage.look('RELOAD');
}

describeConformance({
  name: 'lines of auth_hba_file that cannot be used',
  ini: { pgbouncer: SETTINGS, databases: [`other = ${FORCED}`, `shop = ${FORCED}`] },
  users: USERS,
  prepare: preparePlace,
  scenarios: [
    {
      name: 'are left out, and those behind them count',
      run: async (stage) => {
        await reloadRules(
          stage,
          'nonsense',
          'host shop stranger 127.0.0.1/33 reject',
          'host shop stranger 127.0.0.1 reject',
          'host shop stranger 127.0.0.1/32 gss',
          'host shop +stranger 127.0.0.1/32 reject',
          'host shop',
          'host shop "stranger 127.0.0.1/32 reject',
          'host shop stranger 127.0.0.1/32 md5 nonsense',
          'host other trusty 127.0.0.1/32 trust',
        );
        await attempt(stage, { user: 'trusty', database: 'other' });
        // maitred has read the file with these lines at its start as well.
        const problems = stage.process.lines.flatMap((line) => PROBLEM.exec(line)?.[0] ?? []);
        const skipped = stage.process.lines.flatMap((line) => SKIPPED.exec(line)?.[0] ?? []);
        for (const line of new Set([...problems, ...skipped])) {
          stage.note(line);
        }
      },
    },
  ],
});
