import { describe, expect, it } from 'vitest';
import { LoginGuard, MAX_LOGIN_BYTES } from '../../../src/app/login-guard.ts';
import type { LoginFailure } from '../../../src/client/login-failure.ts';
import type { GuardedClient } from '../../../src/client/login-guard-port.ts';
import { DEFAULT_SETTINGS } from '../../../src/config/config.ts';
import type { Settings } from '../../../src/config/config.ts';
import { poolerError, type PoolerError } from '../../../src/protocol/pooler-errors.ts';
import { VirtualClock } from '../../support/virtual-clock.ts';

const WRONG = poolerError('authenticationFailed', 'password authentication failed');

class Client implements GuardedClient {
  remote: { address: string; port: number };
  readonly unixPath: string | null;
  readonly identity: { readonly user: { readonly name: string } } | null;
  refusedWith: PoolerError | null = null;
  turns = 0;
  readonly #scene: Scene;

  constructor(scene: Scene, address: string, user: string) {
    this.#scene = scene;
    this.remote = { address, port: 1 };
    this.unixPath = address === 'unix' ? '/tmp/.s.PGSQL.6432' : null;
    this.identity = { user: { name: user } };
  }

  proceedLogin(): void {
    this.turns++;
  }

  refuseLogin(error: PoolerError): void {
    this.refusedWith = error;
    this.#scene.guard.onRefused(this, error, error.message);
    this.#scene.guard.onClosed(this);
  }
}

class Scene {
  readonly clock = new VirtualClock();
  settings: Settings;
  readonly guard: LoginGuard;

  constructor(changes: Partial<Settings> = {}) {
    this.settings = { ...DEFAULT_SETTINGS, loginFailureLimit: 3, ...changes };
    const settingsOf = (): Settings => this.settings;
    this.guard = new LoginGuard({
      get settings() {
        return settingsOf();
      },
      nowMs: () => this.clock.nowMs(),
    });
  }

  connect(address = '192.0.2.1', user = 'u'): Client {
    const client = new Client(this, address, user);
    this.guard.onAccepted(client);
    return client;
  }

  /** A whole login that fails in its proof. */
  fail(address = '192.0.2.1', user = 'u'): void {
    const client = this.connect(address, user);
    expect(this.guard.gate(client, user)).toBe('go');
    this.guard.onRefused(client, WRONG, 'wrong password');
    this.guard.onClosed(client);
  }

  gate(address = '192.0.2.1', user = 'u'): string {
    const client = this.connect(address, user);
    const verdict = this.guard.gate(client, user);
    this.guard.onClosed(client);
    return typeof verdict === 'string' ? verdict : `${verdict.error.message}: ${verdict.reason}`;
  }

  count(reason: LoginFailure): number {
    return this.guard.failureCounts().find((row) => row.reason === reason)?.count ?? 0;
  }
}

describe('failed logins', () => {
  it('end in a refusal with the words of a wrong password, and another reason in the log', () => {
    const scene = new Scene();
    for (let left = 3; left > 0; left--) {
      scene.fail();
    }
    const reason = 'too many failed logins from this address';
    expect(scene.gate()).toBe(`password authentication failed: ${reason}`);
    scene.settings = { ...scene.settings, authType: 'scram-sha-256' };
    expect(scene.gate()).toBe(`SASL authentication failed: ${reason}`);
    expect(scene.gate('192.0.2.2')).toBe('hold');
    expect(scene.count('wrong_password')).toBe(3);
  });

  it.each(['unix', '127.0.0.1', '127.9.9.9', '::1', '10.1.2.3'])(
    'of a trusted address have no consequence: %s',
    (address) => {
      const scene = new Scene({ loginFailureTrusted: ['127.0.0.0/8', '::1/128', '10.0.0.0/8'] });
      for (let left = 20; left > 0; left--) {
        scene.fail(address);
      }
      expect(scene.gate(address)).toBe('go');
      expect(scene.gate('192.0.2.9')).toBe('go');
      expect(scene.count('wrong_password')).toBe(20);
    },
  );

  it('count for the address that a PROXY header has told', () => {
    const scene = new Scene({ loginFailureTrusted: ['10.0.0.0/8'] });
    for (let left = 3; left > 0; left--) {
      const client = scene.connect('10.0.0.1');
      client.remote = { address: '203.0.113.5', port: 7 };
      scene.guard.onAddressKnown(client);
      scene.guard.onRefused(client, WRONG, 'no such user');
      scene.guard.onClosed(client);
    }
    expect(scene.gate('203.0.113.5', 'other')).toContain('too many failed logins');
    expect(scene.gate('10.0.0.1')).toBe('go');
  });

  it('are forgotten on RELOAD', () => {
    const scene = new Scene();
    for (let left = 3; left > 0; left--) {
      scene.fail();
    }
    scene.guard.onReload();
    expect(scene.gate()).toBe('go');
  });

  it('are those of guesses only', () => {
    const scene = new Scene();
    for (const name of ['tooManyClients', 'loginTimeout', 'badPacketHeader'] as const) {
      const client = scene.connect();
      for (let left = 5; left > 0; left--) {
        scene.guard.onRefused(client, poolerError(name), 'x');
      }
      scene.guard.onClosed(client);
    }
    expect(scene.gate()).toBe('go');
    expect([scene.count('overloaded'), scene.count('timeout'), scene.count('protocol')]).toEqual([
      5, 5, 5,
    ]);
  });
});

