import { afterAll, describe, expect, it } from 'vitest';
import * as frontend from '../support/frontend-messages.ts';
import { int32, message, messageWithLength } from '../support/frontend-messages.ts';
import { RawClient } from '../support/raw-client.ts';
import { lastWords } from '../support/refusal.ts';
import {
  backendPid,
  KeptPoolers,
  openFileCount,
  residentBytes,
  withPooler,
} from '../support/scene.ts';
import type { Scene, SceneOptions } from '../support/scene.ts';
import { ScramClient } from '../support/scram-client.ts';
import { sharedPostgres } from '../support/shared-postgres.ts';
import { waitFor } from '../support/wait-for.ts';

const postgres = sharedPostgres();
const poolers = new KeptPoolers(postgres);
afterAll(() => poolers.stop());
const PASSWORD = 'open sesame';
const STARTUP = frontend.startupMessage({ user: 'postgres', database: 'app' });

/** Runs `body` beside a client that must notice nothing of it. */
async function withBystander(
  options: SceneOptions,
  body: (scene: Scene) => Promise<void>,
): Promise<void> {
  await poolers.with(options, async (scene) => {
    const bystander = await scene.login({ user: 'postgres' });
    const pid = await backendPid(bystander);
    await body(scene);
    expect(await backendPid(bystander)).toBe(pid);
    const console = await scene.login({ user: 'postgres', database: 'pgbouncer' });
    expect(await console.query('SHOW VERSION')).toHaveLength(1);
  });
}

/** Waits for the line of the log that tells why a client was sent away. */
async function expectLogged(scene: Scene): Promise<void> {
  await scene.pooler.waitForEvent('pooler_error_sent');
}

/** Everything up to the answer of a query that follows the message and a Sync. */
async function answersTo(client: RawClient, bytes: Buffer): Promise<string[]> {
  client.send(bytes, frontend.sync(), frontend.query('SELECT 7'));
  const answers = [...(await client.readUntil('D')), ...(await client.readUntil('Z'))];
  return answers.map(({ type, body }) => `${type} ${body.toString('latin1')}`);
}

function untyped(...parts: Buffer[]): Buffer {
  const body = Buffer.concat(parts);
  return Buffer.concat([int32(body.length + 4), body]);
}

describe('before the startup message', () => {
  const header = /^FATAL 08P01: bad packet header: '[0-9a-f]+'$/;
  const layout = 'FATAL 08P01: invalid startup packet layout: expected terminator as last byte';
  const cases: [string, Buffer, RegExp | string][] = [
    ['1,000 bytes of nonsense', Buffer.alloc(1000, 0xa5), header],
    ['1,000 zero bytes', Buffer.alloc(1000), header],
    ['an HTTP request', Buffer.from('GET / HTTP/1.1\r\nHost: x\r\n\r\n'), header],
    ['a TLS hello', Buffer.from('160301020001', 'hex'), header],
    ['a length of 7', Buffer.concat([int32(7), Buffer.alloc(3)]), header],
    ['a length of -1', Buffer.concat([int32(-1), Buffer.alloc(100)]), header],
    ['a length of 2 GiB', Buffer.concat([int32(0x7fff_ffff), int32(0x0003_0000)]), header],
    ['a length over 10,000', Buffer.concat([int32(10_001), int32(0x0003_0000)]), header],
    ['a password', frontend.passwordMessage('x'), header],
    ['a query', frontend.query('SELECT 1'), header],
    [
      'a startup message without its end',
      untyped(int32(0x0003_0000), Buffer.from('user\0x\0')),
      layout,
    ],
    [
      'a name without a value',
      untyped(int32(0x0003_0000), Buffer.from('user\0\0')),
      /^FATAL (08P01|28000)/,
    ],
    ['text without an end', untyped(int32(0x0003_0000), Buffer.from('user\0x')), layout],
    ['more behind its end', untyped(int32(0x0003_0000), Buffer.from('user\0x\0\0y\0')), layout],
    [
      'a query behind SSLRequest',
      Buffer.concat([frontend.sslRequest(), frontend.query('SELECT 1')]),
      'FATAL 08P01: received unencrypted data after SSL request',
    ],
    [
      'a startup message behind GSSENCRequest',
      Buffer.concat([frontend.gssEncRequest(), STARTUP]),
      'FATAL 08P01: received unencrypted data after GSSAPI encryption request',
    ],
  ];

  it.each(cases)('%s ends the connection with a reason', async (_what, bytes, words) => {
    await withBystander({}, async (scene) => {
      const client = await scene.connect();
      client.send(bytes);
      expect(await lastWords(client)).toEqual(
        typeof words === 'string' ? words : expect.stringMatching(words),
      );
      await expectLogged(scene);
    });
  });

  it('every type byte as the first one ends the connection, and no other', async () => {
    await withBystander({}, async (scene) => {
      const clients = await Promise.all(
        Array.from({ length: 255 }, async (_, index) => {
          const client = await RawClient.connect(scene.pooler.target);
          client.send(Buffer.of(index + 1), int32(8), Buffer.alloc(4));
          return client;
        }),
      );
      for (const client of clients) {
        expect(await lastWords(client)).toMatch(header);
        client.destroy();
      }
    });
  });

  it.each([
    ['SSLRequest', frontend.sslRequest(), 'second SSL request'],
    ['GSSENCRequest', frontend.gssEncRequest(), 'second GSSAPI encryption request'],
  ])('a second %s ends the connection', async (_what, request, words) => {
    await withBystander({}, async (scene) => {
      const client = await scene.connect();
      client.send(request);
      expect((await client.readBytes(1)).toString()).toBe('N');
      client.send(request);
      expect(await lastWords(client)).toBe(`FATAL 08P01: bad packet header: '${words}'`);
      await expectLogged(scene);
    });
  });

  it.each([
    ['without a key', untyped(int32(80_877_102), int32(1))],
    ['with a key of 300 bytes', frontend.cancelRequest(1, Buffer.alloc(300))],
    ['of a key that nobody has', frontend.cancelRequest(1, Buffer.alloc(4))],
  ])('a cancel request %s ends without harm', async (_what, bytes) => {
    await withBystander({}, async (scene) => {
      const client = await scene.connect();
      client.send(bytes);
      await client.readToEnd();
    });
  });
});

