import { describe, expect, it } from 'vitest';
import * as backend from '../support/backend-messages.ts';
import type { FakeConnection } from '../support/fake-connection.ts';
import { FakeServer } from '../support/fake-server.ts';
import type { FakeServerScript } from '../support/fake-server.ts';
import * as frontend from '../support/frontend-messages.ts';
import { int32, message, messageWithLength } from '../support/frontend-messages.ts';
import { lastWords, refusalOf } from '../support/refusal.ts';
import { residentBytes, withPooler } from '../support/scene.ts';
import type { Scene, SceneOptions } from '../support/scene.ts';
import { waitFor } from '../support/wait-for.ts';

/** A failed attempt is followed by the next one at once. */
const RETRY = { server_login_retry: 0 };

async function withServer(
  script: FakeServerScript,
  options: SceneOptions,
  body: (scene: Scene, server: FakeServer) => Promise<void>,
): Promise<void> {
  const server = await FakeServer.start(script);
  try {
    await withPooler(server, { ...options, settings: { ...RETRY, ...options.settings } }, (scene) =>
      body(scene, server),
    );
  } finally {
    await server.stop();
  }
}

/** The server behaves from now on: whoever comes is served. */
async function expectServing(scene: Scene, server: FakeServer): Promise<void> {
  server.script = {};
  const client = await waitFor('a login', () => scene.login().catch(() => null));
  const outcome = await client.simpleQuery('SELECT 1');
  expect([outcome.types, outcome.status]).toEqual(['TDCZ', 'I']);
}

const NUL = Buffer.of(0);
const startScram = message('R', int32(10), frontend.cstring('SCRAM-SHA-256'), NUL);

/** Answers the client-first-message with what `reply` makes of its nonce. */
function scramServer(reply: (nonce: string) => string): FakeServerScript['onStartup'] {
  return async (connection) => {
    connection.send(startScram);
    const first = await connection.receive();
    const nonce = /r=([^,]+)$/.exec(first?.body.toString('latin1') ?? '')?.[1] ?? '';
    connection.send(message('R', int32(11), Buffer.from(reply(nonce))));
    await connection.receive();
  };
}

const SALT = Buffer.from('0123456789abcdef').toString('base64');

describe('a server that misbehaves in SCRAM', () => {
  const replies: [string, (nonce: string) => string][] = [
    ['no nonce', () => `s=${SALT},i=4096`],
    ['a nonce that is not ours', () => `r=other,s=${SALT},i=4096`],
    ['our nonce and nothing more', (nonce) => `r=${nonce},s=${SALT},i=4096`],
    ['a nonce of 60 kB', (nonce) => `r=${nonce}${'x'.repeat(60_000)},s=${SALT},i=4096`],
    ['a salt of 60 kB', (nonce) => `r=${nonce}x,s=${'A'.repeat(60_000)},i=4096`],
    ['no salt', (nonce) => `r=${nonce}x,i=4096`],
    ['a salt that is not base64', (nonce) => `r=${nonce}x,s=***,i=4096`],
    ['no iterations', (nonce) => `r=${nonce}x,s=${SALT}`],
    ['2,000,000,000 iterations', (nonce) => `r=${nonce}x,s=${SALT},i=2000000000`],
    ['no iteration at all', (nonce) => `r=${nonce}x,s=${SALT},i=0`],
    ['a negative number of them', (nonce) => `r=${nonce}x,s=${SALT},i=-1`],
    ['an extension that must be understood', (nonce) => `m=x,r=${nonce}x,s=${SALT},i=4096`],
    ['nonsense', () => '\u0000\u0001,,,='],
    ['nothing', () => ''],
  ];

  it.each(replies)('by %s is refused at once', async (_what, reply) => {
    const script = { onStartup: scramServer(reply) };
    const database = { user: 'someone', password: 'secret' };
    await withServer(script as FakeServerScript, { database }, async (scene, server) => {
      const startMs = performance.now();
      expect(await refusalOf(scene.login())).toBe(
        'FATAL 08006: server login failed: failed to answer authreq',
      );
      expect(performance.now() - startMs).toBeLessThan(3_000);
      await scene.pooler.waitForEvent('server_login_failed');
      await expectServing(scene, server);
    });
  });

  it.each([
    ['AuthenticationOk before its proof', backend.authentication(0)],
    ['a wrong signature', message('R', int32(12), Buffer.from(`v=${'A'.repeat(43)}=`))],
    ['an error as its proof', message('R', int32(12), Buffer.from('e=other-error'))],
    ['an empty proof', message('R', int32(12))],
  ])('by %s is not believed', async (_what, proof) => {
    const script: FakeServerScript = {
      onStartup: async (connection) => {
        connection.send(startScram);
        const first = await connection.receive();
        const nonce = /r=([^,]+)$/.exec(first?.body.toString('latin1') ?? '')?.[1] ?? '';
        connection.send(message('R', int32(11), Buffer.from(`r=${nonce}x,s=${SALT},i=4096`)));
        await connection.receive();
        connection.send(proof);
        connection.acceptLogin();
      },
    };
    const database = { user: 'someone', password: 'secret' };
    await withServer(script, { database }, async (scene, server) => {
      expect(await refusalOf(scene.login())).toMatch(/^FATAL 08006: server login failed: /);
      await expectServing(scene, server);
    });
  });
});

