import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { DnsServer, ResponseCode } from '../support/dns-server.ts';
import * as frontend from '../support/frontend-messages.ts';
import { startPostgres, type PostgresFixture } from '../support/postgres-fixture.ts';
import { withPooler, type Scene } from '../support/scene.ts';
import { waitFor } from '../support/wait-for.ts';

/** Listens on both loopback addresses, which are two hosts to the pooler. */
let postgres: PostgresFixture;
let dns: DnsServer;

beforeAll(async () => {
  postgres = await startPostgres();
});
afterAll(() => postgres.stop());
beforeEach(async () => {
  dns = await DnsServer.start();
});
afterEach(() => dns.stop());

/** The addresses at which PostgreSQL sees the server connections of `count` clients at a time. */
async function serverAddresses(scene: Scene, count: number): Promise<string[]> {
  const clients = await scene.logins(count);
  const addresses: string[] = [];
  for (const client of clients) {
    const [row] = await client.query(`BEGIN; SELECT coalesce(host(inet_server_addr()), '') AS at`);
    addresses.push(row?.['at'] ?? '');
  }
  for (const client of clients) {
    await client.query('COMMIT');
  }
  return addresses;
}

/** Queries that sleep in PostgreSQL, count. */
async function sleepers(): Promise<number> {
  const rows = await postgres.query(
    `SELECT 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND state = 'active'`,
  );
  return rows.length;
}

const poolSize = (count: number) => ({ default_pool_size: count });

/** Settings that lead to the name server of the test. */
function dnsSettings(scenario: Readonly<Record<string, unknown>> = {}) {
  return { default_pool_size: 4, dns_max_ttl: 60, ...scenario };
}

it('round-robin goes to the next host with each connection', async () => {
  const options = { settings: poolSize(4), database: { host: '127.0.0.1,::1' } };
  await withPooler(postgres, options, async (scene) => {
    const addresses = await serverAddresses(scene, 4);
    expect(addresses).toEqual(['127.0.0.1', '::1', '127.0.0.1', '::1']);
    expect(await scene.pool()).toMatchObject({ load_balance_hosts: 'round-robin' });
    const rows = await scene.pooler.console('SHOW DATABASES');
    expect(rows.find((row) => row['name'] === 'app')).toMatchObject({
      host: '127.0.0.1,::1',
      load_balance_hosts: 'round-robin',
    });
  });
});

it('a list may mix addresses and unix directories', async () => {
  const options = {
    settings: poolSize(2),
    database: { host: `::1,${postgres.socketDir}` },
  };
  await withPooler(postgres, options, async (scene) => {
    expect(await serverAddresses(scene, 2)).toEqual(['::1', '']);
    const servers = await scene.pooler.console('SHOW SERVERS');
    expect(servers.map((row) => row['addr']).sort()).toEqual(['::1', 'unix']);
  });
});

it('a cancel request goes to the host of the server connection, unix sockets included', async () => {
  const options = {
    settings: poolSize(2),
    database: { host: `::1,${postgres.socketDir}` },
  };
  await withPooler(postgres, options, async (scene) => {
    for (const client of await scene.logins(2)) {
      client.send(frontend.query('BEGIN; SELECT pg_sleep(60)'));
      await waitFor('the query to run', async () => (await sleepers()) > 0);
      await client.cancel();
      // The transaction stays open, so that the next client gets the other host.
      await client.readUntil('Z');
    }
    scene.dropClients();
  });
});

it('disable stays with one host while it answers', async () => {
  const database = { host: '::1,127.0.0.1', load_balance_hosts: 'disable' };
  await withPooler(postgres, { settings: poolSize(3), database }, async (scene) => {
    expect(await serverAddresses(scene, 3)).toEqual(['::1', '::1', '::1']);
    expect(await scene.pool()).toMatchObject({ load_balance_hosts: 'disable' });
  });
});

