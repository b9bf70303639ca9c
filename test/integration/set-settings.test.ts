import { expect, it } from 'vitest';
import { GLOBAL_SETTINGS, SETTINGS_IN_SHOW_ORDER } from '../../src/config/global-settings.ts';
import type { Setting } from '../../src/config/setting.ts';
import { propertyName } from '../../src/config/setting.ts';
import type { RawClient } from '../support/raw-client.ts';
import { withPooler } from '../support/scene.ts';
import { sharedPostgres } from '../support/shared-postgres.ts';

/** Values that each kind of setting takes, as SHOW CONFIG has them, and some that it does not. */
interface Trial {
  readonly taken: readonly string[];
  readonly refused: readonly string[];
}

/** Settings whose texts are looked into. */
const CHECKED: Readonly<Record<string, Trial | undefined>> = {
  auth_dbname: { taken: ['other', ''], refused: ['pgbouncer'] },
  auth_ldap_options: { taken: [''], refused: ['nonsense=1'] },
  auth_query: { taken: ['SELECT $1, $1'], refused: ['SELECT 1'] },
  auth_type: { taken: ['plain', 'any', 'md5', 'trust'], refused: ['cert', 'nonsense'] },
  client_tls_protocols: { taken: ['tlsv1.3', 'secure'], refused: ['tlsv9'] },
  client_tls_sslmode: { taken: ['disable'], refused: ['require', 'nonsense'] },
  // More would refuse the console that asks.
  max_packet_size: { taken: ['4096', '2147483647'], refused: ['7', '-1', 'x'] },
  login_failure_trusted: { taken: ['127.0.0.1', '10.0.0.0/8'], refused: ['here'] },
  proxy_protocol_trusted: { taken: ['127.0.0.1', '10.0.0.0/8'], refused: ['here'] },
  server_tls_ca_file: { taken: [''], refused: ['/nowhere'] },
  server_tls_cert_file: { taken: [''], refused: ['/nowhere'] },
  server_tls_key_file: { taken: [''], refused: ['/nowhere'] },
  server_tls_ciphers: { taken: ['HIGH', 'default'], refused: ['NONSENSE'] },
  server_tls13_ciphers: { taken: ['TLS_AES_256_GCM_SHA384'], refused: ['NONSENSE'] },
  server_tls_protocols: { taken: ['tlsv1.3', 'secure'], refused: ['tlsv9'] },
  server_tls_sslmode: { taken: ['disable', 'allow', 'prefer'], refused: ['verify-ca', 'maybe'] },
  server_tls_sslnegotiation: { taken: ['postgres'], refused: ['direct', 'maybe'] },
};

function trialOf(name: string, setting: Setting): Trial {
  const given = CHECKED[name];
  if (given !== undefined) {
    return given;
  }
  const unit = setting.type === 'time' ? 1_000 : 1;
  const { min, max, type, values } = setting;
  switch (type) {
    case 'switch':
      return { taken: ['0', '1'], refused: ['maybe', '', '1.5'] };
    case 'enum':
      return { taken: values, refused: ['nonsense', ''] };
    case 'list':
    case 'str':
      return { taken: ['', 'one', 'one, two'], refused: [] };
    default:
      return {
        taken: [String(min / unit), String(min / unit + 1)],
        refused: [String(min / unit - 1), String(max / unit + 1), 'x', ''],
      };
  }
}

/** Hundreds of commands, each answered by SHOW CONFIG. */
const PATIENCE_MS = 90_000;

const RELOADABLE = SETTINGS_IN_SHOW_ORDER.filter(
  // SET logfile and syslog write elsewhere, and conffile is read by RELOAD: all have tests of their own.
  ([name, row]) =>
    row.reloadable &&
    row.support === 'supported' &&
    !['logfile', 'syslog', 'conffile', 'log_format'].includes(name),
);

async function show(console: RawClient, name: string): Promise<string | null> {
  const rows = await console.query('SHOW CONFIG');
  return rows.find(({ key }) => key === name)?.['value'] ?? null;
}

async function set(console: RawClient, name: string, value: string): Promise<string> {
  const { errors } = await console.simpleQuery(`SET ${name} = '${value}'`);
  return errors[0]?.text ?? 'done';
}

it(
  'SET takes each reloadable setting to its bounds and no further, and SHOW CONFIG tells',
  async () => {
    await withPooler(sharedPostgres(), {}, async (scene) => {
      const console = await scene.login({ user: 'postgres', database: 'pgbouncer' });
      for (const [name, setting] of RELOADABLE) {
        const { taken, refused } = trialOf(name, setting);
        const first = await show(console, name);
        for (const value of taken) {
          expect(await set(console, name, value), `${name} = ${value}`).toBe('done');
          expect(await show(console, name), name).toBe(value);
        }
        const last = await show(console, name);
        for (const value of refused) {
          expect(await set(console, name, value), `${name} = ${value}`).toMatch(/^SET failed/);
          expect(await show(console, name), name).toBe(last);
        }
        expect(await set(console, name, first ?? ''), name).toBe('done');
      }
      expect(RELOADABLE.length).toBeGreaterThan(80);
    });
  },
  PATIENCE_MS,
);

it('SET refuses each setting that needs a restart', async () => {
  await withPooler(sharedPostgres(), {}, async (scene) => {
    const console = await scene.login({ user: 'postgres', database: 'pgbouncer' });
    const fixed = Object.entries(GLOBAL_SETTINGS).filter(([, row]) => !row.reloadable);
    for (const [name, row] of fixed) {
      const first = await show(console, name);
      expect(await set(console, name, first ?? ''), propertyName(name, row)).toMatch(
        /^SET failed: .* cannot be changed at run time/,
      );
      expect(await show(console, name)).toBe(first);
    }
    expect(fixed.length).toBeGreaterThan(10);
  });
});
