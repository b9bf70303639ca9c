import { pbkdf2Sync } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { PasswordDeriver } from '../../src/auth/password-derivation.ts';
import { keysFromSaltedPassword } from '../../src/auth/scram-crypto.ts';
import { ScramServer } from '../../src/auth/scram-server.ts';
import type { Secret } from '../../src/auth/secret.ts';
import { AuthenticationCode } from '../../src/protocol/codes.ts';
import {
  SERVER_LOGIN_STATES,
  ServerLogin,
  type LoginResult,
  type ServerLoginState,
} from '../../src/server/server-login.ts';
import * as b from '../support/backend-messages.ts';
import * as f from '../support/frontend-messages.ts';
import { makeVerifier, seededRandom } from '../unit/auth/support.ts';

const VERIFIER = makeVerifier('pencil');
const PLAIN: Secret = { kind: 'plain', password: 'pencil' };

/** Everything that a server can send in a login, one of each kind. */
const MESSAGES = {
  ok: b.authentication(0),
  'ok with more': b.authentication(0, Buffer.alloc(1)),
  'ask clear text': b.authentication(3),
  'ask md5': b.authentication(5, Buffer.alloc(4)),
  'ask SASL': b.authenticationSasl(['SCRAM-SHA-256']),
  'SASL challenge of another': b.authentication(11, Buffer.from('r=x,s=AAAA,i=4096')),
  'SASL final of another': b.authentication(12, Buffer.from('v=AAAA')),
  'ask GSSAPI': b.authentication(7),
  'no code': f.message('R', Buffer.alloc(2)),
  error: b.errorResponse({ S: 'FATAL', C: '28P01', M: 'no' }),
  notice: b.noticeResponse({ M: 'hello' }),
  negotiation: f.message('v', Buffer.alloc(8)),
  parameter: b.parameterStatus('TimeZone', 'UTC'),
  'broken parameter': f.message('S', Buffer.from('TimeZone\0')),
  key: b.backendKeyData(7, Buffer.alloc(4, 1)),
  'short key': b.backendKeyData(7, Buffer.alloc(3)),
  ready: b.readyForQuery('I'),
  'ready in a transaction': b.readyForQuery('T'),
  row: b.dataRow(['1']),
  'row description': b.rowDescription(['a']),
  'command tag': b.commandComplete('SELECT 1'),
  'short length': f.messageWithLength('R', 3),
  'long length': f.messageWithLength('R', 65_540),
} as const;
type MessageName = keyof typeof MESSAGES;
const NAMES = Object.keys(MESSAGES) as MessageName[];

type Outcome = 'going_on' | 'done' | 'refused' | 'failed' | 'answers';

interface State {
  /** With a stored secret and its keys instead of a password. */
  readonly hasKeys?: boolean;
  /** What leads to it. */
  readonly steps: readonly (MessageName | 'challenge' | 'final')[];
  readonly outcome: Partial<Record<MessageName, Outcome>>;
  readonly otherwise: Outcome;
}

/** What no state minds. */
const ALWAYS = {
  error: 'refused',
  notice: 'going_on',
  negotiation: 'going_on',
  parameter: 'going_on',
} as const;

/** The whole machine: what each message does in each state. */
const STATES: Readonly<Record<string, State>> = {
  fresh: {
    steps: [],
    outcome: {
      ...ALWAYS,
      ok: 'going_on',
      'ask clear text': 'answers',
      'ask md5': 'answers',
      'ask SASL': 'answers',
    },
    otherwise: 'failed',
  },
  'fresh, with keys': {
    hasKeys: true,
    steps: [],
    outcome: { ...ALWAYS, ok: 'going_on', 'ask SASL': 'answers' },
    otherwise: 'failed',
  },
  'password sent': {
    steps: ['ask clear text'],
    outcome: { ...ALWAYS, ok: 'going_on' },
    otherwise: 'failed',
  },
  'md5 answer sent': {
    steps: ['ask md5'],
    outcome: { ...ALWAYS, ok: 'going_on' },
    otherwise: 'failed',
  },
  'SASL begun': { steps: ['ask SASL'], outcome: { ...ALWAYS }, otherwise: 'failed' },
  'keys being derived': {
    steps: ['ask SASL', 'challenge'],
    outcome: { ...ALWAYS },
    otherwise: 'failed',
  },
  'proof sent': {
    hasKeys: true,
    steps: ['ask SASL', 'challenge'],
    outcome: { ...ALWAYS },
    otherwise: 'failed',
  },
  'server proved': {
    hasKeys: true,
    steps: ['ask SASL', 'challenge', 'final'],
    outcome: { ...ALWAYS, ok: 'going_on' },
    otherwise: 'failed',
  },
  authenticated: {
    steps: ['ok'],
    outcome: { ...ALWAYS, key: 'going_on', ready: 'done' },
    otherwise: 'failed',
  },
  'authenticated by SASL': {
    hasKeys: true,
    steps: ['ask SASL', 'challenge', 'final', 'ok'],
    outcome: { ...ALWAYS, key: 'going_on', ready: 'done' },
    otherwise: 'failed',
  },
  done: { steps: ['ok', 'ready'], outcome: {}, otherwise: 'done' },
  refused: { steps: ['error'], outcome: {}, otherwise: 'refused' },
  failed: { steps: ['row'], outcome: {}, otherwise: 'failed' },
};
const STATE_NAMES = Object.keys(STATES);

