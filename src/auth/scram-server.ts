import { isEqualConstantTime } from './constant-time.ts';
import {
  CHANNEL_BINDING_TYPE,
  decodeBase64,
  DIGEST_BYTES,
  hmac,
  isNonce,
  MAX_NONCE_CHARS,
  MAX_SCRAM_MESSAGE_BYTES,
  sha256,
  splitAttributes,
  xor,
} from './scram-crypto.ts';
import type { ScramVerifier } from './secret.ts';

/** Random bytes behind the server's part of the nonce, as many as PostgreSQL takes. */
export const SERVER_NONCE_BYTES = 18;

/**
 * What the client was offered, and what it chose. `null` data: nothing was offered, and only the
 * plain mechanism can have been chosen.
 */
export interface ServerChannelBinding {
  /** Data of tls-server-end-point, borrowed; null when SCRAM-SHA-256-PLUS was not offered. */
  readonly data: Buffer | null;
  /** Whether the client chose SCRAM-SHA-256-PLUS. */
  readonly isChosen: boolean;
}

const NO_CHANNEL_BINDING: ServerChannelBinding = { data: null, isChosen: false };

/** Why an exchange ended; for the log, never for the client. */
export interface ScramServerFailure {
  readonly kind: 'failed';
  readonly reason: string;
  /** True when the message broke the protocol; false when it only did not prove the password. */
  readonly isMalformed: boolean;
}

/** Answer to client-first-message. */
export type ScramServerFirst =
  { readonly kind: 'server-first'; readonly serverFirst: string } | ScramServerFailure;

/** Answer to client-final-message. */
export type ScramServerFinal =
  | {
      readonly kind: 'server-final';
      readonly serverFinal: string;
      /** 32 bytes, owned by the caller. A secret: with it one can log in as this user. */
      readonly clientKey: Buffer;
    }
  | ScramServerFailure;

interface FirstPhase {
  readonly phase: 'first';
}
interface FinalPhase {
  readonly phase: 'final';
  /** What `c=` must be: the base64 of the gs2 header that the client sent, and of the binding. */
  readonly channelBinding: string;
  readonly nonce: string;
  /** Client-first-message-bare, comma, server-first-message; latin1. */
  readonly authMessageStart: string;
}
interface DonePhase {
  readonly phase: 'done';
}

/**
 * The server's side of one SCRAM-SHA-256 exchange. It checks a proof against stored keys by three
 * HMACs and one hash; PBKDF2 is the client's work alone.
 *
 * One exchange only: any message out of order, or after a failure, fails. No method throws, whatever
 * the bytes.
 *
 * @source RFC 5802; RFC 7677; PostgreSQL manual, "SCRAM-SHA-256 Authentication"
 */
export class ScramServer {
  readonly #verifier: ScramVerifier;
  readonly #serverNonce: string;
  readonly #binding: ServerChannelBinding;
  #state: FirstPhase | FinalPhase | DonePhase = { phase: 'first' };

  /**
   * @param verifier - Real, or a mock: the exchange is the same.
   * @param serverNonce - {@link SERVER_NONCE_BYTES} random bytes, in base64.
   * @param binding - None by default.
   */
  constructor(
    verifier: ScramVerifier,
    serverNonce: string,
    binding: ServerChannelBinding = NO_CHANNEL_BINDING,
  ) {
    this.#verifier = verifier;
    this.#serverNonce = serverNonce;
    this.#binding = binding;
  }

  /**
   * Reads client-first-message. The user name in it is ignored, as PostgreSQL does: the one in the
   * startup packet counts. Extensions are ignored too, except `m=`, which forbids that.
   *
   * @param data - Borrowed.
   */
  onClientFirst(data: Buffer): ScramServerFirst {
    if (this.#state.phase !== 'first') {
      return this.#fail('client-first-message out of order');
    }
    if (data.length > MAX_SCRAM_MESSAGE_BYTES) {
      return this.#fail('client-first-message too long');
    }
    const text = data.toString('latin1');
    const header = /^(n|y|p=[A-Za-z0-9.-]+),([^,]*),/.exec(text);
    if (header === null) {
      return this.#fail('malformed gs2 header in client-first-message');
    }
    const conflict = findBindingConflict(header[1] ?? '', this.#binding);
    if (conflict !== null) {
      return this.#fail(conflict);
    }
    if (header[2] !== '') {
      return this.#fail('client asks for an authorization identity');
    }
    const { isChosen, data: bindingData } = this.#binding;
    const bound = isChosen && bindingData !== null ? [bindingData] : [];
    const bare = text.slice(header[0].length);
    const clientNonce = readClientNonce(bare);
    if (typeof clientNonce !== 'string') {
      return this.#fail(clientNonce.reason);
    }
    const nonce = clientNonce + this.#serverNonce;
    const { salt, iterations } = this.#verifier;
    const serverFirst = `r=${nonce},s=${salt.toString('base64')},i=${String(iterations)}`;
    this.#state = {
      phase: 'final',
      channelBinding: Buffer.concat([Buffer.from(header[0], 'latin1'), ...bound]).toString(
        'base64',
      ),
      nonce,
      authMessageStart: `${bare},${serverFirst}`,
    };
    return { kind: 'server-first', serverFirst };
  }

