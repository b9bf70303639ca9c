import { isEqualConstantTime } from './constant-time.ts';
import {
  CHANNEL_BINDING_TYPE,
  decodeBase64,
  DIGEST_BYTES,
  hmac,
  isNonce,
  MAX_SCRAM_MESSAGE_BYTES,
  sha256,
  splitAttributes,
  xor,
} from './scram-crypto.ts';
import type { ScramKeys } from './scram-crypto.ts';

/** Random bytes behind the client's nonce, as many as libpq takes. */
export const CLIENT_NONCE_BYTES = 18;
/** Longest salt accepted from a server, in bytes. PostgreSQL sends 16. */
export const MAX_SALT_BYTES = 1024;
/**
 * Most rounds of PBKDF2 a server may ask for. About half a second of one core; PostgreSQL's default
 * is 4096. Without a cap a server could keep a core busy for hours (CVE-2026-6669).
 */
export const MAX_SCRAM_ITERATIONS = 600_000;

/** Why an exchange ended. */
export interface ScramClientFailure {
  readonly kind: 'failed';
  readonly reason: string;
}

/** What server-first-message asks the client to prove. */
export interface ScramChallenge {
  readonly kind: 'challenge';
  /** 1 to {@link MAX_SALT_BYTES} bytes, owned by the caller. */
  readonly salt: Buffer;
  /** 1 to {@link MAX_SCRAM_ITERATIONS}. */
  readonly iterations: number;
}

/** Outcome of server-final-message; a failure tells an unreadable message from a wrong signature. */
export type ScramServerVerdict =
  { readonly kind: 'verified' } | { readonly kind: 'wrong-signature' } | ScramClientFailure;

/** Keys that prove the password: learnt from a client, or derived. */
export type ProvingKeys = Pick<ScramKeys, 'clientKey' | 'serverKey'>;

type State =
  | { readonly phase: 'server-first' }
  | { readonly phase: 'proof'; readonly nonce: string; readonly serverFirst: string }
  | { readonly phase: 'server-final'; readonly signature: Buffer }
  | { readonly phase: 'done' };

/** What the client says about channel binding. */
export type ClientChannelBinding =
  /** It cannot do it: the connection has none, or the server's certificate allows none. */
  | { readonly kind: 'none' }
  /** It could, but has not seen the server offer it. */
  | { readonly kind: 'not-offered' }
  /** It does; `data` is that of tls-server-end-point, borrowed. */
  | { readonly kind: 'bound'; readonly data: Buffer };

const NO_CHANNEL_BINDING: ClientChannelBinding = { kind: 'none' };

function gs2Header({ kind }: ClientChannelBinding): string {
  switch (kind) {
    case 'none':
      return 'n,,';
    case 'not-offered':
      return 'y,,';
    case 'bound':
      return `p=${CHANNEL_BINDING_TYPE},,`;
  }
}

/**
 * The client's side of one SCRAM-SHA-256 exchange, with or without channel binding. It derives nothing
 * itself: {@link onServerFirst} says what is to be derived, {@link prove} takes the keys.
 *
 * No method throws on what a server sends.
 *
 * @source RFC 5802; RFC 7677; PostgreSQL manual, "SCRAM-SHA-256 Authentication"
 */
export class ScramClient {
  readonly #clientNonce: string;
  readonly #binding: ClientChannelBinding;
  #state: State = { phase: 'server-first' };

  /**
   * @param clientNonce - {@link CLIENT_NONCE_BYTES} random bytes, in base64.
   * @param binding - None by default.
   */
  constructor(clientNonce: string, binding: ClientChannelBinding = NO_CHANNEL_BINDING) {
    this.#clientNonce = clientNonce;
    this.#binding = binding;
  }

  /** Makes client-first-message. The user name in it is empty: PostgreSQL ignores it. */
  clientFirst(): string {
    return `${gs2Header(this.#binding)}${this.#clientFirstBare()}`;
  }

