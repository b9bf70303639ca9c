import { describe, expect, it } from 'vitest';
import type { LoginPlan, PendingPlan, PlanFailure } from '../../src/auth/login-plan.ts';
import { PasswordDeriver } from '../../src/auth/password-derivation.ts';
import { ClientLogin } from '../../src/client/client-login.ts';
import { poolerError, type PoolerError } from '../../src/protocol/pooler-errors.ts';
import * as f from '../support/frontend-messages.ts';
import { makeVerifier, seededRandom } from '../unit/auth/support.ts';
import { SeededRandom, testSeed } from '../support/seeded-random.ts';
import { allSplits, BorrowedBuffer, randomSplit } from './byte-splits.ts';

const PLAIN: LoginPlan = {
  method: 'plain',
  user: 'u',
  refusal: null,
  secret: { kind: 'plain', password: 'pencil' },
};
const TRUST: LoginPlan = { method: 'trust', isKnown: true };
const SCRAM: LoginPlan = {
  method: 'scram',
  user: 'u',
  refusal: null,
  source: { kind: 'stored', verifier: makeVerifier('pencil') },
};
const STARTUP = f.startupMessage({ user: 'u', database: 'd' });
const PASSWORD = f.passwordMessage('pencil');

/** What a login did, in order. */
class Login {
  readonly events: string[] = [];
  readonly sent: Buffer[] = [];
  readonly users: string[] = [];
  error: PoolerError | null = null;
  rest: Buffer | null = null;
  readonly #login: ClientLogin;
  readonly #borrowed = new BorrowedBuffer();

  constructor(
    plan: LoginPlan | PendingPlan | { readonly error: PoolerError } = PLAIN,
    isTlsOffered = false,
  ) {
    this.#login = new ClientLogin(
      {
        security: { channelBinding: null, isOffered: isTlsOffered },
        startTls: (hello) => {
          this.events.push(hello === null ? 'tls' : `tls ${hello.toString('hex')}`);
        },
        send: (message) => {
          this.sent.push(message);
          this.events.push(`send ${String.fromCharCode(message[0] ?? 0)}`);
        },
        onStartup: ({ parameters }) => {
          this.users.push(parameters.get('user') ?? '');
          this.events.push('startup');
          return plan;
        },
        onCancelRequest: (processId, secret) => {
          this.events.push(`cancel ${String(processId)} ${secret.toString('hex')}`);
        },
        onAuthenticated: (_success, rest) => {
          this.rest = rest;
          this.events.push('authenticated');
        },
        onRefused: (error) => {
          this.error = error;
          this.events.push(`refused ${error.reason}`);
        },
      },
      { deriver: new PasswordDeriver(), randomBytes: seededRandom('login') },
    );
  }

  /** Feeds chunks of one reused buffer. */
  feed(...chunks: readonly Buffer[]): this {
    for (const chunk of chunks) {
      this.#borrowed.lend(chunk, (buffer, end) => {
        this.#login.onData(buffer.subarray(0, end));
      });
    }
    return this;
  }

  dispose(): void {
    this.#login.dispose();
  }

  /** Feeds chunks, letting what was deferred happen in between as between reads of a socket. */
  async feedSlowly(chunks: readonly Buffer[]): Promise<this> {
    for (const chunk of chunks) {
      this.feed(chunk);
      await Promise.resolve();
    }
    return this;
  }

  get last(): string {
    return this.events.at(-1) ?? '';
  }
}