describe('an answer to the startup packet', () => {
  const errors: [string, Buffer, RegExp][] = [
    ['ErrorResponse without fields', message('E', NUL), /^FATAL /],
    [
      'ErrorResponse without SQLSTATE',
      message('E', Buffer.from('SFATAL\0Mno code\0\0')),
      /no code/,
    ],
    ['ErrorResponse without an end', message('E', Buffer.from('SFATAL\0C28000')), /^FATAL /],
    ['ErrorResponse without a body', message('E'), /^FATAL /],
    [
      'ErrorResponse with a field twice',
      message('E', Buffer.from('SFATAL\0C28000\0Mone\0Mtwo\0\0')),
      /^FATAL 28000: (one|two)$/,
    ],
  ];

  it.each(errors)('%s ends the client, not the pooler', async (_what, bytes, words) => {
    const script: FakeServerScript = {
      onStartup: (connection) => {
        connection.send(bytes);
      },
    };
    await withServer(script, {}, async (scene, server) => {
      expect(await refusalOf(scene.login())).toMatch(words);
      await expectServing(scene, server);
    });
  });

  const ok = backend.authentication(0);
  const broken: [string, Buffer[]][] = [
    ['an unknown message type', [Buffer.from('?'), int32(4)]],
    ['a message of the query phase', [backend.dataRow(['1'])]],
    ['ReadyForQuery before AuthenticationOk', [backend.readyForQuery('I')]],
    ['BackendKeyData before AuthenticationOk', [backend.backendKeyData(1, Buffer.alloc(4))]],
    ['ReadyForQuery in a transaction', [ok, backend.readyForQuery('T')]],
    ['ReadyForQuery without a status', [ok, message('Z')]],
    ['BackendKeyData without a key', [ok, message('K', Buffer.alloc(2))]],
    ['ParameterStatus without an end', [ok, message('S', Buffer.from('broken'))]],
    ['an authentication method that is unknown', [backend.authentication(99)]],
    ['Kerberos', [backend.authentication(7)]],
    ['SASL without a known mechanism', [message('R', int32(10), Buffer.from('ROT13\0\0'))]],
    ['SASL without an end', [message('R', int32(10), Buffer.from('SCRAM-SHA-256'))]],
    ['SASLContinue first', [message('R', int32(11), Buffer.from('x'))]],
    ['a salt of two bytes', [message('R', int32(5), Buffer.alloc(2))]],
    ['Authentication of one byte', [message('R', Buffer.alloc(1))]],
    ['a length of 0', [messageWithLength('R', 0)]],
    ['a length of 3', [messageWithLength('R', 3)]],
    ['a length of -1', [messageWithLength('R', -1)]],
    ['a length of 2 GiB', [messageWithLength('S', 0x7fff_ffff)]],
    [
      '10,000 parameters',
      [
        ok,
        ...Array.from({ length: 10_000 }, (_, i) =>
          backend.parameterStatus(`name_${String(i)}`, 'x'),
        ),
      ],
    ],
  ];

  it.each(broken)('with %s is refused', async (_what, parts) => {
    const script: FakeServerScript = {
      onStartup: (connection) => {
        connection.send(...parts);
      },
    };
    const database = { user: 'someone', password: 'secret' };
    await withServer(script, { database }, async (scene, server) => {
      expect(await refusalOf(scene.login())).toMatch(/^FATAL 08006: server login failed: /);
      const line = await scene.pooler.waitForEvent('server_login_failed');
      expect(String(line['error'])).not.toBe('');
      await expectServing(scene, server);
    });
  });

  it('of nothing is waited for up to server_connect_timeout, then another one is tried', async () => {
    const script: FakeServerScript = { onStartup: () => {} };
    await withServer(
      script,
      { settings: { server_connect_timeout: '500ms' } },
      async (scene, server) => {
        const login = scene.login();
        await server.waitForConnections(2);
        server.script = {};
        expect(await (await login).query('SELECT 1')).toHaveLength(1);
        expect(server.connections[0]?.hasEnded).toBe(true);
      },
    );
  });

  it.each([
    [
      'before a byte',
      (connection: FakeConnection) => {
        connection.end();
      },
    ],
    [
      'with a reset',
      (connection: FakeConnection) => {
        connection.reset();
      },
    ],
    [
      'in the middle of a message',
      (connection: FakeConnection) => {
        connection.send(ok.subarray(0, 7));
        connection.end();
      },
    ],
    [
      'before ReadyForQuery',
      (connection: FakeConnection) => {
        connection.send(ok, backend.backendKeyData(1, Buffer.alloc(4)));
        connection.end();
      },
    ],
  ])('that ends %s lets the client wait for the next one', async (_when, onStartup) => {
    let count = 0;
    const script: FakeServerScript = {
      onStartup: (connection) => {
        count++;
        if (count === 1) {
          onStartup(connection);
        } else {
          connection.acceptLogin();
        }
      },
    };
    await withServer(script, {}, async (scene) => {
      const client = await scene.login();
      expect(await client.query('SELECT 1')).toHaveLength(1);
      expect(count).toBe(2);
      await scene.pooler.waitForEvent('server_connect_failed');
    });
  });

  it('of 57P03 lets clients wait until the server is up', async () => {
    const starting: FakeServerScript = {
      onStartup: (connection) => {
        connection.fail({ S: 'FATAL', C: '57P03', M: 'the database system is starting up' });
        connection.end();
      },
    };
    await withServer(starting, {}, async (scene, server) => {
      const login = scene.login();
      await server.waitForConnections(3);
      server.script = {};
      expect(await (await login).query('SELECT 1')).toHaveLength(1);
    });
  });

  it('of another error reaches every client that waits', async () => {
    const failing: FakeServerScript = {
      onStartup: async (connection) => {
        await waitFor('the second client', () => isSecondThere);
        connection.fail({ S: 'FATAL', C: '3D000', M: 'database "gone" does not exist' });
        connection.end();
      },
    };
    let isSecondThere = false;
    await withServer(failing, {}, async (scene) => {
      const logins = [refusalOf(scene.login()), refusalOf(scene.login())];
      await scene.waitForPool({ cl_waiting: 2 });
      isSecondThere = true;
      expect(await Promise.all(logins)).toEqual([
        'FATAL 3D000: database "gone" does not exist',
        'FATAL 3D000: database "gone" does not exist',
      ]);
    });
  });

  it('with notices, no parameters and no cancel key is fine', async () => {
    const bare: FakeServerScript = {
      onStartup: (connection) => {
        const notice = message('N', Buffer.from('SWARNING\0C01000\0Mhello\0\0'));
        connection.send(notice, ok, notice, backend.readyForQuery('I'));
      },
    };
    await withServer(bare, {}, async (scene) => {
      const client = await scene.login();
      expect(await client.query('SELECT 1')).toHaveLength(1);
      await client.cancel();
    });
  });

  it('in single bytes is fine', async () => {
    const slow: FakeServerScript = {
      onStartup: async (connection) => {
        await connection.sendByteByByte(
          Buffer.concat([ok, backend.parameterStatus('a', 'b'), backend.readyForQuery('I')]),
        );
      },
    };
    await withServer(slow, {}, async (scene) => {
      const client = await scene.login();
      expect(client.parameters.get('a')).toBe('b');
    });
  });
});

