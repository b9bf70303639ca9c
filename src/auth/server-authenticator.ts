import { assertNever } from '../base/assert.ts';
import { AuthenticationCode, MAX_AUTH_MESSAGE_BYTES } from '../protocol/codes.ts';
import { MD5_SALT_BYTES, md5Digest, md5Response } from './md5.ts';
import {
  readSaslMechanisms,
  writePasswordMessage,
  writeSaslInitialResponse,
} from './password-message.ts';
import type { CancelDerivation, PasswordDeriver } from './password-derivation.ts';
import { CLIENT_NONCE_BYTES, ScramClient } from './scram-client.ts';
import type { ProvingKeys, ScramChallenge } from './scram-client.ts';
import { keysFromSaltedPassword, SCRAM_MECHANISM, SCRAM_PLUS_MECHANISM } from './scram-crypto.ts';
import type { ScramKeys } from './scram-crypto.ts';
import type { Secret } from './secret.ts';

/** What the connection is to do next. */
export type ServerAuthStep =
  /** Send a `p` message with this body. */
  | { readonly kind: 'send'; readonly body: Buffer }
  /** Nothing to send: the server's next message is awaited. */
  | { readonly kind: 'wait' }
  /** Nothing yet: another step comes through `onResume`. */
  | { readonly kind: 'pending' }
  /** The server said AuthenticationOk, and rightly so. */
  | { readonly kind: 'ok' }
  | ServerAuthFailure;

/** The login has failed and the connection is to be closed. */
export interface ServerAuthFailure {
  readonly kind: 'failed';
  /** For the log. */
  readonly reason: string;
  /** For the clients, behind `server login failed: `. */
  readonly message: string;
  /** What the operator can do about it; null when it is not the credential that does not fit. */
  readonly hint: string | null;
}

/** What a {@link ServerAuthenticator} needs from outside. */
export interface ServerAuthenticatorOptions {
  readonly user: string;
  readonly secret: Secret;
  /** Keys behind `secret` when it is a SCRAM verifier, learnt from a client; `null` for none. */
  readonly keys: ScramKeys | null;
  /**
   * Data of tls-server-end-point, asked for when the server wants SASL; null in the clear, and where
   * the server's certificate allows no channel binding. None by default.
   */
  readonly channelBinding?: () => Buffer | null;
  readonly deriver: PasswordDeriver;
  /** Fewest iterations that a password is proved with: fewer make it easy to guess. 1 by default. */
  readonly minIterations?: number;
  /** Cryptographically strong random bytes. */
  readonly random: (bytes: number) => Buffer;
  /** Takes the step that follows a `pending` one. Not called after `dispose`. */
  readonly onResume: (step: ServerAuthStep) => void;
}

type Phase =
  | { readonly phase: 'start' | 'answered' | 'verified' | 'closed' }
  | { readonly phase: 'sasl-first' | 'sasl-final'; readonly exchange: ScramClient }
  | { readonly phase: 'pending'; readonly cancel: CancelDerivation };

/** The phases of a {@link ServerAuthenticator}. */
export type ServerAuthPhase = Phase['phase'];

const OTHER_SOURCE = 'set password, password_file or password_command of the database';

/** The ways out by what is known of a user, when the server asks for something else. */
const HINTS: Readonly<Record<Secret['kind'], string>> = {
  none: `Store the password of the user in auth_file, ${OTHER_SOURCE}, or let the server ask for none.`,
  plain: 'Let the server ask for a password in clear text, by md5 or by SCRAM-SHA-256.',
  md5: `Store the plain password or the SCRAM secret of the user in auth_file, ${OTHER_SOURCE}, or let the server ask for md5.`,
  scram: `Store the plain password of the user in auth_file, ${OTHER_SOURCE}, or let the server ask for SCRAM-SHA-256.`,
};
const HINT_NO_KEYS = `Let a client log in as this user with its password by SCRAM or in clear text first, store the plain password in auth_file, or ${OTHER_SOURCE}.`;
const HINT_OTHER_SECRET = `Copy the secret of the user from pg_authid of this server to auth_file and log in again, store the plain password there, or ${OTHER_SOURCE}.`;

const WRONG_TYPE = 'wrong password type';
const NOT_VERIFIED = 'failed to verify server signature';
const BAD_EXCHANGE = 'failed to answer authreq';

/**
 * Logs in to one server, as a state machine over its Authentication messages; it knows no socket.
 *
 * Total: every message in every state has an answer, and none throws. Once SASL was begun, the
 * server must prove that it knows the password too: AuthenticationOk before that is refused.
 *
 * @source PostgreSQL manual, "Message Flow: Start-up"
 */
