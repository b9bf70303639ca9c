import { describe, expect, it } from 'vitest';
import type { BackendError } from '../support/backend-messages.ts';
import * as frontend from '../support/frontend-messages.ts';
import {
  proxyExtension,
  proxyV1,
  proxyV2,
  proxyV2Tcp4,
  proxyV2Tcp6,
} from '../support/proxy-headers.ts';
import type { TextRow } from '../support/query-outcome.ts';
import { startPooler } from '../support/pooler-fixture.ts';
import { RawClient, type ConnectTarget } from '../support/raw-client.ts';
import { withPooler } from '../support/scene.ts';
import type { Scene } from '../support/scene.ts';
import { sharedPostgres } from '../support/shared-postgres.ts';

const postgres = sharedPostgres();
/** Where the proxy of these tests is; the console comes from 127.0.0.1. */
const PROXY = '127.0.0.2';
const SETTINGS = { proxy_protocol: true, proxy_protocol_trusted: [PROXY] };
const CLIENT = '203.0.113.7';

async function connectFrom(scene: Scene, localAddress: string): Promise<RawClient> {
  return RawClient.connect({ ...scene.pooler.target, localAddress });
}

async function loginOn(client: RawClient, parameters: Record<string, string> = {}): Promise<void> {
  await client.login({ user: postgres.user, database: 'app', parameters });
}

/** The rows of SHOW CLIENTS of the database of the scene. */
async function clientsOf(scene: Scene): Promise<TextRow[]> {
  const rows = await scene.pooler.console('SHOW CLIENTS');
  return rows.filter(({ database }) => database === 'app');
}

/** Checks that a connection is closed without a word, and the log says why. */
async function expectRefused(scene: Scene, client: RawClient, problem: string): Promise<void> {
  expect(await client.readToEnd()).toHaveLength(0);
  const line = await scene.pooler.waitForEvent('proxy_header_refused');
  expect(line['reason']).toBe(problem);
  client.destroy();
}

