import { describe, expect, it } from 'vitest';
import { LazyVerifier } from '../../src/auth/lazy-verifier.ts';
import type { LoginPlan, PendingPlan } from '../../src/auth/login-plan.ts';
import { PasswordDeriver } from '../../src/auth/password-derivation.ts';
import { SqlState } from '../../src/protocol/sqlstate.ts';
import { ClientLogin } from '../../src/client/client-login.ts';
import { LOGIN_STATES, type LoginState } from '../../src/client/login-state.ts';
import { FrontendCode } from '../../src/protocol/codes.ts';
import { readStartupPacket, type StartupPacket } from '../../src/protocol/startup-packet.ts';
import * as f from '../support/frontend-messages.ts';
import { makeVerifier, seededRandom } from '../unit/auth/support.ts';

/** First byte of a handshake. */
const TLS_HANDSHAKE = 0x16;
const VERIFIER = makeVerifier('pencil');
const PLAIN: LoginPlan = {
  method: 'plain',
  user: 'u',
  refusal: null,
  secret: { kind: 'plain', password: 'pencil' },
};
const SLOW_PLAIN: LoginPlan = { ...PLAIN, secret: VERIFIER };
const MD5: LoginPlan = {
  method: 'md5',
  user: 'u',
  refusal: null,
  digest: `md5${'0'.repeat(32)}`,
};
const SCRAM: LoginPlan = {
  method: 'scram',
  user: 'u',
  refusal: null,
  source: { kind: 'stored', verifier: VERIFIER },
};
const TRUST: LoginPlan = { method: 'trust', isKnown: true };
/** What goes on for ever. */
const NEVER = (): (() => void) => () => undefined;
const LOOKUP: PendingPlan = { method: 'pending', wait: NEVER };
const RECHECKED: LoginPlan = { ...PLAIN, recheck: NEVER };
const SYSTEM: LoginPlan = {
  method: 'system',
  needsPassword: true,
  failedText: 'PAM authentication failed',
  failedSqlstate: SqlState.InvalidPassword,
  check: NEVER,
};
const PEER: LoginPlan = { ...SYSTEM, needsPassword: false };
/** No derivation ever ends: that state lasts. */
const STUCK = new PasswordDeriver({ maxInFlight: 0 });
const LAZY: LoginPlan = {
  ...SCRAM,
  source: {
    kind: 'derived',
    lazy: new LazyVerifier({
      deriver: STUCK,
      password: 'pencil',
      salt: Buffer.alloc(16),
      iterations: 16,
    }),
  },
};

const CLIENT_FIRST = 'n,,n=,r=abcdefghijklmnopqrstuvwx';

/** Everything that a client can send, one of each kind. */
const MESSAGES = {
  startup: f.startupMessage({ user: 'u', database: 'd' }),
  'startup of another': f.startupMessage({ user: 'admin', database: 'd' }),
  ssl: f.sslRequest(),
  gssenc: f.gssEncRequest(),
  cancel: f.cancelRequest(7, Buffer.alloc(4)),
  'right password': f.passwordMessage('pencil'),
  'wrong password': f.passwordMessage('wrong'),
  'empty password': f.passwordMessage(''),
  'sasl initial': f.saslInitialResponse('SCRAM-SHA-256', CLIENT_FIRST),
  'sasl without data': f.saslInitialResponse('SCRAM-SHA-256', null),
  'sasl of another kind': f.saslInitialResponse('SCRAM-SHA-256-PLUS', CLIENT_FIRST),
  'sasl first': f.saslResponse(CLIENT_FIRST),
  'sasl rubbish': f.saslResponse('c=biws,r=x,p=AAAA'),
  query: f.query('SELECT 1'),
  terminate: f.terminate(),
  'short length': f.messageWithLength('p', 3),
  'long length': f.messageWithLength('p', 65_540),
  'startup of version 2': Buffer.concat([f.int32(9), f.int32(0x0002_0000), Buffer.of(0)]),
  rubbish: Buffer.alloc(8, 0xa5),
  'tls hello': Buffer.from('16030100400100003c0303', 'hex'),
} as const;
type MessageName = keyof typeof MESSAGES;
const NAMES = Object.keys(MESSAGES) as MessageName[];

interface State {
  readonly plan: LoginPlan | PendingPlan;
  /** What leads to it. */
  readonly before: readonly MessageName[];
  readonly isHeld?: boolean;
  readonly isDisposed?: boolean;
  readonly isTlsOffered?: boolean;
  /** What the message brings about; an empty text is nothing at all. */
  readonly outcome: Partial<Record<MessageName, string>>;
  readonly otherwise: string;
}

