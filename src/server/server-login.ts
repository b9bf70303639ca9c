import type { ServerCredential } from '../auth/credentials.ts';
import {
  ServerAuthenticator,
  type ServerAuthenticatorOptions,
  type ServerAuthPhase,
  type ServerAuthStep,
} from '../auth/server-authenticator.ts';
import {
  readBackendKeyData,
  readParameterStatus,
  readServerReport,
  type CancelKey,
  type ServerReport,
} from '../protocol/backend-reader.ts';
import {
  AuthenticationCode,
  BackendCode,
  FrontendCode,
  HEADER_BYTES,
  MAX_AUTH_MESSAGE_BYTES,
} from '../protocol/codes.ts';
import { MessageAssembler } from '../protocol/message-assembler.ts';

/** Most parameters that a server may report while it logs us in. */
const MAX_PARAMETERS = 500;

/** How a login stands. */
export type LoginResult =
  | { readonly kind: 'going_on' }
  /** ReadyForQuery has come; `rest` are the bytes behind it, owned, or null. */
  | { readonly kind: 'done'; readonly rest: Buffer | null }
  /** The server refused. */
  | { readonly kind: 'refused'; readonly report: ServerReport }
  /** maitred refuses to go on. */
  | {
      readonly kind: 'failed';
      readonly message: string;
      readonly reason: string;
      /** What the operator can do about it; null for nothing in particular. */
      readonly hint: string | null;
    };

const GOING_ON: LoginResult = { kind: 'going_on' };

/** Where the login of a server connection stands. */
export type ServerLoginState =
  Exclude<LoginResult['kind'], 'going_on'> | 'authenticated' | Exclude<ServerAuthPhase, 'closed'>;

/** All states, for the test of every message in every state: a record, so that none can be forgotten. */
export const SERVER_LOGIN_STATES: Readonly<Record<ServerLoginState, true>> = {
  start: true,
  answered: true,
  'sasl-first': true,
  pending: true,
  'sasl-final': true,
  verified: true,
  authenticated: true,
  done: true,
  refused: true,
  failed: true,
};

/**
 * The login of one server connection, from the startup message to the first ReadyForQuery: a state
 * machine over bytes, without a socket. Everything a server may send wrong ends in a result.
 */
export class ServerLogin {
  readonly parameters = new Map<string, string>();
  cancelKey: CancelKey | null = null;
  readonly #assembler = new MessageAssembler(MAX_AUTH_MESSAGE_BYTES + HEADER_BYTES);
  readonly #authenticator: ServerAuthenticator;
  readonly #send: (message: Buffer) => void;
  #isAuthenticated = false;
  #result: LoginResult = GOING_ON;

  /**
   * @param send - writes an owned message to the server.
   * @param onFailedLater - gets a failure found after an asynchronous derivation.
   */
  constructor(
    options: Omit<ServerAuthenticatorOptions, 'onResume'>,
    send: (message: Buffer) => void,
    onFailedLater: (result: LoginResult) => void,
  ) {
    this.#send = send;
    this.#authenticator = new ServerAuthenticator({
      ...options,
      onResume: (step) => {
        this.#onStep(step);
        if (this.#result.kind !== 'going_on') {
          onFailedLater(this.#result);
        }
      },
    });
  }

  /** Where it stands: before AuthenticationOk in a phase of the proof, then up to its result. */
  get state(): ServerLoginState {
    if (this.#result.kind !== 'going_on') {
      return this.#result.kind;
    }
    if (this.#isAuthenticated) {
      return 'authenticated';
    }
    const { phase } = this.#authenticator;
    return phase === 'closed' ? 'failed' : phase;
  }

  /** Takes bytes of the server. @param chunk - borrowed. */
  onData(chunk: Buffer): LoginResult {
    if (this.#result.kind === 'going_on') {
      this.#feed(chunk);
    }
    return this.#result.kind === 'done'
      ? { kind: 'done', rest: this.#assembler.takeRest() }
      : this.#result;
  }

  #feed(chunk: Buffer): void {
    const problem = this.#assembler.feed(chunk, (code, body) => this.#onMessage(code, body));
    if (problem !== null) {
      this.#result = {
        kind: 'failed',
        message: 'unexpected message',
        reason: 'unknown pkt from server',
        hint: null,
      };
    }
  }

  /** Takes over what to log in with, before the server has asked. */
  useCredential({ secret, keys }: ServerCredential): void {
    this.#authenticator.useCredential(secret, keys);
  }

  /** Stops what is under way; the connection is gone. */
  dispose(): void {
    this.#authenticator.dispose();
  }

  /** @returns whether to go on with the next message. */
  #onMessage(code: number, body: Buffer): boolean {
    switch (code) {
      case BackendCode.Authentication:
        this.#onAuthentication(body);
        break;
      case BackendCode.ErrorResponse:
        this.#result = { kind: 'refused', report: readServerReport(body) };
        break;
      case BackendCode.NoticeResponse:
      case BackendCode.NegotiateProtocolVersion:
        break;
      case BackendCode.ParameterStatus:
        this.#onParameterStatus(body);
        break;
      case BackendCode.BackendKeyData:
        this.cancelKey = readBackendKeyData(body);
        if (this.cancelKey === null || !this.#isAuthenticated) {
          this.#fail('malformed or untimely BackendKeyData');
        }
        break;
      case BackendCode.ReadyForQuery:
        if (!this.#isAuthenticated || body.length !== 1 || body[0] !== 0x49) {
          this.#fail('malformed or untimely ReadyForQuery');
        } else {
          this.#result = { kind: 'done', rest: null };
        }
        break;
      default:
        this.#fail(`unexpected message '${String.fromCharCode(code)}'`);
    }
    return this.#result.kind === 'going_on';
  }

  #onAuthentication(body: Buffer): void {
    const isOkTooLong = body.length > 4 && body.readInt32BE(0) === AuthenticationCode.Ok;
    if (body.length < 4 || isOkTooLong) {
      this.#fail('malformed Authentication');
      return;
    }
    this.#onStep(this.#authenticator.onAuthentication(body.readInt32BE(0), body.subarray(4)));
  }

  #onStep(step: ServerAuthStep): void {
    switch (step.kind) {
      case 'send': {
        const message = Buffer.allocUnsafe(HEADER_BYTES + step.body.length);
        message.writeUInt8(FrontendCode.Password, 0);
        message.writeInt32BE(4 + step.body.length, 1);
        step.body.copy(message, HEADER_BYTES);
        this.#send(message);
        return;
      }
      case 'ok':
        this.#isAuthenticated = true;
        return;
      case 'failed':
        this.#result = step;
        return;
      case 'wait':
      case 'pending':
    }
  }

  #onParameterStatus(body: Buffer): void {
    const parameter = readParameterStatus(body);
    if (parameter === null || this.parameters.size >= MAX_PARAMETERS) {
      this.#fail('broken ParameterStatus packet');
      return;
    }
    this.parameters.set(parameter.name, parameter.value);
  }

  #fail(message: string): void {
    this.#result = { kind: 'failed', message, reason: message, hint: null };
  }
}