describe('a PROXY header of a trusted address', () => {
  it.each([
    ['version 1', proxyV1(CLIENT, 4711), CLIENT, '4711'],
    ['version 2', proxyV2Tcp4(CLIENT, 4711), CLIENT, '4711'],
    [
      'version 2 with extensions',
      proxyV2Tcp4(CLIENT, 4711, proxyExtension(0x20, Buffer.alloc(200))),
      CLIENT,
      '4711',
    ],
    ['IPv6', proxyV2Tcp6('20010db8000000000000000000000007', 9), '2001:db8::7', '9'],
  ])('of %s tells where the client is', async (_what, header, address, port) => {
    await withPooler(postgres, { settings: SETTINGS }, async (scene) => {
      const client = await connectFrom(scene, PROXY);
      client.send(header);
      await loginOn(client);
      expect((await client.simpleQuery('SELECT 1')).types).toBe('TDCZ');
      const [row] = await clientsOf(scene);
      expect([row?.['addr'], row?.['port']]).toEqual([address, port]);
      const line = await scene.pooler.waitForLog(
        'the login',
        ({ event, database }) => event === 'client_login_attempted' && database === 'app',
      );
      expect([line['address'], line['port']]).toEqual([address, Number(port)]);
      await client.close();
    });
  });

  it('may come in single bytes, or with the startup message in one piece', async () => {
    await withPooler(postgres, { settings: SETTINGS }, async (scene) => {
      const startup = frontend.startupMessage({ user: postgres.user, database: 'app' });
      const slow = await connectFrom(scene, PROXY);
      for (const byte of proxyV2Tcp4(CLIENT, 1)) {
        await slow.sendAll(Buffer.of(byte));
      }
      await slow.sendAll(startup);
      await slow.readUntil('Z');
      const quick = await connectFrom(scene, PROXY);
      quick.send(proxyV1(CLIENT, 2), startup);
      await quick.readUntil('Z');
      const ports = (await clientsOf(scene)).map(({ port }) => port);
      expect(ports.sort()).toEqual(['1', '2']);
      await slow.close();
      await quick.close();
    });
  });

  it('is what application_name_add_host and the server see', async () => {
    const settings = { ...SETTINGS, application_name_add_host: true };
    await withPooler(postgres, { settings }, async (scene) => {
      const client = await connectFrom(scene, PROXY);
      client.send(proxyV2Tcp4(CLIENT, 4711));
      await loginOn(client, { application_name: 'web' });
      const [row] = await client.query('SHOW application_name');
      expect(row?.['application_name']).toBe(`web - ${CLIENT}:4711`);
      await client.close();
    });
  });

  it.each([
    ['LOCAL', proxyV2(0x20, 0, Buffer.alloc(0))],
    ['UNKNOWN', Buffer.from('PROXY UNKNOWN\r\n')],
    ['no family', proxyV2(0x21, 0, Buffer.alloc(0))],
  ])('of %s leaves the address of the connection', async (_what, header) => {
    await withPooler(postgres, { settings: SETTINGS }, async (scene) => {
      const client = await connectFrom(scene, PROXY);
      client.send(header);
      await loginOn(client);
      expect((await clientsOf(scene))[0]?.['addr']).toBe(PROXY);
      await client.close();
    });
  });

  it('stands before a request for encryption or a cancel request as well', async () => {
    await withPooler(postgres, { settings: SETTINGS }, async (scene) => {
      const client = await connectFrom(scene, PROXY);
      client.send(proxyV1(CLIENT, 1));
      client.send(frontend.sslRequest());
      expect((await client.readBytes(1)).toString()).toBe('N');
      await loginOn(client);
      client.send(frontend.query('SELECT pg_sleep(30)'));
      await scene.waitForPool({ sv_active: 1 });
      const { processId, secretKey } = client.backendKey ?? {
        processId: 0,
        secretKey: Buffer.of(),
      };
      const other = await connectFrom(scene, PROXY);
      other.send(proxyV1(CLIENT, 2), frontend.cancelRequest(processId, secretKey));
      await other.readToEnd();
      expect((await client.readOutcome()).errors[0]?.sqlState).toBe('57014');
      other.destroy();
      await client.close();
    });
  });

  it.each([
    ['is missing', frontend.startupMessage({ user: 'u' }), 'no PROXY header'],
    ['is malformed', Buffer.from('PROXY TCP4 1.2.3.4\r\n'), 'malformed PROXY line'],
    ['is too long', Buffer.from('PROXY UNKNOWN '.padEnd(200, 'x')), 'PROXY line too long'],
    [
      'announces 64 kB',
      Buffer.concat([proxyV2(0x21, 0x11, Buffer.alloc(0)).subarray(0, 14), Buffer.of(255, 255)]),
      'PROXY header too long',
    ],
    ['is a TLS hello', Buffer.from('160301020001', 'hex'), 'no PROXY header'],
    ['is an HTTP request', Buffer.from('GET / HTTP/1.1\r\n\r\n'), 'no PROXY header'],
  ])('that %s ends the connection, and no other', async (_what, bytes, problem) => {
    await withPooler(postgres, { settings: SETTINGS }, async (scene) => {
      const bystander = await scene.login();
      const client = await connectFrom(scene, PROXY);
      client.send(bytes);
      await expectRefused(scene, client, problem);
      expect((await bystander.simpleQuery('SELECT 1')).types).toBe('TDCZ');
    });
  });

  it('that does not come is waited for up to client_login_timeout', async () => {
    const settings = { ...SETTINGS, client_login_timeout: '1s' };
    await withPooler(postgres, { settings }, async (scene) => {
      const silent = await connectFrom(scene, PROXY);
      const slow = await connectFrom(scene, PROXY);
      slow.send(proxyV1(CLIENT, 1).subarray(0, 20));
      for (const client of [silent, slow]) {
        expect((await client.readToEnd()).toString('latin1')).toContain('client_login_timeout');
        client.destroy();
      }
      await scene.pooler.waitForLog(
        'the timeout',
        ({ event, error }) => event === 'pooler_error_sent' && error === 'client_login_timeout',
      );
    });
  });
});

describe('rules of auth_hba_file', () => {
  const RULES = [
    'host pgbouncer postgres 127.0.0.1/32 trust',
    'host app all 203.0.113.0/24 trust',
    'host app all 203.0.114.0/24 reject',
    'local app all peer',
    'host app all 127.0.0.0/8 reject',
  ];

  it('go by the address in the header, not by that of the proxy', async () => {
    const pooler = await startPooler({
      config: (directory) => ({
        maitred: {
          unix_socket_dir: directory,
          auth_file: `${directory}/userlist.txt`,
          auth_type: 'hba',
          auth_hba_file: `${directory}/hba.conf`,
          proxy_protocol: true,
          proxy_protocol_trusted: [PROXY, 'unix'],
        },
        databases: { app: { host: postgres.host, port: postgres.port, dbname: postgres.database } },
      }),
      users: { postgres: '', [postgres.user]: '' },
      files: { 'hba.conf': `${RULES.join('\n')}\n` },
    });
    const tryLogin = async (target: ConnectTarget, header: Buffer): Promise<string> => {
      const client = await RawClient.connect(target);
      client.send(header);
      const words = await loginOn(client).then(
        () => 'admitted',
        (error: unknown) => String(error),
      );
      client.destroy();
      return words;
    };
    const unknown = Buffer.from('PROXY UNKNOWN\r\n');
    try {
      for (const target of [{ ...pooler.target, localAddress: PROXY }, pooler.socketTarget]) {
        expect(await tryLogin(target, proxyV1('203.0.113.9', 1))).toBe('admitted');
        expect(await tryLogin(target, proxyV2Tcp4('203.0.114.9', 1))).toContain('login rejected');
        // Two that speak for themselves: the proxy's address, and a client of its unix socket.
        expect(await tryLogin(target, unknown)).toMatch(/login rejected/);
        const unix = proxyV2(0x21, 0x31, Buffer.alloc(216, 1));
        expect(await tryLogin(target, unix)).toContain('unix socket login rejected');
      }
      await pooler.stop();
    } finally {
      await pooler.kill();
    }
  });
});

