import { assert, assertNever } from '../base/assert.ts';
import { MAX_AUTH_MESSAGE_BYTES } from '../protocol/codes.ts';
import { SqlState } from '../protocol/sqlstate.ts';
import type {
  AuthPhase,
  LoginPhase,
  Md5Phase,
  PendingPhase,
  SaslFinalPhase,
} from './auth-phase.ts';
import type { AuthFailure, AuthStep, AuthSuccess } from './auth-step.ts';
import type { LoginPlan, Md5Plan, PlainPlan, ScramPlan } from './login-plan.ts';
import { isMd5ResponseValid, MD5_SALT_BYTES } from './md5.ts';
import { readPasswordMessage, readSaslInitialResponse } from './password-message.ts';
import type { CancelDerivation, PasswordDeriver } from './password-derivation.ts';
import { checkCleartext, type JudgedProof } from './password-proof.ts';
import { MAX_SCRAM_MESSAGE_BYTES, SCRAM_PLUS_MECHANISM } from './scram-crypto.ts';
import type { ScramKeys } from './scram-crypto.ts';
import { finishExchange, offeredMechanisms } from './scram-proof.ts';
import { ScramServer, SERVER_NONCE_BYTES } from './scram-server.ts';
import type { ScramVerifier } from './secret.ts';
import type { SystemPlan } from './system-login.ts';

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
  readonly #mechanisms: readonly string[];
  readonly #deriver: PasswordDeriver;
  readonly #random: (bytes: number) => Buffer;
  readonly #onResume: (step: AuthStep) => void;
  readonly #plan: LoginPlan;
  #state: LoginPhase = { phase: 'created' };
  /** Whether the secret has been asked for once more: that is done once. */
  #isRechecked = false;

  constructor(options: ClientAuthenticatorOptions) {
    this.#plan = options.plan;
    this.#channelBinding = options.channelBinding ?? null;
    this.#mechanisms = offeredMechanisms(this.#channelBinding);
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
    const check = checkCleartext(plan, password, this.#deriver);
    return check.kind === 'judged'
      ? this.#judgePassword(plan, password, check.proof)
      : this.#wait((settle) =>
          check.begin((outcome) => {
            settle(() =>
              outcome.kind === 'refused'
                ? this.#failOverloaded(outcome.reason)
                : this.#judgePassword(plan, password, outcome.proof),
            );
          }),
        );
  }

  #judgePassword(plan: PlainPlan, password: Buffer, proof: JudgedProof): AuthStep {
    return this.#judge(plan, proof, (newer) =>
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
    return this.#judge(plan, { isRight, keys: null }, (newer) =>
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

  #onClientFinal(state: SaslFinalPhase, body: Buffer): AuthStep {
    const outcome = finishExchange(state, body);
    switch (outcome.kind) {
      case 'proved':
        return this.#succeed(outcome.saslFinal, outcome.keys);
      case 'refused':
        return this.#failExchange(state.plan, outcome.reason);
      case 'malformed':
        return this.#failMalformed(outcome.reason, SASL_FAILED);
    }
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
    { isRight, keys }: JudgedProof,
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
