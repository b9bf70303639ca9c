import { describe, expect, it } from 'vitest';
import { checkCommand } from '../../../src/app/check-command.ts';
import type { CommandResult } from '../../../src/app/command-result.ts';

function check(text: string, env: Record<string, string> = {}, file = 'p.ini'): CommandResult {
  return checkCommand(file, { readText: () => text, env });
}

describe('maitred check', () => {
  it('looks into the filter of LDAP', () => {
    const options = (filter: string): string =>
      `[pgbouncer]\nauth_type = ldap\nauth_ldap_options = ldapserver=h ldapbasedn=d ldapsearchfilter=${filter}\n`;
    const wrong = 'warning: auth_ldap_options: ldapsearchfilter is not a filter';
    expect(check(options('(&$username)')).stdout).toContain(wrong);
    expect(check(options('(uid=$username)')).stdout).not.toContain(wrong);
  });

  it('prints what is not at its default, with the warnings', () => {
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
    expect(check(text)).toEqual({
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

  it('lists peers', () => {
    const text = '[pgbouncer]\npeer_id=2\n[peers]\n1=host=h pool_size=3\n2=host=/run port=7\n';
    const { stdout } = check(text);
    expect(stdout).toContain('\npeer  keys\n1     host=h pool_size=3\n2     host=/run port=7\n');
  });

  it('tells that everything is at its default', () => {
    expect(check('[pgbouncer]\n').stdout).toMatch(/^all settings are at their defaults\n/);
  });

  it('counts the environment in, of a YAML file too', () => {
    const result = check('maitred: {}', { MAITRED_LISTEN_PORT: '7' }, 'm.yaml');
    expect(result.stdout).toMatch(/^listen_port +7 +6432$/m);
  });

  it('prints every problem and nothing else when there are any', () => {
    const result = check('[pgbouncer]\nlisten_port = x\nnope = 1\n', { MAITRED_POOL_MODE: 'y' });
    expect(result).toMatchObject({ exitCode: 1, stdout: '' });
    expect(result.stderr.split('\n')).toEqual([
      expect.stringContaining('p.ini:2:15: invalid value "x"'),
      'p.ini:3:1: unknown parameter: pgbouncer/nope',
      expect.stringContaining('environment variable MAITRED_POOL_MODE: invalid value "y"'),
      '',
    ]);
  });

  it('reports a file that cannot be read', () => {
    const readText = (): string => {
      throw new Error('no such file');
    };
    expect(checkCommand('x', { readText, env: {} })).toEqual({
      exitCode: 1,
      stdout: '',
      stderr: 'could not load file "x": no such file\n',
    });
  });

  it('keeps what comes from the file on one line', () => {
    const { stdout } = check("[pgbouncer]\njob_name = a\rb\n[databases]\n'a\u2028\u001bb' =\n");
    expect(stdout).toContain('"a\\rb"');
    expect(stdout).not.toContain('\u001b');
    expect(stdout).not.toContain('\r');
  });
});