const HEADER = 'refused badPacketHeader';
const REPEATED = 'refused startupRepeated';
const OLD = { 'startup of version 2': 'refused oldProtocol' } as const;
const WRONG = 'refused 28P01';
const MALFORMED = 'refused 08P01';
const NO_STARTUP = {
  startup: REPEATED,
  'startup of another': REPEATED,
  ssl: REPEATED,
  gssenc: REPEATED,
  cancel: REPEATED,
  'startup of version 2': REPEATED,
} as const;
const PASSWORDS = {
  ...NO_STARTUP,
  'empty password': WRONG,
  'wrong password': WRONG,
  'sasl initial': MALFORMED,
  'sasl without data': MALFORMED,
  'sasl of another kind': MALFORMED,
  'sasl first': MALFORMED,
  'sasl rubbish': MALFORMED,
} as const;

/** Something is under way: no proof may come. */
const BUSY = {
  ...PASSWORDS,
  'right password': MALFORMED,
  'wrong password': MALFORMED,
  'empty password': MALFORMED,
} as const;

/** The whole machine: what each message does in each state. */
const STATES: Readonly<Record<string, State>> = {
  fresh: {
    plan: PLAIN,
    before: [],
    outcome: {
      ...OLD,
      startup: 'startup, send R',
      'startup of another': 'startup, send R',
      ssl: 'send N',
      gssenc: 'send N',
      cancel: 'cancel',
    },
    otherwise: HEADER,
  },
  'after SSLRequest': {
    plan: PLAIN,
    before: ['ssl'],
    outcome: {
      ...OLD,
      startup: 'startup, send R',
      'startup of another': 'startup, send R',
      gssenc: 'send N',
      cancel: 'cancel',
    },
    otherwise: HEADER,
  },
  'after GSSENCRequest': {
    plan: PLAIN,
    before: ['gssenc'],
    outcome: {
      ...OLD,
      startup: 'startup, send R',
      'startup of another': 'startup, send R',
      ssl: 'send N',
      cancel: 'cancel',
    },
    otherwise: HEADER,
  },
  'after both': {
    plan: PLAIN,
    before: ['gssenc', 'ssl'],
    outcome: {
      ...OLD,
      startup: 'startup, send R',
      'startup of another': 'startup, send R',
      cancel: 'cancel',
    },
    otherwise: HEADER,
  },
  'fresh, where TLS is offered': {
    plan: PLAIN,
    before: [],
    isTlsOffered: true,
    outcome: {
      ...OLD,
      startup: 'startup, send R',
      'startup of another': 'startup, send R',
      ssl: 'send S, tls',
      gssenc: 'send N',
      cancel: 'cancel',
      'tls hello': 'tls',
    },
    otherwise: HEADER,
  },
  'after GSSENCRequest, where TLS is offered': {
    plan: PLAIN,
    before: ['gssenc'],
    isTlsOffered: true,
    outcome: {
      ...OLD,
      startup: 'startup, send R',
      'startup of another': 'startup, send R',
      ssl: 'send S, tls',
      cancel: 'cancel',
    },
    otherwise: HEADER,
  },
  'inside TLS': {
    plan: PLAIN,
    before: ['ssl'],
    isTlsOffered: true,
    outcome: {
      ...OLD,
      startup: 'startup, send R',
      'startup of another': 'startup, send R',
      gssenc: 'send N',
      cancel: 'cancel',
    },
    otherwise: HEADER,
  },
  'inside TLS that was begun at once': {
    plan: PLAIN,
    before: ['tls hello'],
    isTlsOffered: true,
    outcome: {
      ...OLD,
      startup: 'startup, send R',
      'startup of another': 'startup, send R',
      gssenc: 'send N',
      cancel: 'cancel',
    },
    otherwise: HEADER,
  },
  'being looked up': { plan: LOOKUP, before: ['startup'], outcome: {}, otherwise: '' },
  'waiting for its turn': {
    plan: PLAIN,
    before: ['startup'],
    isHeld: true,
    outcome: {},
    otherwise: '',
  },
  'clear text asked': {
    plan: PLAIN,
    before: ['startup'],
    outcome: { ...PASSWORDS, 'right password': 'authenticated' },
    otherwise: HEADER,
  },
  'md5 asked': {
    plan: MD5,
    before: ['startup'],
    outcome: { ...PASSWORDS, 'right password': WRONG },
    otherwise: HEADER,
  },
  'SASL asked': {
    plan: SCRAM,
    before: ['startup'],
    outcome: {
      ...PASSWORDS,
      'right password': MALFORMED,
      'wrong password': MALFORMED,
      'empty password': MALFORMED,
      'sasl initial': 'send R',
      'sasl without data': 'send R',
    },
    otherwise: HEADER,
  },
  'SASL asked again': {
    plan: SCRAM,
    before: ['startup', 'sasl without data'],
    outcome: {
      ...PASSWORDS,
      'right password': MALFORMED,
      'wrong password': MALFORMED,
      'empty password': MALFORMED,
      'sasl first': 'send R',
    },
    otherwise: HEADER,
  },
  'SASL challenge sent': {
    plan: SCRAM,
    before: ['startup', 'sasl initial'],
    outcome: {
      ...PASSWORDS,
      'right password': MALFORMED,
      'wrong password': MALFORMED,
      'empty password': MALFORMED,
    },
    otherwise: HEADER,
  },
  'keys being derived': {
    plan: SLOW_PLAIN,
    before: ['startup', 'right password'],
    outcome: BUSY,
    otherwise: HEADER,
  },
  'verifier being made': {
    plan: LAZY,
    before: ['startup', 'sasl initial'],
    outcome: BUSY,
    otherwise: HEADER,
  },
  'secret being asked for again': {
    plan: RECHECKED,
    before: ['startup', 'wrong password'],
    outcome: BUSY,
    otherwise: HEADER,
  },
  'clear text asked for somebody else': {
    plan: SYSTEM,
    before: ['startup'],
    outcome: { ...PASSWORDS, 'right password': '', 'wrong password': '' },
    otherwise: HEADER,
  },
  'password being judged by somebody else': {
    plan: SYSTEM,
    before: ['startup', 'right password'],
    outcome: BUSY,
    otherwise: HEADER,
  },
  'system user being looked up': {
    plan: PEER,
    before: ['startup'],
    outcome: BUSY,
    otherwise: HEADER,
  },
  authenticated: { plan: TRUST, before: ['startup'], outcome: {}, otherwise: '' },
  refused: { plan: PLAIN, before: ['rubbish'], outcome: {}, otherwise: '' },
  'refused in its proof': {
    plan: PLAIN,
    before: ['startup', 'wrong password'],
    outcome: {},
    otherwise: '',
  },
  'cancel request': { plan: PLAIN, before: ['cancel'], outcome: {}, otherwise: '' },
  gone: { plan: PLAIN, before: ['startup'], isDisposed: true, outcome: {}, otherwise: '' },
};
const STATE_NAMES = Object.keys(STATES);