describe('a server that cannot be reached', () => {
  it('lets clients wait, up to query_wait_timeout', async () => {
    const settings = { query_wait_timeout: '1s', ...RETRY };
    await withServer({}, { settings }, async (scene, server) => {
      server.refuse();
      expect(await refusalOf(scene.login())).toBe('FATAL 53300: query_wait_timeout');
      await scene.pooler.waitForEvent('server_connect_failed');
      await server.listen();
    });
  });

  it('serves them when it comes back', async () => {
    await withServer({}, {}, async (scene, server) => {
      server.refuse();
      const login = scene.login();
      await scene.pooler.waitForEvent('server_connect_failed');
      await server.listen();
      expect(await (await login).query('SELECT 1')).toHaveLength(1);
    });
  });

  it('fails known clients fast between attempts, with the cause', async () => {
    const settings = { server_login_retry: '60s' };
    await withServer({}, { settings }, async (scene, server) => {
      const [first, second] = await scene.logins(2);
      await first.query('SELECT 1');
      server.refuse();
      server.connections[0]?.reset();
      await scene.waitForPool({ sv_idle: 0 });
      first.send(frontend.query('SELECT 1'));
      await scene.pooler.waitForEvent('server_connect_failed');
      second.send(frontend.query('SELECT 1'));
      expect(await lastWords(second)).toBe(
        'FATAL 08006: server login has been failing, cached error: connect failed (server_login_retry)',
      );
      first.destroy();
      await server.listen();
    });
  });
});