it.each(['disable', 'round-robin'])(
  '%s goes on to the next host after one that is dead, and the log names it',
  async (mode) => {
    // Nothing listens on this address of the loopback interface.
    const database = { host: '127.0.0.9,127.0.0.1', load_balance_hosts: mode };
    const settings = { default_pool_size: 1, server_login_retry: 0.1 };
    await withPooler(postgres, { settings, database }, async (scene) => {
      expect(await serverAddresses(scene, 1)).toEqual(['127.0.0.1']);
      const line = await scene.pooler.waitForEvent('server_connect_failed');
      expect(line).toMatchObject({ address: '127.0.0.9', port: postgres.port });
      expect(line['error']).toBe(`connect ECONNREFUSED 127.0.0.9:${String(postgres.port)}`);
    });
  },
);

it('load_balance_hosts is not shown for one host', async () => {
  await withPooler(postgres, {}, async (scene) => {
    await serverAddresses(scene, 1);
    expect(await scene.pool()).toMatchObject({ load_balance_hosts: null });
  });
});

it('localhost works without a name server', async () => {
  await withPooler(postgres, { database: { host: 'localhost' } }, async (scene) => {
    expect(['127.0.0.1', '::1']).toContain((await serverAddresses(scene, 1))[0]);
  });
});

/** As `withPooler`, with host names looked up in the name server of the test. */
async function withNames(
  database: Readonly<Record<string, unknown>>,
  settings: Readonly<Record<string, unknown>>,
  body: (scene: Scene) => Promise<void>,
): Promise<void> {
  const directory = mkdtempSync(path.join(tmpdir(), 'resolv-'));
  const file = path.join(directory, 'resolv.conf');
  writeFileSync(file, dns.resolverFile);
  try {
    const options = { settings: dnsSettings({ ...settings, resolv_conf: file }), database };
    await withPooler(postgres, options, body);
  } finally {
    rmSync(directory, { recursive: true });
  }
}

it('the addresses of a name are used in turn, with one look-up', async () => {
  dns.names.set('db.test', ['127.0.0.1', '::1']);
  await withNames({ host: 'db.test' }, {}, async (scene) => {
    const addresses = await serverAddresses(scene, 4);
    expect(addresses.filter((address) => address === '::1')).toHaveLength(2);
    expect(addresses.filter((address) => address === '127.0.0.1')).toHaveLength(2);
    expect(dns.countOf('db.test')).toBe(2);
    const lists = await scene.pooler.console('SHOW LISTS');
    expect(lists.find((row) => row['list'] === 'dns_names')).toMatchObject({ items: '1' });
    const [host] = await scene.pooler.console('SHOW DNS_HOSTS');
    expect(host).toMatchObject({ hostname: 'db.test' });
    expect(host?.['addrs']?.split(',').sort()).toEqual(['127.0.0.1:0', '[::1]:0']);
    expect(Number(host?.['ttl'])).toBeGreaterThan(0);
  });
});

it('another address of the name is tried at once when one refuses', async () => {
  dns.names.set('db.test', ['127.0.0.9', '127.0.0.1']);
  await withNames({ host: 'db.test' }, {}, async (scene) => {
    expect(await serverAddresses(scene, 2)).toEqual(['127.0.0.1', '127.0.0.1']);
  });
});

it('every address that refused is in the log', async () => {
  dns.names.set('db.test', ['127.0.0.8', '127.0.0.9']);
  const settings = { dns_max_ttl: 0, server_login_retry: 0.1 };
  await withNames({ host: 'db.test' }, settings, async (scene) => {
    const login = scene.login();
    const line = await scene.pooler.waitForEvent('server_connect_failed');
    expect(line['error']).toContain('ECONNREFUSED 127.0.0.8');
    expect(line['error']).toContain('ECONNREFUSED 127.0.0.9');
    expect(line).toMatchObject({ address: 'db.test' });
    dns.names.set('db.test', ['127.0.0.1']);
    await login;
  });
});

it('a name that cannot be resolved is logged, remembered, and found later', async () => {
  dns.names.set('db.test', ResponseCode.NoSuchName);
  const settings = { dns_nxdomain_ttl: 0, server_login_retry: 0.1 };
  await withNames({ host: 'db.test' }, settings, async (scene) => {
    const login = scene.login();
    const line = await scene.pooler.waitForEvent('dns_lookup_failed');
    expect(line).toMatchObject({ host: 'db.test', error: 'ENOTFOUND' });
    dns.names.set('db.test', ['127.0.0.1']);
    const client = await login;
    expect(await client.query('SELECT 1 AS one')).toEqual([{ one: '1' }]);
    const failed = await scene.pooler.waitForEvent('server_connect_failed');
    expect(failed['error']).toBe('cannot resolve "db.test": ENOTFOUND');
  });
});

