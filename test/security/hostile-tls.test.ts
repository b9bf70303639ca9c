import { describe, expect, it } from 'vitest';
import * as frontend from '../support/frontend-messages.ts';
import type { PoolerFixture } from '../support/pooler-fixture.ts';
import { proxyV1 } from '../support/proxy-headers.ts';
import { RawClient } from '../support/raw-client.ts';
import { lastWords, refusalOf } from '../support/refusal.ts';
import { sharedPostgres } from '../support/shared-postgres.ts';
import {
  clientHello,
  connectTls,
  makePki,
  tlsSocketOf,
  withTlsPooler,
} from '../support/tls-scene.ts';
import { withDeadline } from '../support/wait-for.ts';

const postgres = sharedPostgres();
const pki = makePki();
const LOGIN = { user: 'postgres', database: 'app' };
const CERT_REFUSED = 'FATAL 28000: certificate authentication failed';

/** Runs an attack; who comes by TLS is served before and after it. */
async function attack(
  settings: Readonly<Record<string, unknown>>,
  body: (pooler: PoolerFixture) => Promise<void>,
): Promise<void> {
  await withTlsPooler(pki, postgres, { settings }, async (pooler) => {
    const bystander = await connectTls(pooler);
    await bystander.login(LOGIN);
    await body(pooler);
    expect((await bystander.simpleQuery('SELECT 1')).types).toBe('TDCZ');
    await bystander.close();
  });
}

describe('plain text in the segment of a ClientHello', () => {
  const startup = frontend.startupMessage(LOGIN);
  const query = frontend.query('SELECT 1');

  it.each([
    ['direct', false],
    ['asked for', true],
  ])('is never taken for what came through TLS: %s', async (_what, isAskedFor) => {
    const hello = await clientHello();
    await attack({ client_tls_sslmode: 'prefer' }, async (pooler) => {
      for (const parts of [
        [hello, startup, query],
        [startup, hello],
        [hello.subarray(0, 50), startup, hello.subarray(50)],
      ]) {
        pooler.logs.length = 0;
        const client = await RawClient.connect(pooler.target);
        if (isAskedFor) {
          client.send(frontend.sslRequest());
          expect((await client.readBytes(1)).toString()).toBe('S');
        } else if (parts[0] === startup) {
          client.destroy();
          continue;
        }
        client.send(...parts);
        const answer = await client.readToEnd();
        // Records of TLS at most: a ServerHello, an alert.
        expect([0x15, 0x16, undefined]).toContain(answer[0]);
        expect(answer.toString('latin1')).not.toContain('server_version');
        await pooler.waitForEvent('tls_handshake_failed');
        client.destroy();
      }
    });
  });
});

describe('requests for encryption', () => {
  it('are answered once each, in the clear and inside of TLS', async () => {
    await attack({}, async (pooler) => {
      const client = await RawClient.connect(pooler.target);
      client.send(frontend.gssEncRequest());
      expect((await client.readBytes(1)).toString()).toBe('N');
      await client.startTls();
      client.send(frontend.gssEncRequest());
      expect(await lastWords(client)).toContain('FATAL 08P01: bad packet header');
      client.destroy();
      const late = await connectTls(pooler);
      late.send(frontend.gssEncRequest());
      expect((await late.readBytes(1)).toString()).toBe('N');
      late.send(frontend.startupMessage(LOGIN), frontend.sslRequest());
      expect((await late.readUntil('Z')).map(({ type }) => type)).toContain('R');
      // Behind the login it is the begin of a message of type 0.
      expect(await lastWords(late)).toContain('FATAL 08P01');
      late.destroy();
    });
  });

  it('do not make a header of a proxy believable inside of TLS', async () => {
    const settings = { proxy_protocol: true, proxy_protocol_trusted: ['127.0.0.2'] };
    await attack(settings, async (pooler) => {
      const client = await connectTls(pooler);
      client.send(proxyV1('203.0.113.9', 1), frontend.startupMessage(LOGIN));
      expect(await lastWords(client)).toContain('FATAL 08P01: bad packet header');
      client.destroy();
    });
  });
});

describe('a cancel request inside of TLS', () => {
  it('works with the right key and with no other', async () => {
    await attack({}, async (pooler) => {
      const client = await connectTls(pooler);
      await client.login(LOGIN);
      const { processId, secretKey } = client.backendKey ?? {
        processId: 0,
        secretKey: Buffer.of(),
      };
      const wrong = Buffer.from(secretKey);
      wrong.writeUInt8(wrong.readUInt8(0) ^ 1, 0);
      client.send(frontend.query('SELECT pg_sleep(1)'));
      const guess = await connectTls(pooler);
      guess.send(frontend.cancelRequest(processId, wrong));
      expect(await guess.readToEnd()).toHaveLength(0);
      expect((await client.readOutcome()).errors).toEqual([]);
      client.send(frontend.query('SELECT pg_sleep(60)'));
      const canceler = await connectTls(pooler);
      // Until it runs there is nothing to cancel.
      const outcome = client.readOutcome(20_000);
      const state = { isOver: false };
      const over = outcome.finally(() => {
        state.isOver = true;
      });
      canceler.send(frontend.cancelRequest(processId, secretKey));
      await canceler.readToEnd();
      while (!state.isOver) {
        const again = await connectTls(pooler);
        again.send(frontend.cancelRequest(processId, secretKey));
        await again.readToEnd();
        again.destroy();
      }
      await over;
      expect((await outcome).errors[0]?.sqlState).toBe('57014');
      for (const each of [guess, canceler]) {
        each.destroy();
      }
      await client.close();
    });
  });
});

describe('a session of TLS', () => {
  const settings = {
    client_tls_sslmode: 'verify-full',
    client_tls_ca_file: 'DIR/root.crt',
    auth_type: 'cert',
  };

  it.each(['TLSv1.2', 'TLSv1.3'] as const)(
    'of %s does not outlive the trust in who signed the certificate',
    async (maxVersion) => {
      const users = { postgres: '' };
      await withTlsPooler(pki, postgres, { settings, users }, async (pooler) => {
        const { cert, key } = pki.authority.issue({ commonName: 'postgres' });
        const first = await connectTls(pooler, { cert, key, maxVersion });
        const told = new Promise<Buffer>((resolve) => first.socket.once('session', resolve));
        await first.login(LOGIN);
        const own = tlsSocketOf(first).getSession() ?? Buffer.of();
        const session = maxVersion === 'TLSv1.2' ? own : await withDeadline('a ticket', told);
        await first.close();

        const resumed = await connectTls(pooler, { session, maxVersion });
        expect(tlsSocketOf(resumed).isSessionReused()).toBe(true);
        await resumed.login(LOGIN);
        await resumed.close();

        pooler.writeFile('root.crt', pki.stranger.cert);
        await pooler.waitForEvent('tls_reloaded');
        pooler.logs.length = 0;
        // Without its certificate, and with it.
        const without = async (): Promise<void> => {
          const client = await connectTls(pooler, { session, maxVersion });
          await client.login(LOGIN).finally(() => {
            client.destroy();
          });
        };
        await expect(without()).rejects.toThrow();
        const again = await connectTls(pooler, { cert, key, session, maxVersion });
        expect(tlsSocketOf(again).isSessionReused()).toBe(false);
        expect(await refusalOf(again.login(LOGIN))).toBe(CERT_REFUSED);
        again.destroy();
        await pooler.waitForEvent('tls_handshake_failed');
      });
    },
  );
});