describe('ClientLogin: startup packets', () => {
  it('reads a startup message and a password, however they are cut', async () => {
    for (const first of allSplits(STARTUP)) {
      const login = await new Login().feedSlowly([...first, PASSWORD]);
      expect(login.events).toEqual(['startup', 'send R', 'authenticated']);
    }
    for (const second of allSplits(PASSWORD)) {
      const login = await new Login().feedSlowly([STARTUP, ...second]);
      expect(login.events).toEqual(['startup', 'send R', 'authenticated']);
    }
  });

  it('refuses each first byte that begins no startup packet, messages of any type among them', () => {
    for (let code = 1; code < 256; code++) {
      const login = new Login().feed(Buffer.of(code));
      expect(login.events).toEqual(['refused badPacketHeader']);
    }
  });

  it('refuses a password before the startup message', () => {
    expect(new Login().feed(PASSWORD).events).toEqual(['refused badPacketHeader']);
  });

  it.each([0, 7, 10_001, 2_147_483_647, -1])('refuses a startup packet of length %d', (length) => {
    const login = new Login().feed(f.int32(length));
    expect(login.events).toEqual(['refused badPacketHeader']);
  });

  it('takes names of 10 kB, and holds no more of a packet', () => {
    const name = 'x'.repeat(9900);
    const login = new Login({ error: poolerError('userTooLong') });
    login.feed(f.startupMessage({ user: name }));
    expect(login.users).toEqual([name]);
    expect(login.last).toBe('refused userTooLong');
    const tooLong = new Login().feed(f.startupMessage({ user: 'x'.repeat(10_000) }));
    expect(tooLong.events).toEqual(['refused badPacketHeader']);
  });

  it.each([
    [
      'a bad layout',
      Buffer.concat([f.int32(9), f.int32(0x30000), Buffer.of(1)]),
      'badStartupLayout',
    ],
    ['protocol 2', f.startupMessage({ user: 'u' }, 0x20000), 'oldProtocol'],
    ['protocol 4', f.startupMessage({ user: 'u' }, 0x40000), 'unsupportedProtocol'],
    ['a cancel request too short', f.cancelRequest(1, Buffer.alloc(3)), 'badPacketHeader'],
    ['a cancel request too long', f.cancelRequest(1, Buffer.alloc(257)), 'badPacketHeader'],
  ])('refuses %s', (_what, packet, reason) => {
    expect(new Login().feed(packet).events).toEqual([`refused ${reason}`]);
  });

  it('tells what it speaks before it asks for a password', () => {
    const login = new Login().feed(f.startupMessage({ user: 'u', '_pq_.x': '1' }, 0x3ffff));
    expect(login.events).toEqual(['send v', 'startup', 'send R']);
    const expected = Buffer.from('76000000130003000200000001', 'hex');
    expect(login.sent[0]?.subarray(0, 13)).toEqual(expected);
  });

  it('refuses what the pooler refuses, and hears nothing more', () => {
    const login = new Login({ error: poolerError('tooManyClients') });
    login.feed(STARTUP, STARTUP, PASSWORD);
    expect(login.events).toEqual(['startup', 'refused tooManyClients']);
  });
});

describe('ClientLogin: requests for encryption and cancel requests', () => {
  const ssl = f.sslRequest();
  const gss = f.gssEncRequest();

  it.each([
    ['SSL', [ssl]],
    ['GSS', [gss]],
    ['SSL, then GSS', [ssl, gss]],
    ['GSS, then SSL', [gss, ssl]],
  ])('%s is declined, and the startup message is heard', (_what, requests) => {
    const login = new Login().feed(...requests, STARTUP);
    const declined = requests.map(() => 'send N');
    expect(login.events).toEqual([...declined, 'startup', 'send R']);
  });

  it.each([
    ['SSL', ssl],
    ['GSS', gss],
  ])('%s with bytes behind it in the same chunk ends the connection', (_what, request) => {
    for (const behind of [STARTUP, f.query('x'), Buffer.of(0), ssl]) {
      const login = new Login().feed(Buffer.concat([request, behind]), STARTUP);
      expect(login.events).toEqual(['refused unencryptedDataAfterRequest']);
    }
  });

  it('declines each kind once', () => {
    expect(new Login().feed(ssl, ssl).last).toBe('refused badPacketHeader');
    expect(new Login().feed(ssl, gss, gss).last).toBe('refused badPacketHeader');
  });

  it('passes a cancel request on, also behind SSL, and hears nothing more', () => {
    const cancel = f.cancelRequest(7, Buffer.from('01020304', 'hex'));
    const login = new Login().feed(ssl, cancel, STARTUP, cancel, PASSWORD);
    expect(login.events).toEqual(['send N', 'cancel 7 01020304']);
  });
});