class Login {
  readonly events: string[] = [];
  readonly users: string[] = [];
  readonly #login: ClientLogin;

  constructor(state: State) {
    const { plan, before, isHeld = false, isDisposed = false } = state;
    let isOffered = state.isTlsOffered ?? false;
    this.#login = new ClientLogin(
      {
        send: (message) => {
          this.events.push(`send ${String.fromCharCode(message[0] ?? 0)}`);
        },
        get security() {
          return { channelBinding: null, isOffered };
        },
        startTls: () => {
          isOffered = false;
          this.events.push('tls');
        },
        gate: () => (isHeld ? 'hold' : 'go'),
        onStartup: ({ parameters }) => {
          this.users.push(parameters.get('user') ?? '');
          this.events.push('startup');
          return plan;
        },
        onCancelRequest: () => {
          this.events.push('cancel');
        },
        onAuthenticated: () => {
          this.events.push('authenticated');
        },
        onRefused: ({ reason, sqlstate }) => {
          const isProof = reason === 'authenticationFailed';
          this.events.push(`refused ${isProof ? sqlstate : reason}`);
        },
      },
      { deriver: STUCK, randomBytes: seededRandom('states') },
    );
    for (const name of before) {
      this.feed(MESSAGES[name]);
    }
    if (isDisposed) {
      this.#login.dispose();
    }
  }

  get state(): LoginState {
    return this.#login.state;
  }

  feed(bytes: Buffer): void {
    this.#login.onData(Buffer.from(bytes));
  }

  proceed(): void {
    this.#login.proceed();
  }

  /** What a message brings about. */
  async eventsOf(bytes: Buffer): Promise<string> {
    const before = this.events.length;
    this.feed(bytes);
    await Promise.resolve();
    return this.events.slice(before).join(', ');
  }

  /** Ends of the login so far: there may be one. */
  get endCount(): number {
    return this.events.filter((event) => /^(refused|cancel|authenticated)/.test(event)).length;
  }
}

function stateOf(name: string): State {
  const state = STATES[name];
  if (state === undefined) {
    throw new Error(`no state ${name}`);
  }
  return state;
}

async function reach(name: string): Promise<Login> {
  const login = new Login(stateOf(name));
  await Promise.resolve();
  return login;
}