describe('a PROXY header of another address', () => {
  it.each([
    ['version 1', proxyV1(CLIENT, 1)],
    ['version 2', proxyV2Tcp4(CLIENT, 1)],
  ])('of %s is refused', async (_what, header) => {
    await withPooler(postgres, { settings: SETTINGS }, async (scene) => {
      const client = await scene.connect();
      client.send(header, frontend.startupMessage({ user: postgres.user, database: 'app' }));
      const problem = 'PROXY header from an address that is not trusted';
      await expectRefused(scene, client, problem);
    });
  });

  it('that is cut into pieces is refused as well, by the login', async () => {
    await withPooler(postgres, { settings: SETTINGS }, async (scene) => {
      const client = await scene.connect();
      await client.sendAll(Buffer.from('PRO'));
      const error: BackendError = await client.readError();
      expect(error.text).toContain('bad packet header');
      client.destroy();
    });
  });

  it('is not needed', async () => {
    await withPooler(postgres, { settings: SETTINGS }, async (scene) => {
      const client = await scene.login();
      expect((await client.simpleQuery('SELECT 1')).types).toBe('TDCZ');
      expect((await clientsOf(scene))[0]?.['addr']).toBe('127.0.0.1');
    });
  });
});

describe('without proxy_protocol', () => {
  it('a header is a bad startup packet, whoever sends it', async () => {
    const settings = { ...SETTINGS, proxy_protocol: false };
    await withPooler(postgres, { settings }, async (scene) => {
      const client = await connectFrom(scene, PROXY);
      client.send(proxyV1(CLIENT, 1));
      expect((await client.readError()).text).toContain('bad packet header');
      client.destroy();
    });
  });

  it('RELOAD turns it on for new connections', async () => {
    const settings = { ...SETTINGS, proxy_protocol: false, tcp_defer_accept: false };
    await withPooler(postgres, { settings }, async (scene) => {
      const before = await connectFrom(scene, PROXY);
      await scene.pooler.console("SET proxy_protocol = 'on'");
      await loginOn(before);
      const client = await connectFrom(scene, PROXY);
      client.send(proxyV1(CLIENT, 1));
      await loginOn(client);
      const addresses = (await clientsOf(scene)).map(({ addr }) => addr);
      expect(addresses.sort()).toEqual([PROXY, CLIENT]);
      await before.close();
      await client.close();
    });
  });
});

describe('the unix socket', () => {
  it('takes headers when the list says so', async () => {
    const settings = { proxy_protocol: true, proxy_protocol_trusted: ['unix'] };
    await withPooler(postgres, { settings }, async (scene) => {
      const client = await RawClient.connect(scene.pooler.socketTarget);
      client.send(proxyV1(CLIENT, 4711));
      await loginOn(client);
      const [row] = await clientsOf(scene);
      expect([row?.['addr'], row?.['port']]).toEqual([CLIENT, '4711']);
      await client.close();
      const direct = await RawClient.connect(scene.pooler.socketTarget);
      direct.send(frontend.startupMessage({ user: postgres.user, database: 'app' }));
      await expectRefused(scene, direct, 'no PROXY header');
    });
  });

  it('refuses them otherwise', async () => {
    await withPooler(postgres, { settings: SETTINGS }, async (scene) => {
      const client = await RawClient.connect(scene.pooler.socketTarget);
      client.send(proxyV1(CLIENT, 1));
      await expectRefused(scene, client, 'PROXY header from an address that is not trusted');
      const direct = await RawClient.connect(scene.pooler.socketTarget);
      await loginOn(direct);
      await direct.close();
    });
  });
});
