import { assert, assertNever } from '../base/assert.ts';
import { MAX_AUTH_MESSAGE_BYTES } from '../protocol/codes.ts';
import { SqlState } from '../protocol/sqlstate.ts';
import { isEqualConstantTime, isSecretEqual } from './constant-time.ts';
import type { LoginPlan, Md5Plan, PlainPlan, ScramPlan } from './login-plan.ts';
import { isMd5ResponseValid, MD5_SALT_BYTES, md5Digest } from './md5.ts';
import { readPasswordMessage, readSaslInitialResponse } from './password-message.ts';
import type { CancelDerivation, Derivation, PasswordDeriver } from './password-derivation.ts';
import {
  keysFromSaltedPassword,
  MAX_SCRAM_MESSAGE_BYTES,
  SCRAM_MECHANISM,
  SCRAM_PLUS_MECHANISM,
} from './scram-crypto.ts';
import type { ScramKeys } from './scram-crypto.ts';
import { ScramServer, SERVER_NONCE_BYTES } from './scram-server.ts';
import type { ScramVerifier } from './secret.ts';
import type { SystemPlan } from './system-login.ts';

/** An authentication request to send to the client. */
export type AuthenticationRequest =
  | { readonly type: 'cleartext' }
  | { readonly type: 'md5'; readonly salt: Buffer }
  | { readonly type: 'sasl'; readonly mechanisms: readonly string[] }
  | { readonly type: 'sasl-continue'; readonly data: string };

/** What the connection is to do next. */
export type AuthStep =
  | { readonly kind: 'send'; readonly authentication: AuthenticationRequest }
  /** Nothing yet: another step comes through `onResume`. */
  | { readonly kind: 'pending' }
  | AuthSuccess
  | AuthFailure;

/** The client is who it says. */
export interface AuthSuccess {
  readonly kind: 'ok';
  /** Data of AuthenticationSASLFinal to send before AuthenticationOk; `null` for none. */
  readonly saslFinal: string | null;
  /** Keys of the stored SCRAM verifier that the client has just proved; `null` for none. */
  readonly scramKeys: ScramKeys | null;
}

/** The login has failed and the connection is to be closed. */
export interface AuthFailure {
  readonly kind: 'failed';
  /** The true reason, for the log only: it tells unknown users from wrong passwords. */
  readonly reason: string;
  /** The text for the client. */
  readonly message: string;
  readonly sqlstate: SqlState;
}

/** What a {@link ClientAuthenticator} needs from outside. */
export interface ClientAuthenticatorOptions {
  readonly plan: LoginPlan;
  /** Data of tls-server-end-point of the connection; null, as by default: it is not offered. */
  readonly channelBinding?: Buffer | null;
  readonly deriver: PasswordDeriver;
  /** Cryptographically strong random bytes. */
  readonly random: (bytes: number) => Buffer;
  /** Takes the step that follows a `pending` one. Not called after `dispose`. */
  readonly onResume: (step: AuthStep) => void;
}

/** A PasswordMessage is awaited, in clear text. */
interface PlainPhase {
  readonly phase: 'plain';
  readonly plan: PlainPlan;
}
/** A PasswordMessage is awaited, in clear text, for the system to judge. */
interface SystemPhase {
  readonly phase: 'system';
  readonly plan: SystemPlan;
}
/** A PasswordMessage is awaited, the answer to `salt`. */
interface Md5Phase {
  readonly phase: 'md5';
  readonly plan: Md5Plan;
  readonly salt: Buffer;
}
/** A SASLInitialResponse is awaited. */
interface SaslInitialPhase {
  readonly phase: 'sasl-initial';
  readonly plan: ScramPlan;
}
/** A SASLResponse with client-first-message is awaited: the initial response was without data. */
interface SaslFirstPhase {
  readonly phase: 'sasl-first';
  readonly plan: ScramPlan;
  /** Whether the client chose channel binding. */
  readonly isBound: boolean;
}
/** A SASLResponse with client-final-message is awaited. */
interface SaslFinalPhase {
  readonly phase: 'sasl-final';
  readonly plan: ScramPlan;
  readonly verifier: ScramVerifier;
  readonly exchange: ScramServer;
}
/** No message may come: a derivation or a check by the system is running. */
interface PendingPhase {
  readonly phase: 'pending';
  readonly cancel: CancelDerivation;
}
interface QuietPhase {
  readonly phase: 'created' | 'closed';
}
type Phase =
  | PlainPhase
  | SystemPhase
  | Md5Phase
  | SaslInitialPhase
  | SaslFirstPhase
  | SaslFinalPhase
  | PendingPhase
  | QuietPhase;

/** The phases of a {@link ClientAuthenticator}. */
export type AuthPhase = Phase['phase'];

