import { describe, expect, it } from 'vitest';
import type { AuthStep } from '../../../src/auth/auth-step.ts';
import { ClientAuthenticator } from '../../../src/auth/client-authenticator.ts';
import type {
  ExternalMethods,
  PasswordJudge,
  PeerName,
} from '../../../src/auth/external-method.ts';
import { planPassword, planPeer } from '../../../src/auth/external-plans.ts';
import { parseIdentFile } from '../../../src/auth/ident-map.ts';
import type { LoginPlan } from '../../../src/auth/login-plan.ts';
import { PasswordDeriver } from '../../../src/auth/password-derivation.ts';
import type { SystemVerdict } from '../../../src/auth/system-login.ts';
import { expectKind, passwordBody, seededRandom } from './support.ts';

const PAM: PasswordJudge = { kind: 'pam', service: 'pgbouncer' };
const LDAP: PasswordJudge = {
  kind: 'ldap',
  options: {
    servers: ['h'],
    port: 389,
    isLdaps: false,
    isStartTls: false,
    mode: { kind: 'simple', prefix: '', suffix: '@x' },
  },
};

/** Somebody who knows one password, and whose answer comes when a test says so. */
class Outside implements ExternalMethods<string> {
  readonly asked: string[] = [];
  verdict: SystemVerdict = { kind: 'accepted' };
  canceledCount = 0;
  answer: () => void = () => undefined;

  unavailable(): null {
    return null;
  }

  checkPassword(
    judge: PasswordJudge,
    { user, password, host }: { user: string; password: Buffer; host: string },
    done: (verdict: SystemVerdict) => void,
  ): () => void {
    this.asked.push(`${judge.kind} ${user}@${host} ${password.toString()}`);
    this.answer = () => {
      done(this.verdict);
    };
    return () => {
      this.canceledCount++;
    };
  }

  peerName(client: string, done: (peer: PeerName) => void): void {
    this.answer = () => {
      done(client === '' ? { problem: 'nobody can tell' } : { name: client });
    };
  }
}

class Login {
  readonly outside = new Outside();
  readonly accepted: string[] = [];
  readonly steps: AuthStep[] = [];
  readonly auth: ClientAuthenticator;

  constructor(makePlan: (login: Login) => LoginPlan) {
    this.auth = new ClientAuthenticator({
      plan: makePlan(this),
      channelBinding: null,
      deriver: new PasswordDeriver(),
      random: seededRandom('x'),
      onResume: (step) => {
        this.steps.push(step);
      },
    });
  }

  static byPassword(judge: PasswordJudge): Login {
    return new Login(({ outside, accepted }) =>
      planPassword({
        judge,
        client: 'c',
        user: 'ann',
        host: '10.0.0.1',
        methods: outside,
        onAccepted: (password) => {
          accepted.push(password);
        },
      }),
    );
  }

  static byPeer(client: string, options: Partial<Parameters<typeof planPeer>[0]> = {}): Login {
    return new Login(({ outside }) =>
      planPeer<string>({
        user: 'ann',
        isUnixSocket: true,
        map: null,
        isKnown: true,
        ...options,
        client,
        methods: outside,
      }),
    );
  }
}

const failed = (reason: string, message: string, sqlstate = '28P01'): object => ({
  kind: 'failed',
  reason,
  message,
  sqlstate,
});