describe('ClientLogin: TLS', () => {
  const offered = (): Login => new Login(PLAIN, true);
  const HELLO = Buffer.from('1603010005', 'hex');

  it('is begun by a request, however it is cut', () => {
    for (const chunks of allSplits(f.sslRequest())) {
      expect(offered().feed(...chunks).events).toEqual(['send S', 'tls']);
    }
    const behindGss = offered().feed(f.gssEncRequest(), f.sslRequest());
    expect(behindGss.events).toEqual(['send N', 'send S', 'tls']);
  });

  it('is begun by the first byte of a handshake, which is handed over', () => {
    expect(offered().feed(HELLO).events).toEqual([`tls ${HELLO.toString('hex')}`]);
    expect(offered().feed(HELLO.subarray(0, 1)).events).toEqual(['tls 16']);
  });

  it('is not begun directly where it is not offered, nor behind anything else', () => {
    expect(new Login().feed(HELLO).events).toEqual(['refused badPacketHeader']);
    for (const before of [Buffer.of(0), f.gssEncRequest(), f.sslRequest(), STARTUP]) {
      const login = offered().feed(before, HELLO);
      expect(login.events.filter((event) => event.startsWith('tls 16'))).toEqual([]);
      expect(login.events).not.toContain('authenticated');
    }
  });

  it('is not begun with bytes behind the request, whatever they are', () => {
    for (const extra of [Buffer.of(0), STARTUP, HELLO, f.sslRequest(), PASSWORD]) {
      const login = offered().feed(Buffer.concat([f.sslRequest(), extra]));
      expect(login.events).toEqual(['refused unencryptedDataAfterRequest']);
    }
  });

  it('is begun once: a second request, inside of TLS or not, is refused', () => {
    const asked = offered().feed(f.sslRequest(), f.sslRequest());
    expect(asked.events).toEqual(['send S', 'tls', 'refused badPacketHeader']);
    const direct = offered().feed(HELLO, f.sslRequest());
    expect(direct.last).toBe('refused badPacketHeader');
  });

  it('is followed by a login as in the clear', async () => {
    const login = await offered().feedSlowly([f.sslRequest(), STARTUP, PASSWORD]);
    expect(login.events).toEqual(['send S', 'tls', 'startup', 'send R', 'authenticated']);
  });
});

describe('ClientLogin: after the startup message', () => {
  it.each([
    ['before the password', [] as Buffer[]],
    ['before the password, behind SSL', [f.sslRequest()]],
  ])('every other packet ends the login %s', (_when, before) => {
    const others: [Buffer, string][] = [
      [f.startupMessage({ user: 'evil' }), 'startupRepeated'],
      [f.sslRequest(), 'startupRepeated'],
      [f.gssEncRequest(), 'startupRepeated'],
      [f.cancelRequest(1, Buffer.alloc(4)), 'startupRepeated'],
      [f.query('SELECT 1'), 'badPacketHeader'],
      [f.terminate(), 'badPacketHeader'],
      [f.messageWithLength('p', 3), 'badPacketHeader'],
      [f.messageWithLength('p', 65_540), 'badPacketHeader'],
      [f.messageWithLength('p', -1), 'badPacketHeader'],
    ];
    for (const [packet, reason] of others) {
      const login = new Login().feed(...before, STARTUP, packet, PASSWORD);
      expect(login.last).toBe(`refused ${reason}`);
      expect(login.users).toEqual(['u']);
    }
  });

  it('refuses every type byte but that of a password as soon as it comes', () => {
    for (let code = 0; code < 256; code++) {
      if (code !== 0x70) {
        const login = new Login().feed(STARTUP, Buffer.of(code));
        const reason = code === 0 ? 'startupRepeated' : 'badPacketHeader';
        expect(login.last).toBe(`refused ${reason}`);
      }
    }
  });

  it('keeps the identity through an exchange: a second startup in it never gets in', async () => {
    const first = f.saslInitialResponse('SCRAM-SHA-256', 'n,,n=,r=abcdefghijklmnopqrstuvwx');
    const login = new Login(SCRAM);
    await login.feedSlowly([STARTUP, first, f.startupMessage({ user: 'admin' }), PASSWORD]);
    expect(login.events.filter((event) => event === 'send R')).toHaveLength(2);
    expect(login.last).toBe('refused startupRepeated');
    expect(login.users).toEqual(['u']);
  });

  it('refuses a wrong password', async () => {
    const login = await new Login().feedSlowly([STARTUP, f.passwordMessage('wrong')]);
    expect(login.error?.sqlstate).toBe('28P01');
  });

  it('hands over what came behind the password, owned', async () => {
    const early = f.query('SELECT 1');
    const login = await new Login().feedSlowly([STARTUP, Buffer.concat([PASSWORD, early])]);
    expect(login.rest).toEqual(early);
  });

  it('hands over what came behind a startup message that needs no proof', async () => {
    const early = f.query('SELECT 1');
    for (const behind of [early, early.subarray(0, 3)]) {
      const login = await new Login(TRUST).feedSlowly([Buffer.concat([STARTUP, behind])]);
      expect(login.events).toEqual(['startup', 'authenticated']);
      expect(login.rest).toEqual(behind);
    }
    expect((await new Login(TRUST).feedSlowly([STARTUP])).rest).toBeNull();
  });
});

/** A plan that the test gives when it likes. */
class LatePlan {
  isCanceled = false;
  #done: (outcome: LoginPlan | PlanFailure) => void = () => undefined;
  readonly plan: PendingPlan = {
    method: 'pending',
    wait: (done) => {
      this.#done = done;
      return () => {
        this.isCanceled = true;
      };
    },
  };