/** All phases: a record, so that none can be forgotten. */
export const AUTH_PHASES: Readonly<Record<AuthPhase, true>> = {
  created: true,
  plain: true,
  system: true,
  md5: true,
  'sasl-initial': true,
  'sasl-first': true,
  'sasl-final': true,
  pending: true,
  closed: true,
};

const NOTHING = (): void => undefined;
const NO_PASSWORD = Buffer.alloc(0);

const PASSWORD_FAILED = 'password authentication failed';
const SASL_FAILED = 'SASL authentication failed';

/**
 * Checks the login of one client, as a state machine over its `p` messages; it knows no socket.
 *
 * Total: every message in every state has an answer, and none throws. A failure, or an `ok`, is the
 * last step.
 *
 * @source PostgreSQL manual, "Message Flow: Start-up"
 */
export class ClientAuthenticator {
  readonly #channelBinding: Buffer | null;
  readonly #deriver: PasswordDeriver;
  readonly #random: (bytes: number) => Buffer;
  readonly #onResume: (step: AuthStep) => void;
  readonly #plan: LoginPlan;
  #state: Phase = { phase: 'created' };
  /** Whether the secret has been asked for once more: that is done once. */
  #isRechecked = false;

  constructor(options: ClientAuthenticatorOptions) {
    this.#plan = options.plan;
    this.#channelBinding = options.channelBinding ?? null;
    this.#deriver = options.deriver;
    this.#random = options.random;
    this.#onResume = options.onResume;
  }

  /** What it waits for. */
  get phase(): AuthPhase {
    return this.#state.phase;
  }

