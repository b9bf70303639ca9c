import { createHash, createHmac, pbkdf2Sync, randomBytes } from 'node:crypto';

/** Of all users, where one is asked for; PostgreSQL trusts the poolers. */
export const PASSWORD = 'benchmark';

const DIGEST_BYTES = 32;
/** What PostgreSQL uses by default. */
const ITERATIONS = 4096;

/**
 * Salted passwords by password, salt and iterations: many clients share one password, and the work
 * of clients is not what is measured.
 *
 * @type {Map<string, Buffer>}
 */
const saltedPasswords = new Map();

/**
 * @param {string} password - ASCII
 * @param {Buffer} salt
 * @param {number} iterations
 */
function saltedPassword(password, salt, iterations) {
  const key = `${password},${salt.toString('hex')},${String(iterations)}`;
  const known = saltedPasswords.get(key);
  if (known !== undefined) {
    return known;
  }
  const salted = pbkdf2Sync(password, salt, iterations, DIGEST_BYTES, 'sha256');
  saltedPasswords.set(key, salted);
  return salted;
}

/**
 * @param {Buffer} key
 * @param {string} text
 */
function hmac(key, text) {
  return createHmac('sha256', key).update(text).digest();
}

/** @param {Buffer} bytes */
function sha256(bytes) {
  return createHash('sha256').update(bytes).digest();
}

/**
 * Makes the secret that PostgreSQL and poolers store for a password.
 *
 * @param {string} password - ASCII
 * @returns {string}
 */
export function scramSecret(password) {
  const salt = randomBytes(16);
  const salted = saltedPassword(password, salt, ITERATIONS);
  const storedKey = sha256(hmac(salted, 'Client Key')).toString('base64');
  const serverKey = hmac(salted, 'Server Key').toString('base64');
  const head = `SCRAM-SHA-256$${String(ITERATIONS)}:${salt.toString('base64')}`;
  return `${head}$${storedKey}:${serverKey}`;
}

/**
 * The client's side of one SCRAM-SHA-256 exchange.
 *
 * @source RFC 5802
 */
export class ScramExchange {
  #password;
  #nonce = randomBytes(18).toString('base64');

  /** @param {string} password - ASCII */
  constructor(password) {
    this.#password = password;
  }

  /** The first message. */
  first() {
    return `n,,${this.#firstBare()}`;
  }

  #firstBare() {
    return `n=,r=${this.#nonce}`;
  }

  /**
   * The answer to the challenge.
   *
   * @param {string} challenge - server-first-message
   * @throws {Error} when it is none
   */
  final(challenge) {
    const [, nonce = '', salt = '', iterations = ''] =
      /^r=([^,]+),s=([^,]+),i=(\d+)$/.exec(challenge) ?? [];
    if (!nonce.startsWith(this.#nonce)) {
      throw new Error('a SCRAM challenge that is none');
    }
    const salted = saltedPassword(this.#password, Buffer.from(salt, 'base64'), Number(iterations));
    const clientKey = hmac(salted, 'Client Key');
    const withoutProof = `c=biws,r=${nonce}`;
    const signature = hmac(sha256(clientKey), `${this.#firstBare()},${challenge},${withoutProof}`);
    const proof = Buffer.from(clientKey.map((byte, index) => byte ^ (signature[index] ?? 0)));
    return `${withoutProof},p=${proof.toString('base64')}`;
  }
}
