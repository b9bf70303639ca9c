import { describe, expect, it } from 'vitest';
import { checkCommand } from '../../../src/app/check-command.ts';
import type { CommandResult } from '../../../src/app/command-result.ts';

interface Surroundings {
  readonly env?: Readonly<Record<string, string>>;
  readonly file?: string;
  /** Other files. */
  readonly files?: Readonly<Record<string, string>>;
  readonly startProblems?: readonly string[];
}

function check(text: string, around: Surroundings = {}): Promise<CommandResult> {
  const { env = {}, file = 'p.ini', files = {}, startProblems = [] } = around;
  const readText = (name: string): string => {
    const content = name === file ? text : files[name];
    if (content === undefined) {
      throw new Error(`ENOENT: no such file or directory, open '${name}'`);
    }
    return content;
  };
  return checkCommand(file, { readText, env }, () => Promise.resolve(startProblems));
}

describe('maitred check', () => {
  it('looks into the filter of LDAP', async () => {
    const options = (filter: string): string =>
      `[pgbouncer]\nauth_type = ldap\nauth_ldap_options = ldapserver=h ldapbasedn=d ldapsearchfilter=${filter}\n`;
    const wrong = 'warning: auth_ldap_options: ldapsearchfilter is not a filter';
    expect((await check(options('(&$username)'))).stdout).toContain(wrong);
    expect((await check(options('(uid=$username)'))).stdout).not.toContain(wrong);
  });

  it('prints what is not at its default, with the warnings', async () => {
    const text = `[pgbouncer]
auth_file = users.txt
query_timeout = 1.5
unix_socket_dir =
listen_addr = *
log_stats = 0
max_prepared_statements = 200
default_pool_size = 20
[databases]
app = host=db port=5433 user=u password=hunter2 connect_query='SELECT 1'
other =
[users]
alice = pool_mode=session
`;
    expect(await check(text, { files: { 'users.txt': '' } })).toEqual({
      exitCode: 0,
      stderr: '',
      stdout: `setting          value      default
auth_file        users.txt  -
listen_addr      *          ""
log_stats        0          1
query_timeout    1.5        0
unix_socket_dir  ""         /tmp

database  keys
app       host=db port=5433 user=u password=*** connect_query="SELECT 1"
other

user   keys
alice  pool_mode=session

warning: p.ini:7:27: max_prepared_statements: not supported yet; statement tracking is off, so prepared statements need session mode

p.ini: the configuration can be used
`,
    });
  });

  it('lists peers', async () => {
    const text = '[pgbouncer]\npeer_id=2\n[peers]\n1=host=h pool_size=3\n2=host=/run port=7\n';
    const { stdout } = await check(text);
    expect(stdout).toContain('\npeer  keys\n1     host=h pool_size=3\n2     host=/run port=7\n');
  });

  it('tells that everything is at its default', async () => {
    expect((await check('[pgbouncer]\n')).stdout).toMatch(/^all settings are at their defaults\n/);
  });

  it('counts the environment in, of a YAML file too', async () => {
    const env = { MAITRED_LISTEN_PORT: '7' };
    const result = await check('maitred: {}', { env, file: 'm.yaml' });
    expect(result.stdout).toMatch(/^listen_port +7 +6432$/m);
  });

  it('prints every problem and nothing else when there are any', async () => {
    const env = { MAITRED_POOL_MODE: 'y' };
    const result = await check('[pgbouncer]\nlisten_port = x\nnope = 1\n', { env });
    expect(result).toMatchObject({ exitCode: 1, stdout: '' });
    expect(result.stderr.split('\n')).toEqual([
      expect.stringContaining('p.ini:2:15: invalid value "x"'),
      'p.ini:3:1: unknown parameter: pgbouncer/nope in configuration (p.ini:3)',
      expect.stringContaining('environment variable MAITRED_POOL_MODE: invalid value "y"'),
      '',
    ]);
  });

  it('reports a file that cannot be read', async () => {
    const readText = (): string => {
      throw new Error('no such file');
    };
    const none = (): Promise<readonly string[]> => Promise.resolve([]);
    expect(await checkCommand('x', { readText, env: {} }, none)).toEqual({
      exitCode: 1,
      stdout: '',
      stderr: 'could not load file "x": no such file\n',
    });
  });

  it('prints what a start would end with, and nothing else', async () => {
    const startProblems = ['nowhere to listen on', "could not find user 'x' to switch to"];
    expect(await check('[pgbouncer]\nquery_timeout = 5\n', { startProblems })).toEqual({
      exitCode: 1,
      stdout: '',
      stderr: "p.ini: nowhere to listen on\np.ini: could not find user 'x' to switch to\n",
    });
  });

  it('warns of users who cannot log in, as the start does', async () => {
    const scram = `SCRAM-SHA-256$4096:c2FsdHNhbHRzYWx0c2FsdA==$${'A'.repeat(43)}=:${'A'.repeat(43)}=`;
    const files = { 'users.txt': `"alice" "${scram}"\n"bob" "md5${'0'.repeat(32)}"\n` };
    const text = (authType: string): string =>
      `[pgbouncer]\nauth_file = users.txt\nauth_type = ${authType}\n[databases]\napp = host=h\n`;
    const trust = await check(text('trust'), { files });
    expect(trust.exitCode).toBe(0);
    expect(trust.stdout).toContain(
      'warning: auth_type trust: auth_file has only SCRAM secrets of "alice", who cannot log in',
    );
    const strict = await check(text('scram-sha-256'), { files });
    expect(strict.stdout).toContain('auth_file has md5 secrets of "bob", who cannot log in');
    const plain = await check(text('md5'), { files: { 'users.txt': '"alice" "secret"\n' } });
    expect(plain.stdout).not.toContain('warning');
  });

  it('warns of a users file that is missing or broken', async () => {
    const text = '[pgbouncer]\nauth_file = users.txt\n[databases]\napp = host=h\n';
    const missing = await check(text);
    expect(missing.exitCode).toBe(0);
    expect(missing.stdout).toContain(
      'warning: could not open auth_file users.txt: No such file or directory\n',
    );
    const broken = await check(text, { files: { 'users.txt': '"a" "b"\nc\n' } });
    expect(broken.stdout).toMatch(/^warning: users\.txt:2: /m);
  });

  it('keeps what comes from the file on one line', async () => {
    const { stdout } = await check(
      "[pgbouncer]\njob_name = a\rb\n[databases]\n'a\u2028\u001bb' =\n",
    );
    expect(stdout).toContain('"a\\rb"');
    expect(stdout).not.toContain('\u001b');
    expect(stdout).not.toContain('\r');
  });

  it.each([
    ['', 'admin_users: auth_file has no password of "postgres", "dba"', 'stats_users: auth_file'],
    ['auth_type = scram-sha-256', 'of "postgres", "dba", so the console', 'of "stats", so'],
  ])('warns of users of the console who cannot log in (%#)', async (line, first, second) => {
    const text = `[pgbouncer]
${line}
auth_file = users.txt
admin_users = postgres, alice, dba, pgbouncer
stats_users = stats
[databases]
app =
`;
    const files = { 'users.txt': '"alice" "secret"\n"dba" ""\n' };
    const { exitCode, stdout } = await check(text, { files });
    expect(exitCode).toBe(0);
    expect(stdout).toContain(first);
    expect(stdout).toContain(second);
    expect(stdout).not.toContain('"alice"');
  });

  it.each(['auth_type = trust', 'auth_type = any', 'auth_user = asker'])(
    'does not warn of users of the console who may come in otherwise: %s',
    async (line) => {
      const text = `[pgbouncer]\n${line}\nauth_file = u\nadmin_users = postgres\nstats_users = x\n`;
      const { exitCode, stdout } = await check(text, { files: { u: '' } });
      expect(exitCode).toBe(0);
      expect(stdout).not.toContain('auth_file has no password');
    },
  );
});