  /**
   * Reads server-first-message.
   *
   * @param data - Borrowed.
   */
  onServerFirst(data: Buffer): ScramChallenge | ScramClientFailure {
    if (this.#state.phase !== 'server-first') {
      return this.#fail('server-first-message out of order');
    }
    if (data.length > MAX_SCRAM_MESSAGE_BYTES) {
      return this.#fail('server-first-message too long');
    }
    const serverFirst = data.toString('latin1');
    const [nonce, salt, iterations] = splitAttributes(serverFirst) ?? [];
    if (nonce?.name !== 'r' || salt?.name !== 's' || iterations?.name !== 'i') {
      return this.#fail('malformed server-first-message');
    }
    const isExtended = nonce.value.length > this.#clientNonce.length;
    if (!isNonce(nonce.value) || !isExtended || !nonce.value.startsWith(this.#clientNonce)) {
      return this.#fail('nonce of server-first-message does not continue ours');
    }
    const saltBytes = decodeBase64(salt.value);
    if (saltBytes === null || saltBytes.length < 1 || saltBytes.length > MAX_SALT_BYTES) {
      return this.#fail('malformed salt in server-first-message');
    }
    const count = /^[1-9][0-9]{0,9}$/.test(iterations.value) ? Number(iterations.value) : 0;
    if (count < 1 || count > MAX_SCRAM_ITERATIONS) {
      return this.#fail(
        `iteration count of server-first-message is not 1 to ${String(MAX_SCRAM_ITERATIONS)}`,
      );
    }
    this.#state = { phase: 'proof', nonce: nonce.value, serverFirst };
    return { kind: 'challenge', salt: saltBytes, iterations: count };
  }

  /**
   * Makes client-final-message from keys that belong to the challenge's salt and iterations.
   *
   * @returns `null` when no challenge is waiting.
   */
  prove(keys: ProvingKeys): string | null {
    if (this.#state.phase !== 'proof') {
      this.#state = { phase: 'done' };
      return null;
    }
    const header = Buffer.from(gs2Header(this.#binding), 'latin1');
    const bound = this.#binding.kind === 'bound' ? [this.#binding.data] : [];
    const binding = Buffer.concat([header, ...bound]).toString('base64');
    const withoutProof = `c=${binding},r=${this.#state.nonce}`;
    const authMessage = `${this.#clientFirstBare()},${this.#state.serverFirst},${withoutProof}`;
    const proof = xor(keys.clientKey, hmac(sha256(keys.clientKey), authMessage));
    this.#state = { phase: 'server-final', signature: hmac(keys.serverKey, authMessage) };
    return `${withoutProof},p=${proof.toString('base64')}`;
  }

  /**
   * Reads server-final-message: only a server that knows the password's keys can sign it.
   *
   * @param data - Borrowed.
   */
  onServerFinal(data: Buffer): ScramServerVerdict {
    if (this.#state.phase !== 'server-final') {
      return this.#fail('server-final-message out of order');
    }
    if (data.length > MAX_SCRAM_MESSAGE_BYTES) {
      return this.#fail('server-final-message too long');
    }
    const expected = this.#state.signature;
    const [verdict] = splitAttributes(data.toString('latin1')) ?? [];
    if (verdict?.name === 'e') {
      return this.#fail(`server reports SCRAM error: ${verdict.value.slice(0, 100)}`);
    }
    const signature = verdict?.name === 'v' ? decodeBase64(verdict.value) : null;
    if (signature?.length !== DIGEST_BYTES) {
      return this.#fail('malformed server-final-message');
    }
    this.#state = { phase: 'done' };
    return { kind: isEqualConstantTime(signature, expected) ? 'verified' : 'wrong-signature' };
  }

  #clientFirstBare(): string {
    return `n=,r=${this.#clientNonce}`;
  }

  #fail(reason: string): ScramClientFailure {
    this.#state = { phase: 'done' };
    return { kind: 'failed', reason };
  }
}