describe('max_unauthenticated_conn', () => {
  it('closes the oldest of the busiest address, not the newcomer', () => {
    const scene = new Scene({ maxUnauthenticatedConn: 4 });
    const attackers = ['a', 'b', 'c'].map(() => scene.connect('203.0.113.9'));
    const friends = [scene.connect('192.0.2.1'), scene.connect('192.0.2.2')];
    expect(attackers.map(({ refusedWith }) => refusedWith?.reason)).toEqual([
      'tooManyLogins',
      undefined,
      undefined,
    ]);
    expect(friends.every(({ refusedWith }) => refusedWith === null)).toBe(true);
    expect(scene.count('overloaded')).toBe(1);
  });

  it('counts the network of an IPv6 address as one', () => {
    const scene = new Scene({ maxUnauthenticatedConn: 3 });
    const friend = scene.connect('2001:db8:f::1');
    const attackers = ['1', '2', '3'].map((host) => scene.connect(`2001:db8:bad:0::${host}`));
    expect(attackers[0]?.refusedWith?.reason).toBe('tooManyLogins');
    expect(friend.refusedWith).toBeNull();
  });

  it('does not count those who have logged in, or are gone', () => {
    const scene = new Scene({ maxUnauthenticatedConn: 2 });
    for (let left = 20; left > 0; left--) {
      scene.guard.onAuthenticated(scene.connect());
      scene.guard.onClosed(scene.connect());
    }
    const last = [scene.connect(), scene.connect()];
    expect(last.map(({ refusedWith }) => refusedWith)).toEqual([null, null]);
  });

  it('is max_client_conn and 1000 more by default', () => {
    const scene = new Scene({ maxClientConn: 5 });
    const clients = Array.from({ length: 1_005 }, () => scene.connect());
    expect(clients.every(({ refusedWith }) => refusedWith === null)).toBe(true);
    scene.connect();
    expect(clients[0]?.refusedWith?.reason).toBe('tooManyLogins');
  });
});

describe('what is kept for clients that have not logged in', () => {
  it('is bounded in total: the one that has waited longest goes', () => {
    const scene = new Scene({ maxUnauthenticatedConn: 100_000 });
    const idle = scene.connect();
    const clients: Client[] = [];
    while (clients.length * 65_536 < MAX_LOGIN_BYTES) {
      const client = scene.connect(`203.0.113.${String(clients.length % 250)}`);
      scene.guard.onHeldBytes(client, 65_536);
      clients.push(client);
    }
    expect(scene.guard.heldBytes).toBe(MAX_LOGIN_BYTES);
    scene.guard.onHeldBytes(scene.connect(), 10);
    expect(clients[0]?.refusedWith?.reason).toBe('tooMuchLoginData');
    expect(clients[1]?.refusedWith).toBeNull();
    expect(idle.refusedWith).toBeNull();
    expect(scene.guard.heldBytes).toBe(MAX_LOGIN_BYTES - 65_526);
  });

  it('is given back by those who log in or go', () => {
    const scene = new Scene();
    const [one, two] = [scene.connect(), scene.connect()];
    scene.guard.onHeldBytes(one, 500);
    scene.guard.onHeldBytes(one, 700);
    scene.guard.onHeldBytes(two, 40);
    expect(scene.guard.heldBytes).toBe(740);
    scene.guard.onAuthenticated(one);
    scene.guard.onHeldBytes(one, 99);
    scene.guard.onClosed(two);
    scene.guard.onClosed(two);
    expect(scene.guard.heldBytes).toBe(0);
  });
});

describe('max_logins_in_flight', () => {
  it('lets the others wait for their turn', () => {
    const scene = new Scene({ maxLoginsInFlight: 1 });
    const [one, two] = [scene.connect(), scene.connect()];
    expect(scene.guard.gate(one, 'u')).toBe('go');
    expect(scene.guard.gate(two, 'u')).toBe('hold');
    expect(scene.guard.waitingCount).toBe(1);
    scene.guard.onAuthenticated(one);
    expect(two.turns).toBe(1);
    expect(scene.guard.waitingCount).toBe(0);
  });

  it('is not used up by clients that stall', () => {
    const scene = new Scene({ maxLoginsInFlight: 1 });
    const [one, two] = [scene.connect(), scene.connect()];
    scene.guard.gate(one, 'u');
    scene.guard.gate(two, 'u');
    scene.clock.advance(1_000);
    scene.guard.onTick();
    expect(two.turns).toBe(1);
  });
});

describe('proxy_protocol', () => {
  const RULE = { proxyProtocol: true, proxyProtocolTrusted: ['10.0.0.0/8'] };

  it.each([
    [{ proxyProtocol: false, proxyProtocolTrusted: ['10.0.0.0/8'] }, '10.0.0.1', 'unused'],
    [RULE, '10.0.0.1', 'required'],
    [RULE, '192.0.2.1', 'forbidden'],
    [RULE, 'unix', 'forbidden'],
    [{ ...RULE, proxyProtocolTrusted: ['unix'] }, 'unix', 'required'],
    [{ ...RULE, proxyProtocolTrusted: ['unix'] }, '10.0.0.1', 'forbidden'],
    [{ ...RULE, proxyProtocolTrusted: [] }, '127.0.0.1', 'forbidden'],
  ])('%j makes a header of %s %s', (settings, address, rule) => {
    const scene = new Scene(settings);
    expect(scene.guard.onAccepted(new Client(scene, address, 'u'))).toBe(rule);
  });
});