export class ServerAuthenticator {
  #options: ServerAuthenticatorOptions;
  #state: Phase = { phase: 'start' };

  constructor(options: ServerAuthenticatorOptions) {
    this.#options = options;
  }

  /** What it waits for. */
  get phase(): ServerAuthPhase {
    return this.#state.phase;
  }

  /**
   * Takes an Authentication message.
   *
   * @param code - The int32 that the message starts with.
   * @param body - The bytes behind it. Borrowed.
   */
  onAuthentication(code: number, body: Buffer): ServerAuthStep {
    const state = this.#state;
    if (body.length > MAX_AUTH_MESSAGE_BYTES) {
      return this.#fail('authentication request too long', BAD_EXCHANGE);
    }
    switch (state.phase) {
      case 'start':
        return this.#onRequest(code, body);
      case 'answered':
      case 'verified':
        return code === AuthenticationCode.Ok ? this.#succeed() : this.#failOutOfOrder(code);
      case 'sasl-first':
        return code === AuthenticationCode.SaslContinue
          ? this.#onSaslContinue(state.exchange, body)
          : this.#failUnverified(code);
      case 'sasl-final':
        return code === AuthenticationCode.SaslFinal
          ? this.#onSaslFinal(state.exchange, body)
          : this.#failUnverified(code);
      case 'pending':
        return this.#failUnverified(code);
      case 'closed':
        return this.#failOutOfOrder(code);
      default:
        return assertNever(state);
    }
  }

  /** Takes over what to log in with, before the server has asked. */
  useCredential(secret: Secret, keys: ScramKeys | null): void {
    this.#options = { ...this.#options, secret, keys };
  }

  /** Gives up: the server is gone. No step follows. */
  dispose(): void {
    this.#close();
  }