  give(outcome: LoginPlan | PlanFailure): void {
    this.#done(outcome);
  }
}

describe('ClientLogin: a plan that comes later', () => {
  it('is gone by as one that comes at once', async () => {
    const late = new LatePlan();
    const login = new Login(late.plan).feed(STARTUP);
    expect(login.events).toEqual(['startup']);
    late.give(PLAIN);
    expect(login.events).toEqual(['startup', 'send R']);
    await login.feedSlowly([PASSWORD]);
    expect(login.events).toEqual(['startup', 'send R', 'authenticated']);
  });

  it('takes what has come meanwhile, however it was cut, and leaves the rest', async () => {
    const early = f.query('SELECT 1');
    for (const chunks of allSplits(Buffer.concat([STARTUP, PASSWORD, early]))) {
      const late = new LatePlan();
      const login = await new Login(late.plan).feedSlowly(chunks);
      expect(login.events).toEqual(['startup']);
      late.give(PLAIN);
      await Promise.resolve();
      expect(login.events).toEqual(['startup', 'send R', 'authenticated']);
      expect(login.rest).toEqual(early);
    }
  });

  it('needs no proof: what came meanwhile is the first request', async () => {
    const early = f.query('SELECT 1');
    const late = new LatePlan();
    const login = await new Login(late.plan).feedSlowly([STARTUP, early]);
    late.give(TRUST);
    await Promise.resolve();
    expect(login.events).toEqual(['startup', 'authenticated']);
    expect(login.rest).toEqual(early);
  });

  it('fails with its own error and reason', () => {
    const late = new LatePlan();
    const login = new Login(late.plan).feed(STARTUP, PASSWORD);
    late.give({ error: poolerError('badConfiguration'), reason: 'x' });
    expect(login.events).toEqual(['startup', 'refused badConfiguration']);
    login.feed(PASSWORD);
    expect(login.events).toHaveLength(2);
  });

  it.each([
    ['a second startup message', STARTUP, 'refused startupRepeated'],
    ['SSLRequest', f.sslRequest(), 'refused startupRepeated'],
    ['a query', f.query('x'), 'refused badPacketHeader'],
    ['Terminate', f.terminate(), 'refused badPacketHeader'],
  ])('refuses %s that came meanwhile', (_what, bytes, outcome) => {
    const late = new LatePlan();
    const login = new Login(late.plan).feed(STARTUP, bytes);
    expect(login.events).toEqual(['startup']);
    late.give(PLAIN);
    expect(login.last).toBe(outcome);
    expect(login.users).toEqual(['u']);
  });

  it('holds no more than one authentication message', () => {
    const late = new LatePlan();
    const login = new Login(late.plan).feed(STARTUP, Buffer.alloc(65_540, 0x70));
    expect(login.events).toEqual(['startup']);
    login.feed(Buffer.of(0x70));
    expect(login.events).toEqual(['startup', 'refused badPacketHeader']);
    expect(late.isCanceled).toBe(true);
  });

  it('is given up with the connection', () => {
    const late = new LatePlan();
    const login = new Login(late.plan).feed(STARTUP);
    login.dispose();
    expect(late.isCanceled).toBe(true);
    login.feed(PASSWORD);
    expect(login.events).toEqual(['startup']);
  });
});

describe('ClientLogin: random bytes', () => {
  it('never throws, never admits, and decides once', async () => {
    const seed = testSeed('client login');
    const packets = [
      STARTUP,
      f.sslRequest(),
      f.gssEncRequest(),
      f.cancelRequest(1, Buffer.alloc(4)),
      f.passwordMessage('wrong'),
      f.query('x'),
      f.terminate(),
      f.saslInitialResponse('SCRAM-SHA-256', null),
    ];
    for (let round = 0; round < 1000; round++) {
      const random = new SeededRandom(seed + round);
      const parts = Array.from({ length: 4 }, () =>
        random.chance(0.2) ? random.bytes(random.below(12)) : random.pick(packets),
      );
      const login = new Login(random.pick([PLAIN, SCRAM]));
      const chunks = randomSplit(Buffer.concat(parts), 40, (limit) => random.below(limit));
      await login.feedSlowly(chunks);
      const context = `seed ${String(seed + round)}: ${login.events.join()}`;
      const ends = login.events.filter((event) => /^(refused|cancel|authenticated)/.test(event));
      expect(ends.length, context).toBeLessThanOrEqual(1);
      expect(login.events, context).not.toContain('authenticated');
      expect(login.users.length, context).toBeLessThanOrEqual(1);
      expect(login.events.lastIndexOf(ends[0] ?? login.last), context).toBe(
        login.events.length - 1,
      );
    }
  });
});