/** Lets the default script log in, and `answer` deal with the query `bad`. */
function onBadQuery(answer: (connection: FakeConnection) => void): FakeServerScript {
  return {
    onMessage: (connection, received) => {
      if (received.type === 'Q' && received.body.toString('latin1').startsWith('bad')) {
        answer(connection);
      } else {
        connection.answer(received);
      }
    },
  };
}

describe('an answer to a query', () => {
  const violations: [string, Buffer[]][] = [
    ['an unknown message type', [Buffer.from('?'), int32(4)]],
    ['Authentication', [backend.authentication(0)]],
    ['BackendKeyData', [backend.backendKeyData(1, Buffer.alloc(4))]],
    ['ReadyForQuery of an unknown status', [message('Z', Buffer.from('X'))]],
    ['ReadyForQuery without a body', [message('Z')]],
    ['a length of 0', [messageWithLength('C', 0)]],
    ['a length of -1', [messageWithLength('C', -1)]],
    ['ParseComplete that nobody asked for', [message('1')]],
  ];

  it.each(violations)('with %s ends client and server connection', async (_what, parts) => {
    const script = onBadQuery((connection) => {
      connection.send(...parts);
    });
    await withServer(script, {}, async (scene, server) => {
      const client = await scene.login();
      client.send(frontend.query('bad'));
      expect(await lastWords(client)).toMatch(/^FATAL 08006: unexpected message from server: /);
      const next = await scene.login();
      expect((await next.simpleQuery('SELECT 1')).types).toBe('TDCZ');
      expect(server.connections.length).toBe(2);
      await waitFor('the end of the first', () => server.connections[0]?.hasEnded);
    });
  });

  const surplus: [string, Buffer[]][] = [
    [
      'a whole answer',
      [
        backend.rowDescription(['secret']),
        backend.dataRow(['other']),
        backend.commandComplete('SELECT 1'),
        backend.readyForQuery('I'),
      ],
    ],
    ['a second ReadyForQuery', [backend.readyForQuery('I')]],
    ['a row', [backend.dataRow(['other'])]],
    ['an error', [message('E', Buffer.from('SERROR\0CXX000\0Mother\0\0'))]],
  ];

  const answer = [
    backend.rowDescription(['answer']),
    backend.dataRow(['own']),
    backend.commandComplete('SELECT 1'),
    backend.readyForQuery('I'),
  ];

  it.each(surplus)('followed by %s too much never reaches another client', async (_what, parts) => {
    // In one write: what comes later cannot be told from the answer to the next query.
    const script = onBadQuery((connection) => {
      connection.send(...answer, ...parts);
    });
    await withServer(script, {}, async (scene) => {
      const client = await scene.login();
      const next = await scene.login();
      client.send(frontend.query('bad'));
      next.send(frontend.query('SELECT 1'));
      const outcome = await next.readOutcome();
      expect([outcome.types, outcome.results[0]?.rows]).toEqual(['TDCZ', [['1']]]);
      client.destroy();
    });
  });

  it('that comes when nobody asked closes the server connection', async () => {
    await withServer({}, {}, async (scene, server) => {
      const client = await scene.login();
      await client.query('SELECT 1');
      await scene.waitForPool({ sv_idle: 1 });
      server.connections[0]?.send(backend.dataRow(['other']));
      await scene.waitForPool({ sv_idle: 0 });
      expect((await client.simpleQuery('SELECT 1')).types).toBe('TDCZ');
      expect(server.connections.length).toBe(2);
    });
  });

  it('that is cut off ends the client, and the next one is served', async () => {
    const row = backend.dataRow(['x'.repeat(1000)]);
    const ends: [Buffer, RegExp | null][] = [
      [Buffer.alloc(0), /^FATAL 08006: server conn crashed\?$/],
      [backend.rowDescription(['a']), /^FATAL 08006: server conn crashed\?$/],
      // An error in the middle of a row would be taken for a part of it.
      [Buffer.concat([backend.rowDescription(['a']), row.subarray(0, 500)]), null],
    ];
    for (const [bytes, words] of ends) {
      const script = onBadQuery((connection) => {
        connection.send(bytes);
        connection.end();
      });
      await withServer(script, {}, async (scene) => {
        const client = await scene.login();
        client.send(frontend.query('bad'));
        if (words === null) {
          expect(await client.readToEnd()).toEqual(bytes);
        } else {
          expect(await lastWords(client)).toMatch(words);
        }
        const next = await scene.login();
        expect((await next.simpleQuery('SELECT 1')).types).toBe('TDCZ');
      });
    }
  });

  it('of FATAL is passed on in the words of the server', async () => {
    const script = onBadQuery((connection) => {
      connection.fail({ S: 'FATAL', V: 'FATAL', C: '57P01', M: 'terminating connection' });
      connection.end();
    });
    await withServer(script, {}, async (scene) => {
      const client = await scene.login();
      client.send(frontend.query('bad'));
      expect(await lastWords(client)).toBe('FATAL 57P01: terminating connection');
    });
  });

  it('without SQLSTATE, fields or end is passed on as it is', async () => {
    for (const body of ['\0', 'Mno code\0\0', 'SERROR\0Mno end', '']) {
      const bytes = message('E', Buffer.from(body));
      const script = onBadQuery((connection) => {
        connection.send(bytes, backend.readyForQuery('I'));
      });
      await withServer(script, {}, async (scene) => {
        const client = await scene.login();
        client.send(frontend.query('bad'));
        const [error] = await client.readUntil('Z');
        expect([error?.type, error?.body.toString()]).toEqual(['E', body]);
        expect((await client.simpleQuery('SELECT 1')).types).toBe('TDCZ');
      });
    }
  });

  it('that announces 1 GiB and drips costs no memory', async () => {
    const script = onBadQuery((connection) => {
      connection.send(backend.rowDescription(['a']), messageWithLength('D', 0x4000_0000));
    });
    await withServer(script, {}, async (scene, server) => {
      const client = await scene.login();
      await client.query('SELECT 1');
      const before = residentBytes(scene.pooler.pid);
      client.send(frontend.query('bad'));
      await client.readBytes(20);
      for (let count = 0; count < 50; count++) {
        server.connections[0]?.send(Buffer.alloc(1000));
      }
      await waitFor('the drip', () => client.bufferedBytes > 45_000);
      expect(residentBytes(scene.pooler.pid) - before).toBeLessThan(30e6);
      client.destroy();
      server.connections[0]?.destroy();
    });
  });

  it('of one byte at a time is passed on whole', async () => {
    const script = onBadQuery((connection) => {
      void connection.sendByteByByte(
        Buffer.concat([
          backend.rowDescription(['a']),
          backend.dataRow(['slow']),
          backend.commandComplete('SELECT 1'),
          backend.readyForQuery('I'),
        ]),
      );
    });
    await withServer(script, {}, async (scene) => {
      const client = await scene.login();
      expect((await client.simpleQuery('bad')).results[0]?.rows).toEqual([['slow']]);
    });
  });
});