describe.each([
  ['LDAP', LDAP],
  ['PAM', PAM],
])('a password that %s judges', (name, judge) => {
  it('is asked for in clear text, and kept when it is right', () => {
    const login = Login.byPassword(judge);
    expect(login.auth.start()).toEqual({ kind: 'send', authentication: { type: 'cleartext' } });
    expect(login.auth.onMessage(passwordBody('pencil ä'))).toEqual({ kind: 'pending' });
    expect(login.outside.asked).toEqual([`${judge.kind} ann@10.0.0.1 pencil ä`]);
    login.outside.answer();
    expect(login.steps).toEqual([{ kind: 'ok', saslFinal: null, scramKeys: null }]);
    expect(login.accepted).toEqual(['pencil ä']);
  });

  it('fails with one text whatever the reason, and is not kept', () => {
    for (const reason of ['wrong password', 'no such user', 'connect ECONNREFUSED']) {
      const login = Login.byPassword(judge);
      login.outside.verdict = { kind: 'refused', reason };
      login.auth.start();
      login.auth.onMessage(passwordBody('pencil'));
      login.outside.answer();
      expect(login.steps).toEqual([failed(reason, `${name} authentication failed`)]);
      expect(login.accepted).toEqual([]);
    }
  });

  it('fails when too much is under way', () => {
    const login = Login.byPassword(judge);
    login.outside.verdict = { kind: 'overloaded', reason: 'too many' };
    login.auth.start();
    login.auth.onMessage(passwordBody('pencil'));
    login.outside.answer();
    expect(login.steps).toEqual([failed('too many', 'bouncer resources exhaustion', '53300')]);
  });

  it('is never asked about when it is empty', () => {
    const login = Login.byPassword(judge);
    login.auth.start();
    expect(login.auth.onMessage(passwordBody(''))).toEqual(
      failed('empty password', 'empty password returned by client'),
    );
    expect(login.outside.asked).toEqual([]);
  });

  it.each([
    ['without its end', Buffer.from('pencil')],
    ['with a NUL in it', Buffer.from('pen\0cil\0')],
    ['without anything', Buffer.alloc(0)],
  ])('is refused %s', (_name, body) => {
    const login = Login.byPassword(judge);
    login.auth.start();
    expect(login.auth.onMessage(body)).toMatchObject({ kind: 'failed', sqlstate: '08P01' });
    expect(login.outside.asked).toEqual([]);
  });

  it('is refused when it is not UTF-8', async () => {
    const login = Login.byPassword(judge);
    login.auth.start();
    expectKind(login.auth.onMessage(Buffer.from([0xc3, 0x28, 0])), 'pending');
    await Promise.resolve();
    expect(login.steps).toEqual([
      failed('the password is not valid UTF-8', `${name} authentication failed`),
    ]);
    expect(login.outside.asked).toEqual([]);
  });

  it('is judged once: a second message while it is fails the login', () => {
    const login = Login.byPassword(judge);
    login.auth.start();
    login.auth.onMessage(passwordBody('wrong'));
    expect(login.auth.onMessage(passwordBody('pencil'))).toMatchObject({
      kind: 'failed',
      sqlstate: '08P01',
    });
    expect(login.outside.canceledCount).toBe(1);
    login.outside.answer();
    expect(login.steps).toEqual([]);
  });

  it('is forgotten when the client goes', () => {
    const login = Login.byPassword(judge);
    login.auth.start();
    login.auth.onMessage(passwordBody('pencil'));
    login.auth.dispose();
    expect(login.outside.canceledCount).toBe(1);
    login.outside.answer();
    expect(login.steps).toEqual([]);
  });
});

describe('a login by peer', () => {
  const REJECTED = 'unix socket login rejected';

  it('succeeds for the user of the same name', () => {
    const login = Login.byPeer('ann');
    expect(login.auth.start()).toEqual({ kind: 'pending' });
    login.outside.answer();
    expect(login.steps).toEqual([{ kind: 'ok', saslFinal: null, scramKeys: null }]);
  });

  it('fails for any other one, for an unknown one, and where nobody can tell', () => {
    for (const [login, reason] of [
      [Login.byPeer('bob'), 'system user bob is not ann'],
      [Login.byPeer(''), 'nobody can tell'],
      [Login.byPeer('ann', { isKnown: false }), 'no such user'],
    ] as const) {
      login.auth.start();
      login.outside.answer();
      expect(login.steps).toEqual([failed(reason, REJECTED, '28000')]);
    }
  });

  it('fails on TCP', async () => {
    const login = Login.byPeer('ann', { isUnixSocket: false });
    login.auth.start();
    await Promise.resolve();
    expect(login.steps).toEqual([
      failed('the system user of the client is not known: not on a unix socket', REJECTED, '28000'),
    ]);
  });

  it('goes by its map', () => {
    const map = parseIdentFile('m bob ann').maps.get('m') ?? null;
    const right = Login.byPeer('bob', { map });
    right.auth.start();
    right.outside.answer();
    expect(right.steps).toMatchObject([{ kind: 'ok' }]);
    const wrong = Login.byPeer('ann', { map });
    wrong.auth.start();
    wrong.outside.answer();
    expect(wrong.steps).toMatchObject([{ kind: 'failed', sqlstate: '28000' }]);
  });

  it('takes no message of the client', () => {
    const login = Login.byPeer('ann');
    login.auth.start();
    expect(login.auth.onMessage(passwordBody('x'))).toMatchObject({ kind: 'failed' });
    login.outside.answer();
    expect(login.steps).toEqual([]);
  });
});

describe('a login that is rejected', () => {
  it('fails at once', () => {
    const login = new Login(() => ({
      method: 'reject',
      reason: 'why',
      failedText: 'login rejected',
      failedSqlstate: '28000',
    }));
    expect(login.auth.start()).toEqual(failed('why', 'login rejected', '28000'));
    expect(login.auth.onMessage(passwordBody('x'))).toMatchObject({ kind: 'failed' });
  });
});