describe.each(STATE_NAMES)('a client login, %s', (stateName) => {
  const state = stateOf(stateName);

  it.each(NAMES)('and then: %s', async (name) => {
    const login = await reach(stateName);
    const expected = state.outcome[name] ?? state.otherwise;
    expect(await login.eventsOf(MESSAGES[name])).toBe(expected);
  });

  it('and then: a message of any type without a body', async () => {
    for (let code = 0; code < 256; code++) {
      const login = await reach(stateName);
      const events = await login.eventsOf(Buffer.concat([Buffer.of(code), f.int32(4)]));
      if (code === TLS_HANDSHAKE && state.outcome['tls hello'] === 'tls') {
        expect(events).toBe('tls');
        continue;
      }
      const isStartupPhase = state.outcome.startup === 'startup, send R';
      const isDead = state.otherwise === '';
      const refusal = code === 0x70 ? MALFORMED : code === 0 ? REPEATED : HEADER;
      expect(events, String(code)).toBe(isDead ? '' : isStartupPhase ? HEADER : refusal);
    }
  });

  it('and then any two messages: it ends at most once, and is at most one user', async () => {
    for (const first of NAMES) {
      for (const second of NAMES) {
        const login = await reach(stateName);
        await login.eventsOf(MESSAGES[first]);
        await login.eventsOf(MESSAGES[second]);
        const context = `${first}, ${second}: ${login.events.join()}`;
        expect(login.endCount, context).toBeLessThanOrEqual(1);
        expect(login.users.length, context).toBeLessThanOrEqual(1);
      }
    }
  });
});

/** Each kind of startup packet: a record, so that none can be forgotten. */
const PACKET_OF_KIND: Readonly<Record<StartupPacket['kind'], MessageName>> = {
  ssl: 'ssl',
  gssenc: 'gssenc',
  cancel: 'cancel',
  startup: 'startup',
  bad: 'startup of version 2',
};

describe('the table above', () => {
  it('has every state that a login can be in', async () => {
    const reached = await Promise.all(STATE_NAMES.map(async (name) => (await reach(name)).state));
    expect([...new Set(reached)].sort()).toEqual([...LOGIN_STATES].sort());
  });

  it('has every kind of startup packet, and every message of a proof', () => {
    for (const [kind, name] of Object.entries(PACKET_OF_KIND)) {
      expect(readStartupPacket(MESSAGES[name]).kind).toBe(kind);
    }
    // The other type bytes are tried one by one, all 256 of them.
    const typed = NAMES.filter((name) => MESSAGES[name][0] === FrontendCode.Password);
    expect(typed).toEqual(expect.arrayContaining(['right password', 'sasl initial', 'sasl first']));
  });
});

/** All orders of some names. */
function ordersOf(names: readonly MessageName[]): MessageName[][] {
  return names.length === 0
    ? [[]]
    : names.flatMap((name) =>
        ordersOf(names.filter((other) => other !== name)).map((rest) => [name, ...rest]),
      );
}

describe('CVE-2026-107350: startup packets after the first StartupMessage', () => {
  const packets: MessageName[] = ['startup of another', 'ssl', 'gssenc', 'cancel'];
  const inside = STATE_NAMES.filter((name) => stateOf(name).outcome.startup === REPEATED);

  it.each(inside)('never change who the client is, in any order: %s', async (name) => {
    for (const order of ordersOf(packets)) {
      const login = await reach(name);
      for (const packet of order) {
        await login.eventsOf(MESSAGES[packet]);
      }
      await login.eventsOf(MESSAGES['right password']);
      expect(login.users).toEqual(['u']);
      expect(login.events.at(-1)).toBe(REPEATED);
    }
  });

  it.each(ordersOf(packets))(
    'nor while it waits for its turn: %s, %s, %s, %s',
    async (...order) => {
      const login = await reach('waiting for its turn');
      for (const packet of order) {
        login.feed(MESSAGES[packet]);
      }
      login.proceed();
      await Promise.resolve();
      expect(login.users).toEqual(['u']);
      expect(login.events).toEqual(['startup', 'send R', REPEATED]);
    },
  );
});

describe('a client login whose turn comes', () => {
  it('goes on with what came meanwhile', async () => {
    const login = await reach('waiting for its turn');
    login.feed(MESSAGES['right password']);
    login.proceed();
    await Promise.resolve();
    expect(login.events).toEqual(['startup', 'send R', 'authenticated']);
  });

  it('does so once', async () => {
    const login = await reach('waiting for its turn');
    login.proceed();
    login.proceed();
    expect(login.events).toEqual(['startup', 'send R']);
  });

  it('keeps no more than one message meanwhile', async () => {
    const login = await reach('waiting for its turn');
    login.feed(Buffer.alloc(60_000));
    login.feed(Buffer.alloc(10_000));
    expect(login.events).toEqual(['refused tooMuchLoginData']);
    login.proceed();
    expect(login.users).toEqual([]);
  });
});
