import { createHmac } from 'node:crypto';
import { assertNever } from '../base/assert.ts';
import { isEqualConstantTime } from './constant-time.ts';
import { LazyVerifier } from './lazy-verifier.ts';
import type { LoginMethod, PlainPlan, StoredPlan } from './login-plan.ts';
import { md5Digest } from './md5.ts';
import { mockVerifier, SALT_BYTES } from './mock-verifier.ts';
import type { PasswordDeriver } from './password-derivation.ts';
import { sha256 } from './scram-crypto.ts';
import type { ScramKeys } from './scram-crypto.ts';
import { NO_SECRET } from './secret.ts';
import type { Secret } from './secret.ts';

/** What {@link Credentials} needs from outside. */
export interface CredentialsOptions {
  readonly deriver: PasswordDeriver;
  /** Cryptographically strong random bytes, owned by the receiver. */
  readonly random: (bytes: number) => Buffer;
  /** The setting `scram_iterations`. */
  readonly scramIterations: number;
}

/** What to log in to PostgreSQL with. */
export interface ServerCredential {
  readonly secret: Secret;
  /** Keys learnt from a client, when the secret is a SCRAM verifier and one has proved it. */
  readonly keys: ScramKeys | null;
}

const UNKNOWN_USER = 'no such user';
const WITHOUT_PASSWORD = 'user has no password';

/**
 * The users of the users file, and how each may log in.
 *
 * An unknown user, a user without a password and a user whose secret does not suit the method get
 * the same challenge and do the same work as a wrong password; only the log knows the difference.
 */
export class Credentials {
  readonly #deriver: PasswordDeriver;
  readonly #random: (bytes: number) => Buffer;
  readonly #processSecret: Buffer;
  #scramIterations: number;
  #users: ReadonlyMap<string, Secret> = new Map();
  /** Share of users with a SCRAM verifier among those with any secret, 0 to 1. */
  #scramShare = 0;
  readonly #lazyVerifiers = new Map<string, LazyVerifier>();
  readonly #learntKeys = new Map<string, ScramKeys>();
  readonly #learntPasswords = new Map<string, string>();

  constructor(options: CredentialsOptions) {
    this.#deriver = options.deriver;
    this.#random = options.random;
    this.#processSecret = options.random(32);
    this.#scramIterations = options.scramIterations;
  }

