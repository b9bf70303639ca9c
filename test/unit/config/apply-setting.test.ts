import { describe, expect, it } from 'vitest';
import { applySetting } from '../../../src/config/apply-setting.ts';
import { listSettings } from '../../../src/config/list-settings.ts';
import { parseConfigText } from '../../../src/config/load.ts';

const config = parseConfigText('m.yaml', 'maitred: { query_timeout: 5 }\ndatabases: { a: }');

describe('applySetting', () => {
  it.each([
    ['query_timeout', '1.5', 'queryTimeoutMs', 1_500],
    ['pool_mode', 'Statement', 'poolMode', 'statement'],
    ['log_stats', '0', 'logStats', false],
    ['admin_users', 'a, b', 'adminUsers', ['a', 'b']],
    ['server_check_query', '', 'serverCheckQuery', null],
  ])('sets %s to %s in a copy', (key, text, property, value) => {
    const before = structuredClone(config.settings);
    const outcome = applySetting(config, key, text);
    expect(outcome).toEqual({
      config: { ...config, settings: { ...config.settings, [property]: value } },
    });
    expect(config.settings).toEqual(before);
  });

  it.each([
    ['query_timout', '1', 'unknown parameter: query_timout (did you mean query_timeout?)'],
    ['__proto__', '1', 'unknown parameter: __proto__'],
    ['Query_Timeout', '1', 'unknown parameter: Query_Timeout (did you mean query_timeout?)'],
    ['pool_mode', 'x', 'invalid value "x" for parameter pool_mode: unknown value'],
    ['max_client_conn', '-1', 'out of range'],
    ['listen_port', '6433', 'listen_port cannot be changed at run time'],
  ])('refuses %s = %s', (key, text, sentence) => {
    const outcome = applySetting(config, key, text);
    expect('problem' in outcome ? outcome.problem : '').toContain(sentence);
  });

  it('hides a secret in its answer', () => {
    const outcome = applySetting(config, 'auth_ldap_options', 'ldapbindpasswd=hunter2');
    expect(outcome).toHaveProperty('problem', expect.stringContaining('"***"'));
  });

  it('changes nothing for an unsupported setting given its default', () => {
    expect(applySetting(config, 'dns_zone_check_period', '0')).toEqual({ config });
  });

  const changeable = listSettings(config).filter((row) => row.changeable && row.key !== 'conffile');
  it.each(changeable.map(({ key, value }) => [key, value] as const))(
    'accepts for %s what SHOW CONFIG prints',
    (key, value) => {
      if (value !== null) {
        expect(applySetting(config, key, value)).toEqual({ config });
      }
    },
  );
});