  /** Begins the exchange. To be called once. */
  start(): AuthStep {
    assert(this.#state.phase === 'created', 'an authenticator starts once');
    const plan = this.#plan;
    switch (plan.method) {
      case 'trust':
        return plan.isKnown
          ? this.#succeed(null, null)
          : this.#fail('no such user', '"trust" authentication failed');
      case 'plain':
        this.#state = { phase: 'plain', plan };
        return { kind: 'send', authentication: { type: 'cleartext' } };
      case 'md5': {
        const salt = this.#random(MD5_SALT_BYTES);
        this.#state = { phase: 'md5', plan, salt };
        return { kind: 'send', authentication: { type: 'md5', salt } };
      }
      case 'system':
        if (!plan.needsPassword) {
          return this.#askSystem(plan, NO_PASSWORD);
        }
        this.#state = { phase: 'system', plan };
        return { kind: 'send', authentication: { type: 'cleartext' } };
      case 'scram':
        this.#state = { phase: 'sasl-initial', plan };
        return { kind: 'send', authentication: { type: 'sasl', mechanisms: this.#mechanisms } };
      case 'reject':
        return this.#fail(plan.reason, plan.failedText, plan.failedSqlstate);
      default:
        return assertNever(plan);
    }
  }

  /**
   * Takes a `p` message: PasswordMessage, SASLInitialResponse or SASLResponse.
   *
   * @param body - Behind type byte and length. Borrowed.
   */
  onMessage(body: Buffer): AuthStep {
    const state = this.#state;
    if (body.length > MAX_AUTH_MESSAGE_BYTES) {
      return this.#failMalformed('authentication message too long');
    }
    switch (state.phase) {
      case 'plain':
        return this.#onCleartext(state.plan, body);
      case 'system':
        return this.#onSystemPassword(state.plan, body);
      case 'md5':
        return this.#onMd5Response(state, body);
      case 'sasl-initial':
        return this.#onSaslInitialResponse(state.plan, body);
      case 'sasl-first':
        return this.#onClientFirst(state.plan, state.isBound, body);
      case 'sasl-final':
        return this.#onClientFinal(state, body);
      case 'pending':
      case 'created':
      case 'closed':
        return this.#failMalformed('authentication message out of order');
      default:
        return assertNever(state);
    }
  }

  /** What is offered, the better one first. */
  get #mechanisms(): readonly string[] {
    return this.#channelBinding === null
      ? [SCRAM_MECHANISM]
      : [SCRAM_PLUS_MECHANISM, SCRAM_MECHANISM];
  }

  /** Gives up: the client is gone. No step follows. */
  dispose(): void {
    this.#close();
  }

  #onCleartext(plan: PlainPlan, body: Buffer): AuthStep {
    const password = readPasswordMessage(body);
    if (password === null) {
      return this.#failMalformed('malformed PasswordMessage');
    }
    if (password.length === 0) {
      return this.#failEmpty();
    }
    return this.#checkPassword(plan, Buffer.from(password));
  }

  /** @param password - owned. */
  #checkPassword(plan: PlainPlan, password: Buffer): AuthStep {
    const { secret } = plan;
    switch (secret.kind) {
      case 'plain': {
        const isRight = isSecretEqual(password, Buffer.from(secret.password, 'utf8'));
        return this.#judgePassword(plan, password, isRight, null);
      }
      case 'md5': {
        const digest = Buffer.from(md5Digest(password, plan.user), 'latin1');
        const isRight = isEqualConstantTime(digest, Buffer.from(secret.digest, 'latin1'));
        return this.#judgePassword(plan, password, isRight, null);
      }
      case 'scram':
        return this.#wait((settle) => {
          const request = { password, salt: secret.salt, iterations: secret.iterations };
          return this.#deriver.derive(request, (derivation) => {
            settle(() => this.#onDerived(plan, password, secret, derivation));
          });
        });
      default:
        return assertNever(secret);
    }
  }

  #onDerived(
    plan: PlainPlan,
    password: Buffer,
    verifier: ScramVerifier,
    derivation: Derivation,
  ): AuthStep {
    if (derivation.kind === 'refused') {
      return this.#failOverloaded(derivation.reason);
    }
    const keys = keysFromSaltedPassword(derivation.saltedPassword);
    const { clientKey, serverKey } = keys;
    const { salt, iterations } = verifier;
    const isRight = isEqualConstantTime(keys.storedKey, verifier.storedKey);
    const scramKeys = { clientKey, serverKey, salt, iterations };
    return this.#judgePassword(plan, password, isRight, scramKeys);
  }

  #judgePassword(
    plan: PlainPlan,
    password: Buffer,
    isRight: boolean,
    keys: ScramKeys | null,
  ): AuthStep {
    return this.#judge(plan, isRight, keys, (newer) =>
      newer.method === 'plain' ? this.#checkPassword(newer, password) : null,
    );
  }

  #onMd5Response({ plan, salt }: Md5Phase, body: Buffer): AuthStep {
    const response = readPasswordMessage(body);
    if (response === null) {
      return this.#failMalformed('malformed PasswordMessage');
    }
    if (response.length === 0) {
      return this.#failEmpty();
    }
    return this.#checkMd5(plan, salt, Buffer.from(response));
  }

  /** @param response - owned. */
  #checkMd5(plan: Md5Plan, salt: Buffer, response: Buffer): AuthStep {
    const isRight = isMd5ResponseValid(response, plan.digest, salt);
    return this.#judge(plan, isRight, null, (newer) =>
      newer.method === 'md5' ? this.#checkMd5(newer, salt, response) : null,
    );
  }

  #onSaslInitialResponse(plan: ScramPlan, body: Buffer): AuthStep {
    const response = readSaslInitialResponse(body);
    if (response === null) {
      return this.#failMalformed('malformed SASLInitialResponse', SASL_FAILED);
    }
    if (!this.#mechanisms.includes(response.mechanism)) {
      return this.#failMalformed(
        'client chose a SASL mechanism that was not offered',
        'client selected an invalid SASL authentication mechanism',
      );
    }
    const isBound = response.mechanism === SCRAM_PLUS_MECHANISM;
    if (response.data === null) {
      // The client wants to be asked first; the empty challenge does that.
      this.#state = { phase: 'sasl-first', plan, isBound };
      return { kind: 'send', authentication: { type: 'sasl-continue', data: '' } };
    }
    return this.#onClientFirst(plan, isBound, response.data);
  }

  #onClientFirst(plan: ScramPlan, isBound: boolean, data: Buffer): AuthStep {
    const { source } = plan;
    const verifier = source.kind === 'stored' ? source.verifier : source.lazy.current;
    if (verifier !== null) {
      return this.#beginExchange(plan, isBound, verifier, data);
    }
    assert(source.kind === 'derived', 'only a derived verifier may be missing');
    if (data.length > MAX_SCRAM_MESSAGE_BYTES) {
      return this.#failMalformed('client-first-message too long', SASL_FAILED);
    }
    const kept = Buffer.from(data);
    return this.#wait((settle) =>
      source.lazy.resolve((outcome) => {
        settle(() =>
          outcome.kind === 'refused'
            ? this.#failOverloaded(outcome.reason)
            : this.#beginExchange(plan, isBound, outcome.verifier, kept),
        );
      }),
    );
  }

  #beginExchange(
    plan: ScramPlan,
    isBound: boolean,
    verifier: ScramVerifier,
    data: Buffer,
  ): AuthStep {
    const nonce = this.#random(SERVER_NONCE_BYTES).toString('base64');
    const binding = { data: this.#channelBinding, isChosen: isBound };
    const exchange = new ScramServer(verifier, nonce, binding);
    const first = exchange.onClientFirst(data);
    if (first.kind === 'failed') {
      return this.#failMalformed(first.reason, SASL_FAILED);
    }
    this.#state = { phase: 'sasl-final', plan, verifier, exchange };
    return { kind: 'send', authentication: { type: 'sasl-continue', data: first.serverFirst } };
  }

  #onClientFinal({ plan, verifier, exchange }: SaslFinalPhase, body: Buffer): AuthStep {
    const final = exchange.onClientFinal(body);
    if (final.kind === 'failed') {
      return final.isMalformed
        ? this.#failMalformed(final.reason, SASL_FAILED)
        : this.#failExchange(plan, plan.refusal ?? final.reason);
    }
    if (plan.refusal !== null) {
      return this.#failExchange(plan, plan.refusal);
    }
    const { salt, iterations, serverKey } = verifier;
    const { clientKey, serverFinal } = final;
    // Keys of a derived verifier are of no use: its salt is our own, PostgreSQL has another.
    const isStored = plan.source.kind === 'stored';
    return this.#succeed(serverFinal, isStored ? { clientKey, serverKey, salt, iterations } : null);
  }

  /**
   * Enters the pending phase around an asynchronous call.
   *
   * @param begin - Starts the call and returns how to cancel it; hands its continuation to `settle`.
   */
  #wait(begin: (settle: (next: () => AuthStep) => void) => CancelDerivation): AuthStep {
    const cancel = begin((next) => {
      // A late answer to a client that has failed or gone meanwhile finds another phase.
      if (this.#state === pending) {
        this.#onResume(next());
      }
    });
    const pending: PendingPhase = { phase: 'pending', cancel };
    this.#state = pending;
    return { kind: 'pending' };
  }

  #onSystemPassword(plan: SystemPlan, body: Buffer): AuthStep {
    const password = readPasswordMessage(body);
    if (password === null) {
      return this.#failMalformed('malformed PasswordMessage');
    }
    return password.length === 0 ? this.#failEmpty() : this.#askSystem(plan, password);
  }

  #askSystem(plan: SystemPlan, password: Buffer): AuthStep {
    return this.#wait((settle) =>
      plan.check(password, (verdict) => {
        settle(() => {
          switch (verdict.kind) {
            case 'accepted':
              return this.#succeed(null, null);
            case 'refused':
              return this.#fail(verdict.reason, plan.failedText, plan.failedSqlstate);
            case 'overloaded':
              return this.#failOverloaded(verdict.reason);
          }
        });
      }),
    );
  }

  /**
   * @param again - Checks the same proof by a newer plan; null when that asks for another one.
   */
  #judge(
    plan: PlainPlan | Md5Plan,
    isRight: boolean,
    keys: ScramKeys | null,
    again: (newer: LoginPlan) => AuthStep | null,
  ): AuthStep {
    if (isRight && plan.refusal === null) {
      return this.#succeed(null, keys);
    }
    const fail = (): AuthFailure => this.#fail(plan.refusal ?? 'wrong password', PASSWORD_FAILED);
    const { recheck } = plan;
    if (recheck === undefined || this.#isRechecked) {
      return fail();
    }
    this.#isRechecked = true;
    const asked: { cancel: CancelDerivation | null } = { cancel: null };
    const step = this.#wait((settle) => {
      asked.cancel = recheck((newer) => {
        settle(() => (newer === null ? null : again(newer)) ?? fail());
      });
      return asked.cancel ?? NOTHING;
    });
    return asked.cancel === null ? fail() : step;
  }

  /**
   * The salt that the client has been given is that of the old secret, so this exchange cannot be
   * saved: the newer secret is for the next attempt.
   */
  #failExchange(plan: ScramPlan, reason: string): AuthFailure {
    plan.recheck?.(NOTHING);
    return this.#fail(reason, SASL_FAILED);
  }

  #succeed(saslFinal: string | null, scramKeys: ScramKeys | null): AuthSuccess {
    this.#close();
    return { kind: 'ok', saslFinal, scramKeys };
  }

  #failEmpty(): AuthFailure {
    return this.#fail('empty password', 'empty password returned by client');
  }

  #failOverloaded(reason: string): AuthFailure {
    return this.#fail(reason, 'bouncer resources exhaustion', SqlState.TooManyConnections);
  }

  #failMalformed(reason: string, message: string = this.#failedText()): AuthFailure {
    return this.#fail(reason, message, SqlState.ProtocolViolation);
  }

  #failedText(): string {
    const plan = this.#plan;
    switch (plan.method) {
      case 'scram':
        return SASL_FAILED;
      case 'system':
      case 'reject':
        return plan.failedText;
      default:
        return PASSWORD_FAILED;
    }
  }

  #fail(
    reason: string,
    message: string,
    sqlstate: SqlState = SqlState.InvalidPassword,
  ): AuthFailure {
    this.#close();
    return { kind: 'failed', reason, message, sqlstate };
  }

  #close(): void {
    if (this.#state.phase === 'pending') {
      this.#state.cancel();
    }
    this.#state = { phase: 'closed' };
  }
}