describe('in the middle of authentication', () => {
  const methods = ['plain', 'md5', 'scram-sha-256'];
  const intruders: [string, Buffer][] = [
    [
      'a startup message of somebody else',
      frontend.startupMessage({ user: 'other', database: 'app' }),
    ],
    ['SSLRequest', frontend.sslRequest()],
    ['GSSENCRequest', frontend.gssEncRequest()],
    ['CancelRequest', frontend.cancelRequest(1, Buffer.alloc(4))],
    ['a query', frontend.query('SELECT 1')],
    ['Sync', frontend.sync()],
    ['an unknown type', message('?')],
    ['a length of 3', messageWithLength('p', 3)],
    ['a length of -1', messageWithLength('p', -1)],
    ['a length of 2 GiB', messageWithLength('p', 0x7fff_ffff)],
    ['a password over 65,535 bytes', messageWithLength('p', 70_000)],
  ];

  for (const method of methods) {
    it.each(intruders)(`by ${method} %s ends the connection`, async (_what, bytes) => {
      const settings = { auth_type: method };
      await withBystander({ settings, password: PASSWORD }, async (scene) => {
        const client = await scene.connect();
        client.send(STARTUP);
        await client.readUntil('R');
        client.send(bytes, frontend.passwordMessage(PASSWORD));
        expect(await lastWords(client)).toMatch(/^FATAL 08P01: /);
        await expectLogged(scene);
      });
    });
  }

  const text = 'SASL authentication failed';
  const initial = (...parts: Buffer[]): Buffer =>
    message('p', frontend.cstring('SCRAM-SHA-256'), ...parts);
  const sasl: [string, Buffer, string][] = [
    ['a length of -2', initial(int32(-2), Buffer.from('n,,n=,r=x')), text],
    ['a length of 2^31-1', initial(int32(0x7fff_ffff), Buffer.from('n,,n=,r=x')), text],
    ['a length beyond its end', initial(int32(10), Buffer.from('n,,n=,r=x')), text],
    ['a length short of its end', initial(int32(3), Buffer.from('n,,n=,r=x')), text],
    ['nothing behind the mechanism', initial(), text],
    ['no end of the mechanism', message('p', Buffer.from('SCRAM-SHA-256')), text],
    ['a length of 0', initial(int32(0)), text],
    ['an empty body', message('p'), text],
    ['a message that is none', frontend.saslInitialResponse('SCRAM-SHA-256', 'what?'), text],
    [
      'channel binding that was not offered',
      frontend.saslInitialResponse('SCRAM-SHA-256', 'p=tls-unique,,n=,r=x'),
      text,
    ],
    [
      'another mechanism',
      frontend.saslInitialResponse('SCRAM-SHA-256-PLUS', 'n,,n=,r=x'),
      'client selected an invalid SASL authentication mechanism',
    ],
    [
      'a nonce of 60 kB',
      frontend.saslInitialResponse('SCRAM-SHA-256', `n,,n=,r=${'x'.repeat(60_000)}`),
      text,
    ],
  ];

  it.each(sasl)('SASLInitialResponse with %s is refused', async (_what, bytes, words) => {
    const settings = { auth_type: 'scram-sha-256' };
    await withBystander({ settings, password: PASSWORD }, async (scene) => {
      const client = await scene.connect();
      client.send(STARTUP);
      await client.readUntil('R');
      client.send(bytes);
      expect(await lastWords(client)).toBe(`FATAL 08P01: ${words}`);
      await expectLogged(scene);
    });
  });

  it('the user cannot be changed between two steps of SCRAM', async () => {
    const settings = { auth_type: 'scram-sha-256' };
    await withBystander({ settings, password: PASSWORD, logins: ['low'] }, async (scene) => {
      for (const database of ['app', 'nowhere', 'pgbouncer']) {
        const client = await scene.connect();
        const scram = new ScramClient(PASSWORD);
        client.startup({ user: 'postgres', database });
        await client.readUntil('R');
        client.send(frontend.saslInitialResponse('SCRAM-SHA-256', scram.first()));
        const [challenge] = await client.readUntil('R');
        client.startup({ user: 'low', database });
        const final = scram.final(challenge?.body.toString('latin1', 4) ?? '');
        client.send(frontend.saslResponse(final));
        expect(await lastWords(client)).toBe('FATAL 08P01: client re-sent startup pkt');
      }
    });
  });

  it('a client that vanishes at any step is forgotten', async () => {
    const settings = { auth_type: 'scram-sha-256' };
    await withBystander({ settings, password: PASSWORD }, async (scene) => {
      const before = openFileCount(scene.pooler.pid);
      for (let count = 0; count < 40; count++) {
        const client = await RawClient.connect(scene.pooler.target);
        const scram = new ScramClient(PASSWORD);
        client.send(STARTUP);
        if (count % 2 === 0) {
          await client.readUntil('R');
          client.send(frontend.saslInitialResponse('SCRAM-SHA-256', scram.first()));
        }
        client.reset();
      }
      await waitFor('all of them to be gone', () => openFileCount(scene.pooler.pid) <= before);
    });
  });
});