class Login {
  result: LoginResult = { kind: 'going_on' };
  readonly sent: Buffer[] = [];
  readonly #login: ServerLogin;
  #scram: ScramServer | null = null;

  constructor({ hasKeys = false, steps }: State) {
    const { salt, iterations } = VERIFIER;
    const { clientKey, serverKey } = keysFromSaltedPassword(
      pbkdf2Sync('pencil', salt, iterations, 32, 'sha256'),
    );
    this.#login = new ServerLogin(
      {
        user: 'u',
        secret: hasKeys ? VERIFIER : PLAIN,
        keys: hasKeys ? { clientKey, serverKey, salt, iterations } : null,
        // No derivation ever ends: that state lasts.
        deriver: new PasswordDeriver({ maxInFlight: 0 }),
        random: seededRandom('states'),
      },
      (message) => this.sent.push(message),
      (result) => {
        this.result = result;
      },
    );
    for (const step of steps) {
      this.feed(this.#bytesOf(step));
    }
  }

  #bytesOf(step: MessageName | 'challenge' | 'final'): Buffer {
    if (step !== 'challenge' && step !== 'final') {
      return MESSAGES[step];
    }
    const answer = (this.sent.at(-1) ?? Buffer.alloc(0)).subarray(5);
    if (step === 'challenge') {
      this.#scram = new ScramServer(VERIFIER, 'nonce-of-the-server');
      const data = answer.subarray(answer.indexOf(0) + 5);
      const first = this.#scram.onClientFirst(data);
      return b.authentication(11, Buffer.from(first.kind === 'failed' ? '' : first.serverFirst));
    }
    const final = this.#scram?.onClientFinal(answer);
    const text = final === undefined || final.kind === 'failed' ? '' : final.serverFinal;
    return b.authentication(12, Buffer.from(text));
  }

  get state(): ServerLoginState {
    return this.#login.state;
  }

  feed(bytes: Buffer): void {
    this.result = this.#login.onData(Buffer.from(bytes));
  }

  outcomeOf(bytes: Buffer): Outcome {
    const before = this.sent.length;
    this.feed(bytes);
    return this.sent.length > before ? 'answers' : this.result.kind;
  }
}

function stateOf(name: string): State {
  const state = STATES[name];
  if (state === undefined) {
    throw new Error(`no state ${name}`);
  }
  return state;
}

describe.each(STATE_NAMES)('a login to a server, %s', (stateName) => {
  const state = stateOf(stateName);

  it.each(NAMES)('and then: %s', (name) => {
    const login = new Login(state);
    expect(login.outcomeOf(MESSAGES[name])).toBe(state.outcome[name] ?? state.otherwise);
  });

  it('and then: a message of any type without a body', () => {
    for (let code = 0; code < 256; code++) {
      const login = new Login(state);
      const outcome = login.outcomeOf(Buffer.concat([Buffer.of(code), f.int32(4)]));
      const type = String.fromCharCode(code);
      const isOver = ['done', 'refused', 'failed'].includes(stateName);
      const isHarmless = type === 'N' || type === 'v';
      const expected = type === 'E' ? 'refused' : isHarmless ? 'going_on' : 'failed';
      expect(outcome, type).toBe(isOver ? state.otherwise : expected);
    }
  });

  it('and then any two messages: only a server that has passed it is ever believed', () => {
    for (const first of NAMES) {
      for (const second of NAMES) {
        const login = new Login(state);
        login.feed(MESSAGES[first]);
        const between = login.result.kind;
        login.feed(MESSAGES[second]);
        const context = `${first}, ${second}`;
        if (between !== 'going_on') {
          expect(login.result.kind, context).toBe(between);
        }
        if (login.result.kind === 'done' && between !== 'done') {
          const isAuthenticated = /^authenticated|done/.test(stateName) || first === 'ok';
          expect(isAuthenticated, context).toBe(true);
          expect(stateName, context).not.toMatch(/SASL begun|derived|proof sent/);
        }
      }
    }
  });
});

/** Each kind of authentication request: a record, so that none can be forgotten. */
const MESSAGE_OF_CODE: Readonly<Record<keyof typeof AuthenticationCode, MessageName>> = {
  Ok: 'ok',
  CleartextPassword: 'ask clear text',
  Md5Password: 'ask md5',
  Sasl: 'ask SASL',
  SaslContinue: 'SASL challenge of another',
  SaslFinal: 'SASL final of another',
};

describe('the table above', () => {
  it('has every state that a login can be in', () => {
    const reached = STATE_NAMES.map((name) => new Login(stateOf(name)).state);
    expect([...new Set(reached)].sort()).toEqual(Object.keys(SERVER_LOGIN_STATES).sort());
  });

  it('has every kind of authentication request', () => {
    for (const [kind, name] of Object.entries(MESSAGE_OF_CODE)) {
      const code = AuthenticationCode[kind as keyof typeof AuthenticationCode];
      expect(MESSAGES[name].readInt32BE(5), kind).toBe(code);
    }
  });
});