  /**
   * Reads client-final-message and checks the proof in constant time.
   *
   * @param data - Borrowed.
   */
  onClientFinal(data: Buffer): ScramServerFinal {
    if (this.#state.phase !== 'final') {
      return this.#fail('client-final-message out of order');
    }
    if (data.length > MAX_SCRAM_MESSAGE_BYTES) {
      return this.#fail('client-final-message too long');
    }
    const { channelBinding, nonce, authMessageStart } = this.#state;
    const text = data.toString('latin1');
    const attributes = splitAttributes(text);
    const proofAttribute = attributes?.at(-1);
    if (attributes === null || attributes.length < 3 || proofAttribute?.name !== 'p') {
      return this.#fail('malformed client-final-message');
    }
    const [binding, echoedNonce, extension] = attributes;
    if (binding?.name !== 'c' || echoedNonce?.name !== 'r' || extension?.name === 'm') {
      return this.#fail('malformed client-final-message');
    }
    if (binding.value !== channelBinding) {
      return this.#fail(
        this.#binding.isChosen
          ? 'channel binding of client-final-message is not that of this connection'
          : 'channel binding of client-final-message does not match its gs2 header',
      );
    }
    if (!isEqualConstantTime(Buffer.from(echoedNonce.value, 'latin1'), Buffer.from(nonce))) {
      return this.#fail('nonce of client-final-message is not the one sent');
    }
    const proof = decodeBase64(proofAttribute.value);
    if (proof?.length !== DIGEST_BYTES) {
      return this.#fail('malformed proof in client-final-message');
    }
    const withoutProof = text.slice(0, text.lastIndexOf(',p='));
    return this.#checkProof(proof, `${authMessageStart},${withoutProof}`);
  }

  #checkProof(proof: Buffer, authMessage: string): ScramServerFinal {
    this.#state = { phase: 'done' };
    const { storedKey, serverKey } = this.#verifier;
    const clientKey = xor(proof, hmac(storedKey, authMessage));
    // Computed for a wrong proof as well, so that both outcomes take the same time.
    const signature = hmac(serverKey, authMessage).toString('base64');
    if (!isEqualConstantTime(sha256(clientKey), storedKey)) {
      return { kind: 'failed', reason: 'wrong password', isMalformed: false };
    }
    return { kind: 'server-final', serverFinal: `v=${signature}`, clientKey };
  }

  #fail(reason: string): ScramServerFailure {
    this.#state = { phase: 'done' };
    return { kind: 'failed', reason, isMalformed: true };
  }
}

/** Reads client-first-message-bare: `n=user,r=nonce` and extensions. */
function readClientNonce(bare: string): string | { readonly reason: string } {
  if (bare.startsWith('m=')) {
    return { reason: 'client requires an unsupported SCRAM extension' };
  }
  const [user, nonce] = splitAttributes(bare) ?? [];
  if (user?.name !== 'n' || nonce?.name !== 'r') {
    return { reason: 'malformed client-first-message' };
  }
  // Room is left for the server's part.
  if (!isNonce(nonce.value) || nonce.value.length > MAX_NONCE_CHARS / 2) {
    return { reason: 'malformed nonce in client-first-message' };
  }
  return nonce.value;
}

/**
 * Compares what the client says about channel binding with what it was offered and chose.
 *
 * @param flag - `n`, `y`, or `p=` and a type.
 * @source RFC 5802, "Channel Binding"; PostgreSQL, read_client_first_message()
 */
function findBindingConflict(
  flag: string,
  { data, isChosen }: ServerChannelBinding,
): string | null {
  if (isChosen) {
    return flag === `p=${CHANNEL_BINDING_TYPE}`
      ? null
      : 'client chose SCRAM-SHA-256-PLUS without channel binding, or with one of unknown type';
  }
  if (flag === 'y') {
    // Somebody between us has taken the offer away.
    return data === null ? null : 'client says that channel binding was not offered, which it was';
  }
  return flag === 'n' ? null : 'client requires channel binding, which it did not choose';
}