it('servers of an address that vanished are replaced, those of others stay', async () => {
  dns.names.set('db.test', ['127.0.0.1', '::1']);
  await withNames({ host: 'db.test' }, { dns_max_ttl: 0 }, async (scene) => {
    const [one, two, three] = await scene.logins(3);
    const begin = 'BEGIN; SELECT host(inet_server_addr()) AS at';
    const at = [await one.query(begin), await two.query(begin)].map(([row]) => row?.['at']);
    expect([...at].sort()).toEqual(['127.0.0.1', '::1']);
    dns.names.set('db.test', ['127.0.0.1']);
    expect(await three.query(begin)).toEqual([{ at: '127.0.0.1' }]);
    const retired = async () =>
      (await scene.pooler.console('SHOW SERVERS')).filter((row) => row['close_needed'] === '1');
    expect((await retired()).map((row) => row['addr'])).toEqual(['::1']);
    for (const client of [one, two, three]) {
      await client.query('COMMIT');
    }
    await waitFor('the retired server to be gone', async () => (await retired()).length === 0);
    const servers = await scene.pooler.console('SHOW SERVERS');
    expect(servers.map((row) => row['addr'])).toEqual(['127.0.0.1', '127.0.0.1']);
  });
});

it('a cancel request follows the connection, not the name', async () => {
  dns.names.set('db.test', ['::1']);
  await withNames({ host: 'db.test' }, { dns_max_ttl: 0 }, async (scene) => {
    const client = await scene.login();
    client.send(frontend.query('SELECT pg_sleep(60)'));
    await waitFor('the query to run', async () => (await sleepers()) > 0);
    dns.names.set('db.test', ['127.0.0.9']);
    await client.cancel();
    await client.readUntil('Z');
  });
});

describe('dns_zone_check_period', () => {
  it('has names looked up again when their zone has changed, and servers replaced', async () => {
    dns.names.set('db.zone.test', ['::1']);
    dns.serials.set('zone.test', 7);
    const settings = { dns_zone_check_period: 0.1, dns_max_ttl: 3600 };
    await withNames({ host: 'db.zone.test' }, settings, async (scene) => {
      expect(await serverAddresses(scene, 1)).toEqual(['::1']);
      const zoneIs = (serial: string) => async (): Promise<boolean> => {
        const [row] = await scene.pooler.console('SHOW DNS_ZONES');
        expect(row).toMatchObject({ zonename: 'zone.test', count: '1' });
        return row?.['serial'] === serial;
      };
      await waitFor('the first serial number', zoneIs('7'));
      dns.names.set('db.zone.test', ['127.0.0.1']);
      const count = dns.countOf('db.zone.test');
      dns.serials.set('zone.test', 8);
      await waitFor('the second serial number', zoneIs('8'));
      const line = await scene.pooler.waitForEvent('dns_zone_changed');
      expect(line).toMatchObject({ zone: 'zone.test', oldSerial: 7, newSerial: 8 });
      const client = await scene.login();
      await waitFor('the new address', async () => {
        await client.query('SELECT 1');
        const servers = await scene.pooler.console('SHOW SERVERS');
        return servers.every((row) => row['addr'] === '127.0.0.1');
      });
      expect(dns.countOf('db.zone.test')).toBe(count + 2);
      const lists = await scene.pooler.console('SHOW LISTS');
      expect(lists.find((row) => row['list'] === 'dns_zones')).toMatchObject({ items: '1' });
    });
  });

  it('0 asks for no zone', async () => {
    dns.names.set('db.quiet.test', ['127.0.0.1']);
    dns.serials.set('quiet.test', 7);
    const settings = { dns_zone_check_period: 0 };
    await withNames({ host: 'db.quiet.test' }, settings, async (scene) => {
      await serverAddresses(scene, 1);
      expect(await scene.pooler.console('SHOW DNS_ZONES')).toEqual([
        { zonename: 'quiet.test', serial: '0', count: '1' },
      ]);
      expect(
        dns.questions.filter(({ type }) => type === 'SOA').map(({ name }) => name),
      ).not.toContain('quiet.test');
    });
  });
});