  #onRequest(code: number, body: Buffer): ServerAuthStep {
    switch (code) {
      case AuthenticationCode.Ok:
        return this.#succeed();
      case AuthenticationCode.CleartextPassword:
        return this.#onCleartextPassword();
      case AuthenticationCode.Md5Password:
        return this.#onMd5Password(body);
      case AuthenticationCode.Sasl:
        return this.#onSasl(body);
      case AuthenticationCode.SaslContinue:
      case AuthenticationCode.SaslFinal:
        return this.#failOutOfOrder(code);
      default: {
        const message = `unknown/unsupported auth method: ${String(code)}`;
        return this.#fail(message, message);
      }
    }
  }

  #onCleartextPassword(): ServerAuthStep {
    const { secret } = this.#options;
    if (secret.kind !== 'plain') {
      return this.#failWrongType('a clear text password');
    }
    this.#state = { phase: 'answered' };
    return { kind: 'send', body: writePasswordMessage(secret.password) };
  }

  #onMd5Password(body: Buffer): ServerAuthStep {
    const { secret, user } = this.#options;
    if (body.length !== MD5_SALT_BYTES) {
      return this.#fail('malformed AuthenticationMD5Password', BAD_EXCHANGE);
    }
    if (secret.kind !== 'plain' && secret.kind !== 'md5') {
      return this.#failWrongType('an md5 password');
    }
    const digest = secret.kind === 'md5' ? secret.digest : md5Digest(secret.password, user);
    this.#state = { phase: 'answered' };
    return { kind: 'send', body: writePasswordMessage(md5Response(digest, body)) };
  }

  #onSasl(body: Buffer): ServerAuthStep {
    const { secret, keys, random } = this.#options;
    const mechanisms = readSaslMechanisms(body);
    if (mechanisms === null) {
      return this.#fail('malformed AuthenticationSASL', BAD_EXCHANGE);
    }
    const data = this.#options.channelBinding?.() ?? null;
    const isBound = data !== null && mechanisms.includes(SCRAM_PLUS_MECHANISM);
    if (!isBound && !mechanisms.includes(SCRAM_MECHANISM)) {
      const message = "none of the server's SASL authentication mechanisms are supported";
      return this.#fail(message, message);
    }
    if (secret.kind === 'scram' && keys === null) {
      return this.#fail(
        'the SCRAM secret of this user cannot log in to a server until a client has logged in with SCRAM',
        WRONG_TYPE,
        HINT_NO_KEYS,
      );
    }
    if (secret.kind !== 'plain' && secret.kind !== 'scram') {
      return this.#failWrongType('SCRAM');
    }
    const exchange = new ScramClient(
      random(CLIENT_NONCE_BYTES).toString('base64'),
      isBound ? { kind: 'bound', data } : { kind: data === null ? 'none' : 'not-offered' },
    );
    this.#state = { phase: 'sasl-first', exchange };
    const mechanism = isBound ? SCRAM_PLUS_MECHANISM : SCRAM_MECHANISM;
    return { kind: 'send', body: writeSaslInitialResponse(mechanism, exchange.clientFirst()) };
  }

  #onSaslContinue(exchange: ScramClient, body: Buffer): ServerAuthStep {
    const challenge = exchange.onServerFirst(body);
    if (challenge.kind === 'failed') {
      return this.#fail(challenge.reason, BAD_EXCHANGE);
    }
    const { secret, keys, minIterations = 1 } = this.#options;
    if (challenge.iterations < minIterations) {
      return this.#fail('the server wants fewer SCRAM iterations than are allowed', BAD_EXCHANGE);
    }
    if (secret.kind === 'plain') {
      return this.#derive(exchange, secret.password, challenge);
    }
    if (keys === null || !isFitting(keys, challenge)) {
      return this.#fail(
        'the SCRAM secret of this user is not the one the server has: salt or iterations differ, as they do when the role has expired (VALID UNTIL) or does not exist there',
        WRONG_TYPE,
        HINT_OTHER_SECRET,
      );
    }
    return this.#prove(exchange, keys);
  }

  #derive(exchange: ScramClient, password: string, challenge: ScramChallenge): ServerAuthStep {
    const { salt, iterations } = challenge;
    const request = { password, salt, iterations };
    const cancel = this.#options.deriver.derive(request, (derivation) => {
      // A late answer to a login that has failed or been given up finds another phase.
      if (this.#state !== pending) {
        return;
      }
      this.#options.onResume(
        derivation.kind === 'refused'
          ? this.#fail(derivation.reason, BAD_EXCHANGE)
          : this.#prove(exchange, keysFromSaltedPassword(derivation.saltedPassword)),
      );
    });
    const pending = { phase: 'pending', cancel } as const;
    this.#state = pending;
    return { kind: 'pending' };
  }

  #prove(exchange: ScramClient, keys: ProvingKeys): ServerAuthStep {
    const clientFinal = exchange.prove(keys);
    if (clientFinal === null) {
      return this.#fail('no SCRAM challenge to answer', BAD_EXCHANGE);
    }
    this.#state = { phase: 'sasl-final', exchange };
    return { kind: 'send', body: Buffer.from(clientFinal, 'latin1') };
  }

  #onSaslFinal(exchange: ScramClient, body: Buffer): ServerAuthStep {
    const verdict = exchange.onServerFinal(body);
    switch (verdict.kind) {
      case 'verified':
        this.#state = { phase: 'verified' };
        return { kind: 'wait' };
      case 'wrong-signature':
        return this.#fail('the server does not know the password', 'invalid server signature');
      case 'failed':
        return this.#fail(verdict.reason, NOT_VERIFIED);
      default:
        return assertNever(verdict);
    }
  }

  #succeed(): ServerAuthStep {
    this.#close();
    return { kind: 'ok' };
  }

  #failWrongType(wanted: string): ServerAuthFailure {
    const { kind } = this.#options.secret;
    const has = kind === 'none' ? 'no password is known' : `only a ${kind} secret is known`;
    const reason = `the server wants ${wanted}, but ${has} for this user`;
    return this.#fail(reason, WRONG_TYPE, HINTS[kind]);
  }

  #failUnverified(code: number): ServerAuthFailure {
    return this.#fail(
      `authentication request ${String(code)} before the SASL exchange was complete`,
      code === AuthenticationCode.Ok ? NOT_VERIFIED : BAD_EXCHANGE,
    );
  }

  #failOutOfOrder(code: number): ServerAuthFailure {
    return this.#fail(`authentication request ${String(code)} out of order`, BAD_EXCHANGE);
  }

  #fail(reason: string, message: string, hint: string | null = null): ServerAuthFailure {
    this.#close();
    return { kind: 'failed', reason, message, hint };
  }

  #close(): void {
    if (this.#state.phase === 'pending') {
      this.#state.cancel();
    }
    this.#state = { phase: 'closed' };
  }
}

function isFitting(keys: ScramKeys, challenge: ScramChallenge): boolean {
  return keys.iterations === challenge.iterations && keys.salt.equals(challenge.salt);
}
