import { createHash, createHmac, pbkdf2Sync, randomBytes, timingSafeEqual } from 'node:crypto';

/**
 * The client's half of SCRAM-SHA-256, written apart from `src/auth` so
 * that one checks the other.
 *
 * @source RFC 5802 and RFC 7677; PostgreSQL manual, "SASL Authentication".
 */
export class ScramClient {
  readonly #password: string;
  readonly #nonce: string;
  readonly #gs2Header: string;
  readonly #bindingData: Buffer;
  #authMessage = '';
  #saltedPassword: Buffer = Buffer.alloc(0);

  /**
   * @param gs2Header - `n,,` for no channel binding; `y,,` when the client could do it; `p=` and a
   *   type when it does, with the data of that type.
   */
  constructor(
    password: string,
    nonce = randomBytes(18).toString('base64'),
    gs2Header = 'n,,',
    bindingData: Buffer = Buffer.alloc(0),
  ) {
    this.#bindingData = bindingData;
    this.#password = password;
    this.#nonce = nonce;
    this.#gs2Header = gs2Header;
  }

  /** The client-first-message. PostgreSQL ignores its user name. */
  first(): string {
    return `${this.#gs2Header}n=,r=${this.#nonce}`;
  }

  /** Answers the server-first-message with the client-final-message. */
  final(serverFirst: string): string {
    const attributes = parseAttributes(serverFirst);
    const nonce = attributes.get('r') ?? '';
    if (!nonce.startsWith(this.#nonce) || nonce.length === this.#nonce.length) {
      throw new Error('the server nonce does not extend the client nonce');
    }
    const salt = Buffer.from(attributes.get('s') ?? '', 'base64');
    const iterations = Number(attributes.get('i'));
    this.#saltedPassword = pbkdf2Sync(
      this.#password.normalize('NFKC'),
      salt,
      iterations,
      32,
      'sha256',
    );
    const header = Buffer.from(this.#gs2Header);
    const binding = Buffer.concat([header, this.#bindingData]).toString('base64');
    const withoutProof = `c=${binding},r=${nonce}`;
    this.#authMessage = `n=,r=${this.#nonce},${serverFirst},${withoutProof}`;
    const clientKey = hmac(this.#saltedPassword, 'Client Key');
    const signature = hmac(sha256(clientKey), this.#authMessage);
    const proof = clientKey.map((byte, index) => byte ^ (signature[index] ?? 0));
    return `${withoutProof},p=${Buffer.from(proof).toString('base64')}`;
  }

  /** Checks the server-final-message. @throws Error when the server does not know the password. */
  verify(serverFinal: string): void {
    const received = Buffer.from(parseAttributes(serverFinal).get('v') ?? '', 'base64');
    const expected = hmac(hmac(this.#saltedPassword, 'Server Key'), this.#authMessage);
    if (received.length !== expected.length || !timingSafeEqual(received, expected)) {
      throw new Error(`the server signature is wrong: ${serverFinal}`);
    }
  }
}

/** The md5 answer of PasswordMessage. */
export function md5Answer(user: string, password: string, salt: Buffer): string {
  return `md5${md5(Buffer.concat([Buffer.from(md5(Buffer.from(password + user))), salt]))}`;
}

function parseAttributes(text: string): Map<string, string> {
  return new Map(text.split(',').map((part) => [part.slice(0, 1), part.slice(2)]));
}

function hmac(key: Buffer, text: string): Buffer {
  return createHmac('sha256', key).update(text).digest();
}

function sha256(data: Buffer): Buffer {
  return createHash('sha256').update(data).digest();
}

function md5(data: Buffer): string {
  return createHash('md5').update(data).digest('hex');
}