describe('after the login', () => {
  const words = {
    header: /^FATAL 08P01: bad packet header: '[0-9a-f]{10}'$/,
    type: /^FATAL 08P01: unknown pkt$/,
    size: /^FATAL 54000: message of \d+ bytes exceeds max_packet_size$/,
  };
  const cases: [string, Buffer, RegExp][] = [
    ['an unknown type', message('?'), words.type],
    ['a password', frontend.passwordMessage('x'), words.type],
    ['a startup message', STARTUP, words.type],
    ['a type of the server', message('Z', Buffer.from('I')), words.type],
    ['an HTTP request', Buffer.from('GET / HTTP/1.1\r\n\r\n'), words.type],
    ['a length of 0', messageWithLength('Q', 0), words.header],
    ['a length of 3', messageWithLength('P', 3), words.header],
    ['a length of -1', messageWithLength('Q', -1), words.header],
    ['a length of -2^31', messageWithLength('B', 0x8000_0000), words.header],
    ['a length of max_packet_size', messageWithLength('Q', 0x7fff_ffff), words.size],
  ];

  it.each(cases)('%s ends the connection with a reason', async (_what, bytes, expected) => {
    await withBystander({}, async (scene) => {
      const client = await scene.login({ user: 'postgres' });
      client.send(bytes);
      expect(await lastWords(client)).toMatch(expected);
      await expectLogged(scene);
    });
  });

  it.each(cases)(
    '%s in a transaction does so as well, and rolls back',
    async (_what, bytes, expected) => {
      await withBystander({}, async (scene) => {
        const client = await scene.login({ user: 'postgres' });
        await client.query('BEGIN');
        await client.query('CREATE TABLE hostile_leftover ()');
        client.send(bytes);
        expect(await lastWords(client)).toMatch(expected);
        const next = await scene.login({ user: 'postgres' });
        expect(await next.query("SELECT to_regclass('hostile_leftover') AS name")).toEqual([
          { name: null },
        ]);
      });
    },
  );

  it.each(cases)(
    '%s behind a good query does so once that is answered, or before',
    async (_what, bytes, expected) => {
      await withBystander({}, async (scene) => {
        const client = await scene.login({ user: 'postgres' });
        client.send(frontend.query('SELECT 1'), bytes);
        expect(await lastWords(client)).toMatch(expected);
      });
    },
  );

  it.each(cases)('%s in the queue ends the wait', async (_what, bytes, expected) => {
    await poolers.with({}, async (scene) => {
      const holder = await scene.login();
      await holder.query('BEGIN');
      const client = await scene.login();
      client.send(frontend.query('SELECT 1'));
      await scene.waitForPool({ cl_waiting: 1 });
      client.send(bytes);
      await holder.query('COMMIT');
      const words = await lastWords(client);
      expect(words).toMatch(expected);
      expect((await holder.simpleQuery('SELECT 1')).errors).toEqual([]);
    });
  });

  it('a Flush with a body fails for its sender, and for nobody else', async () => {
    await withPooler(postgres, {}, async (scene) => {
      const [client, other] = await scene.logins(2);
      client.send(message('H', Buffer.from('body')));
      const answer = other.simpleQuery('SELECT 1');
      await client.readUntil('E');
      client.send(message('S'));
      await client.readUntil('Z');
      expect((await answer).types).toBe('TDCZ');
    });
  });

  it('messages that are whole but wrong inside are judged by the server', async () => {
    const wrong = [
      message('Q', Buffer.from('no end')),
      message('P', Buffer.from('no end')),
      message('B', Buffer.from([0, 0, 0xff, 0xff])),
      message('D', Buffer.from('x\0')),
      message('E', Buffer.alloc(0)),
      message('C', Buffer.from('Q\0')),
      message('F', Buffer.alloc(3)),
      message('S', Buffer.from('body')),
      message('H', Buffer.from('body')),
    ];
    await withPooler(postgres, {}, async (scene) => {
      for (const bytes of wrong) {
        const client = await scene.login();
        const direct = await postgres.login();
        expect(await answersTo(client, bytes)).toEqual(await answersTo(direct, bytes));
        client.destroy();
        direct.destroy();
      }
      const next = await scene.login();
      expect((await next.simpleQuery('SELECT 1')).types).toBe('TDCZ');
    });
  });
});