  /**
   * Takes over a newly read users file. A user gone from the file stays known without a password,
   * so that `trust` still admits it and nothing else does. Verifiers made from plain passwords are
   * given up, keys learnt from clients as well unless they fit the new secret.
   *
   * @source PgBouncer manual, "auth_file"
   */
  load(users: ReadonlyMap<string, Secret>, scramIterations = this.#scramIterations): void {
    const merged = new Map<string, Secret>();
    for (const user of this.#users.keys()) {
      merged.set(user, NO_SECRET);
    }
    for (const [user, secret] of users) {
      merged.set(user, secret);
    }
    this.#users = merged;
    this.#scramIterations = scramIterations;
    this.#lazyVerifiers.clear();
    for (const [user, keys] of this.#learntKeys) {
      if (!isFitting(keys, this.#secretOf(user))) {
        this.#learntKeys.delete(user);
      }
    }
    const kinds = [...merged.values()].map((secret) => secret.kind).filter((k) => k !== 'none');
    const scramCount = kinds.filter((kind) => kind === 'scram').length;
    this.#scramShare = kinds.length === 0 ? 0 : scramCount / kinds.length;
  }

  /** The names that are or were in the users file. */
  get userNames(): IterableIterator<string> {
    return this.#users.keys();
  }

  /** Tells whether `user` is or was in the users file. */
  isKnown(user: string): boolean {
    return this.#users.has(user);
  }

  /** Says what to log in to PostgreSQL with as `user`; an unknown user has no secret. */
  serverSecret(user: string): ServerCredential {
    const password = this.#learntPasswords.get(user);
    if (password !== undefined) {
      return { secret: { kind: 'plain', password }, keys: null };
    }
    return { secret: this.#secretOf(user), keys: this.#learntKeys.get(user) ?? null };
  }

  /**
   * Keeps a password that somebody else has found right, to log in to PostgreSQL with.
   *
   * @source PgBouncer: with `auth_type` pam the password of the client is that for the server.
   */
  learnPassword(user: string, password: string): void {
    this.#learntPasswords.set(user, password);
  }

  /** Forgets all passwords learnt: nobody else judges passwords any more. */
  forgetPasswords(): void {
    this.#learntPasswords.clear();
  }

  /**
   * Keeps the keys by which a client has proved that it knows the password of `user`.
   *
   * @param keys - Owned from now on.
   * @returns False when they do not fit the stored secret, which may have changed since the login began.
   */
  learnKeys(user: string, keys: ScramKeys): boolean {
    const fits = isFitting(keys, this.#secretOf(user));
    if (fits) {
      this.#learntKeys.set(user, keys);
    }
    return fits;
  }

  /**
   * Decides how a login of `user` is checked.
   *
   * @source PgBouncer manual, "auth_type"
   */
  resolveLogin(method: LoginMethod, user: string): StoredPlan {
    switch (method) {
      case 'any':
        return { method: 'trust', isKnown: true };
      case 'trust':
        return { method: 'trust', isKnown: this.isKnown(user) };
      case 'plain':
        return this.#planPlain(user);
      case 'md5':
        return this.#planMd5(user);
      case 'scram-sha-256':
        return this.#planScram(user);
      default:
        return assertNever(method);
    }
  }

  #planPlain(user: string): PlainPlan {
    const secret = this.#secretOf(user);
    if (secret.kind !== 'none') {
      return { method: 'plain', user, secret, refusal: null };
    }
    const mock = this.#imitatesScram(user)
      ? mockVerifier(this.#processSecret, user, this.#scramIterations)
      : ({ kind: 'plain', password: this.#mockPassword(user) } as const);
    return { method: 'plain', user, secret: mock, refusal: this.#refusal(user) };
  }

  #planMd5(user: string): StoredPlan {
    const secret = this.#secretOf(user);
    switch (secret.kind) {
      case 'scram':
        return this.#planScram(user);
      case 'md5':
        return { method: 'md5', user, digest: secret.digest, refusal: null };
      case 'plain': {
        const digest = md5Digest(secret.password, user);
        return { method: 'md5', user, digest, refusal: null };
      }
      case 'none': {
        if (this.#imitatesScram(user)) {
          return this.#planScram(user);
        }
        const digest = md5Digest(this.#mockPassword(user), user);
        return { method: 'md5', user, digest, refusal: this.#refusal(user) };
      }
      default:
        return assertNever(secret);
    }
  }

  #planScram(user: string): StoredPlan {
    const secret = this.#secretOf(user);
    if (secret.kind === 'scram') {
      const source = { kind: 'stored', verifier: secret } as const;
      return { method: 'scram', user, source, refusal: null };
    }
    if (secret.kind === 'plain') {
      const source = { kind: 'derived', lazy: this.#lazyVerifier(user, secret.password) } as const;
      return { method: 'scram', user, source, refusal: null };
    }
    const verifier = mockVerifier(this.#processSecret, user, this.#scramIterations);
    const refusal =
      secret.kind === 'md5'
        ? 'the md5 secret of this user cannot check SCRAM'
        : this.#refusal(user);
    return { method: 'scram', user, source: { kind: 'stored', verifier }, refusal };
  }

  #lazyVerifier(user: string, password: string): LazyVerifier {
    let lazy = this.#lazyVerifiers.get(user);
    if (lazy === undefined) {
      lazy = new LazyVerifier({
        deriver: this.#deriver,
        password,
        salt: this.#random(SALT_BYTES),
        iterations: this.#scramIterations,
      });
      this.#lazyVerifiers.set(user, lazy);
    }
    return lazy;
  }

  #secretOf(user: string): Secret {
    return this.#users.get(user) ?? NO_SECRET;
  }

  #refusal(user: string): string {
    return this.isKnown(user) ? WITHOUT_PASSWORD : UNKNOWN_USER;
  }

  /**
   * Where the method leaves open which challenge a user gets, says whether a mock login is to look
   * like one with a SCRAM verifier. The answer is stable for a user and over many users as frequent
   * as among the real ones; were it always the same, the other challenge would betray real users.
   */
  #imitatesScram(user: string): boolean {
    return this.#mockBytes('kind', user).readUInt32BE(0) / 2 ** 32 < this.#scramShare;
  }

  #mockPassword(user: string): string {
    return this.#mockBytes('password', user).toString('hex');
  }

  #mockBytes(label: string, user: string): Buffer {
    return createHmac('sha256', this.#processSecret).update(`${label}\0${user}`, 'utf8').digest();
  }
}

/** Tells whether `keys` are those behind `secret`. */
function isFitting(keys: ScramKeys, secret: Secret): boolean {
  return (
    secret.kind === 'scram' &&
    keys.iterations === secret.iterations &&
    keys.salt.equals(secret.salt) &&
    isEqualConstantTime(sha256(keys.clientKey), secret.storedKey) &&
    isEqualConstantTime(keys.serverKey, secret.serverKey)
  );
}
