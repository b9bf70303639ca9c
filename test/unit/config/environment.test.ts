import { describe, expect, it } from 'vitest';
import type { ConfigProblem } from '../../../src/config/config-error.ts';
import type { Config } from '../../../src/config/config.ts';
import { loadConfig } from '../../../src/config/load.ts';
import { problemsIn } from './support.ts';

const FILES: readonly (readonly [string, string])[] = [
  ['m.yaml', 'maitred: { auth_file: f, listen_port: 1, log_stats: on }\ndatabases: { a: {} }'],
  ['p.ini', '[pgbouncer]\nauth_file = f\nlisten_port = 1\nlog_stats = 1\n[databases]\na =\n'],
];

describe.each(FILES)('an environment variable over %s', (file, text) => {
  const load = (env: Record<string, string | undefined>): Config =>
    loadConfig(file, () => text, env);
  const problems = (env: Record<string, string>): readonly ConfigProblem[] =>
    problemsIn(() => load(env));

  it('overrides the setting of its name, spelt as in YAML', () => {
    const env = { MAITRED_LISTEN_PORT: '7', MAITRED_LOG_STATS: 'off', MAITRED_QUERY_TIMEOUT: '5m' };
    const { settings } = load({ ...env, MAITRED_ADMIN_USERS: 'a,b', MAITRED_UNIX_SOCKET_DIR: '' });
    expect(settings).toMatchObject({
      listenPort: 7,
      logStats: false,
      queryTimeoutMs: 300_000,
      adminUsers: ['a', 'b'],
      unixSocketDir: '',
    });
  });

  it('that is not set leaves the file alone', () => {
    expect(load({ MAITRED_LISTEN_PORT: undefined }).settings.listenPort).toBe(1);
  });

  it('is named when its value is wrong, with all others', () => {
    expect(problems({ MAITRED_LISTEN_PORT: 'x', MAITRED_POOL_MODE: 'y' })).toEqual([
      {
        file: 'environment variable MAITRED_LISTEN_PORT',
        line: 0,
        column: 0,
        key: 'listen_port',
        value: 'x',
        allowed: 'a whole number from 0 to 65535',
        message:
          'environment variable MAITRED_LISTEN_PORT: invalid value "x" for parameter listen_port: not a whole number; allowed: a whole number from 0 to 65535',
      },
      expect.objectContaining({ file: 'environment variable MAITRED_POOL_MODE' }),
    ]);
  });

  it('that is not supported yet', () => {
    const [problem] = problems({ MAITRED_MAX_PREPARED_STATEMENTS: '5' });
    expect(problem?.message).toContain('not supported yet');
  });

  it('with a secret is not repeated', () => {
    expect(JSON.stringify(problems({ MAITRED_AUTH_LDAP_OPTIONS: 'hunter2' }))).not.toContain(
      'hunter2',
    );
  });

  it('with a name like that of a setting is warned of', () => {
    expect(load({ MAITRED_POOL_MOD: 'session' }).warnings).toEqual([
      'environment variable MAITRED_POOL_MOD: no setting has this name (did you mean MAITRED_POOL_MODE?)',
    ]);
  });

  it.each([
    'MAITRED_HOME',
    'MAITRED_PORT',
    'MAITRED_SERVICE_HOST',
    'MAITRED_SERVICE_PORT',
    'MAITRED_PORT_6432_TCP_PROTO',
    'MAITRED_',
    'LISTEN_PORT',
    'maitred_listen_port',
    'MAITRED___PROTO__',
    'MAITRED_CONSTRUCTOR',
  ])('of another meaning is left alone: %s', (name) => {
    const config = load({ [name]: '7' });
    expect(config.warnings).toEqual([]);
    expect(config.settings.listenPort).toBe(1);
  });

  it('is not looked for variables itself', () => {
    expect(load({ MAITRED_JOB_NAME: '${A}', A: 'x' }).settings.jobName).toBe('${A}');
  });
});