describe('on the console', () => {
  it.each([
    ['an unknown type', message('?'), /^FATAL 08P01: unknown pkt$/],
    ['a length of 0', messageWithLength('Q', 0), /^FATAL 08P01: bad packet header/],
    ['a length of 2 GiB', messageWithLength('Q', 0x7fff_fffe), /^FATAL 08P01: bad packet header/],
  ])('%s ends the connection', async (_what, bytes, words) => {
    await withBystander({}, async (scene) => {
      const console = await scene.login({ user: 'postgres', database: 'pgbouncer' });
      console.send(bytes);
      expect(await lastWords(console)).toMatch(words);
    });
  });

  it('text that is no text is an error like any other', async () => {
    await withBystander({}, async (scene) => {
      const console = await scene.login({ user: 'postgres', database: 'pgbouncer' });
      for (const body of [
        '\xff\xfe\0',
        'no end',
        '\0',
        'SHOW VERSION\0SHUTDOWN\0',
        'x'.repeat(9_999),
      ]) {
        console.send(message('Q', Buffer.from(body, 'latin1')));
        expect((await console.readOutcome()).status).toBe('I');
      }
    });
  });
});

describe('announced lengths', () => {
  it('cost no memory, in any phase, however slowly the bytes come', async () => {
    const options = { settings: { default_pool_size: 60, max_client_conn: 500 } };
    await withPooler(postgres, options, async (scene) => {
      const bystander = await scene.login();
      const { pid } = scene.pooler;
      const starting = await Promise.all(Array.from({ length: 100 }, () => scene.connect()));
      const working = await scene.logins(50);
      const before = residentBytes(pid);
      for (const client of starting) {
        client.send(int32(10_000), int32(0x0003_0000));
      }
      for (const client of working) {
        client.send(messageWithLength('Q', 0x7fff_fffe));
      }
      for (let round = 0; round < 20; round++) {
        for (const client of [...starting, ...working]) {
          await client.sendAll(Buffer.alloc(100, 0x41));
        }
      }
      await scene.pooler.console('SHOW VERSION');
      expect(residentBytes(pid) - before).toBeLessThan(40e6);
      expect((await bystander.simpleQuery('SELECT 1')).types).toBe('TDCZ');
      for (const client of [...starting, ...working]) {
        client.destroy();
      }
      await scene.waitForPool({ sv_active: 0 });
    });
  });
});

describe('names that try to forge the log', () => {
  it.each(['a\nb', 'a\rb', 'a\u2028b', 'a\u001b[31mb'])('%j stay in one line', async (user) => {
    await withBystander({}, async (scene) => {
      const client = await scene.connect();
      client.startup({ user, database: user, application_name: user });
      expect(await lastWords(client)).toContain('28P01');
      const line = await scene.pooler.waitForEvent('client_login_failed');
      expect(line['user']).toBe(user);
      expect(scene.pooler.logs.every(({ raw }) => raw === undefined)).toBe(true);
    });
  });
});
