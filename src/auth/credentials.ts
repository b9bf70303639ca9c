import { assertNever } from '../base/assert.ts';
import { dropOldest } from '../base/drop-oldest.ts';
import type { FoundUser, UnknownUser } from './auth-query.ts';
import { isEqualConstantTime } from './constant-time.ts';
import { LazyVerifier } from './lazy-verifier.ts';
import { UNKNOWN_USER, type LoginMethod, type PlainPlan, type StoredPlan } from './login-plan.ts';
import { md5Digest } from './md5.ts';
import { MockSecrets } from './mock-secrets.ts';
import type { PasswordDeriver } from './password-derivation.ts';
import { sha256 } from './scram-crypto.ts';
import type { ScramKeys } from './scram-crypto.ts';
import { NO_SECRET } from './secret.ts';
import { SecretShapes, USUAL_SHAPE } from './secret-shapes.ts';
import type { NoSecret, Secret } from './secret.ts';

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

/** A user as far as its login is concerned. */
interface Account {
  /** As the client gave it. */
  readonly user: string;
  /** As its secret was made for: `auth_query` may have found another name. */
  readonly name: string;
  readonly secret: Secret;
  readonly isKnown: boolean;
  /** Whether `auth_query` was asked for it, whatever came of that. */
  readonly isAsked: boolean;
}
/** Users who do not exist whose verifiers are kept. */
const MAX_MOCK_VERIFIERS = 1000;
const WITHOUT_PASSWORD = 'user has no password';

/**
 * The users of the users file, and how each may log in.
 *
 * An unknown user, a user without a password and a user whose secret does not suit the method get
 * the same challenge and do the same work as a wrong password; only the log knows the difference.
 */
export class Credentials {
  readonly #deriver: PasswordDeriver;
  readonly #mocks: MockSecrets;
  #scramIterations: number;
  #users: ReadonlyMap<string, Secret> = new Map();
  /** Names in the users file as it was read last. */
  #current: ReadonlySet<string> = new Set();
  /** What users whom `auth_query` found have proved, by database and user. */
  readonly #proved = new Map<string, Map<string, ServerCredential>>();
  /** Of the secrets of the users file. */
  #shapes = new SecretShapes();
  /** Of the secrets that `auth_query` has found. */
  #askedShapes = new SecretShapes(USUAL_SHAPE);
  readonly #lazyVerifiers = new Map<string, LazyVerifier>();
  /** The same for users who do not exist, so that they take as long as others. */
  readonly #mockVerifiers = new Map<string, LazyVerifier>();
  readonly #learntKeys = new Map<string, ScramKeys>();
  readonly #learntPasswords = new Map<string, string>();

  constructor(options: CredentialsOptions) {
    this.#deriver = options.deriver;
    this.#mocks = new MockSecrets(options.random(32));
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
    this.#current = new Set(users.keys());
    this.#scramIterations = scramIterations;
    this.#lazyVerifiers.clear();
    for (const [user, keys] of this.#learntKeys) {
      if (!isFitting(keys, this.#secretOf(user))) {
        this.#learntKeys.delete(user);
      }
    }
    this.#mockVerifiers.clear();
    this.#shapes = new SecretShapes();
    for (const secret of merged.values()) {
      this.#shapes.add(secret);
    }
  }

  /** Tells whether `user` is or was in the users file. */
  isKnown(user: string): boolean {
    return this.#users.has(user);
  }

  /** Tells whether `user` stands in the users file: then `auth_query` is not asked for it. */
  isInFile(user: string): boolean {
    return this.#current.has(user);
  }

  /** Names the users of the users file who have a secret of one kind. */
  usersWith(kind: Secret['kind']): string[] {
    return [...this.#current].filter((user) => this.#secretOf(user).kind === kind);
  }

  /**
   * Says what to log in to PostgreSQL with as `user`; an unknown user has no secret.
   *
   * @param database - Where: what `auth_query` found is good for one database.
   */
  serverSecret(user: string, database = ''): ServerCredential {
    const password = this.#learntPasswords.get(user);
    if (password !== undefined) {
      return { secret: { kind: 'plain', password }, keys: null };
    }
    const proved = this.isInFile(user) ? undefined : this.#proved.get(database)?.get(user);
    return proved ?? { secret: this.#secretOf(user), keys: this.#learntKeys.get(user) ?? null };
  }

  /**
   * Keeps the secret of a user whom `auth_query` found and who has logged in, for as long as the
   * database exists: server connections are opened long after the answer has expired.
   *
   * @param keys - Those that the client has proved; null for none.
   * @returns Whether more is known now than before.
   */
  keepProved(database: string, found: FoundUser, keys: ScramKeys | null): boolean {
    let users = this.#proved.get(database);
    if (users === undefined) {
      users = new Map();
      this.#proved.set(database, users);
    }
    const { name, secret } = found;
    const old = users.get(name) ?? null;
    const candidates = [keys, old?.keys ?? null];
    const known = candidates.find((each) => each !== null && isFitting(each, secret)) ?? null;
    users.set(name, { secret, keys: known });
    const isSame = old !== null && isSameSecret(old.secret, secret);
    return !isSame || (known !== null && old.keys === null);
  }

  /** Forgets what was proved for a database that is gone. */
  forgetDatabase(database: string): void {
    this.#proved.delete(database);
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
   * @param answer - What `auth_query` says of the user; by default the users file decides.
   * @source PgBouncer manual, "auth_type"
   */
  resolveLogin(
    method: LoginMethod,
    user: string,
    answer: FoundUser | UnknownUser | null = null,
  ): StoredPlan {
    const account = this.#accountOf(user, answer);
    switch (method) {
      case 'any':
        return { method: 'trust', isKnown: true };
      case 'trust':
        return { method: 'trust', isKnown: account.isKnown };
      case 'plain':
        return this.#planPlain(account);
      case 'md5':
      case 'scram-sha-256':
        return this.#planChallenge(method, account);
      default:
        return assertNever(method);
    }
  }

  /** Takes over what the secrets look like that `auth_query` has found. */
  setAskedShapes(shapes: SecretShapes): void {
    this.#askedShapes = shapes;
  }

  #accountOf(user: string, answer: FoundUser | UnknownUser | null): Account {
    switch (answer?.kind) {
      case undefined: {
        const isKnown = this.isKnown(user);
        return { user, name: user, secret: this.#secretOf(user), isKnown, isAsked: false };
      }
      case 'found':
        return { user, name: answer.name, secret: answer.secret, isKnown: true, isAsked: true };
      case 'unknown':
        return { user, name: user, secret: NO_SECRET, isKnown: false, isAsked: true };
    }
  }

  #planPlain(account: Account): PlainPlan {
    return {
      method: 'plain',
      user: account.name,
      secret: this.#shownSecret(account),
      refusal: refusalOf(account),
    };
  }

  /** Plans a login with a challenge: that of SCRAM wherever the secret is made for it. */
  #planChallenge(method: 'md5' | 'scram-sha-256', account: Account): StoredPlan {
    const { user } = account;
    const secret = this.#shownSecret(account);
    const refusal = refusalOf(account);
    if (secret.kind === 'scram') {
      return { method: 'scram', user, source: { kind: 'stored', verifier: secret }, refusal };
    }
    const isPlain = secret.kind === 'plain';
    if (method === 'md5') {
      const digest = isPlain ? md5Digest(secret.password, user) : secret.digest;
      return { method, user, digest, refusal };
    }
    if (isPlain) {
      const lazy = this.#lazyVerifier(account, secret.password);
      return { method: 'scram', user, source: { kind: 'derived', lazy }, refusal };
    }
    const verifier = this.#mocks.verifier(user, this.#scramIterations);
    const why = refusal ?? 'the md5 secret of this user cannot check SCRAM';
    return { method: 'scram', user, source: { kind: 'stored', verifier }, refusal: why };
  }

  /** The secret of the user, or one that nothing fits but looks like those of others. */
  #shownSecret({ user, secret, isAsked }: Account): Exclude<Secret, NoSecret> {
    return secret.kind === 'none'
      ? this.#mocks.secret(user, isAsked ? this.#askedShapes : this.#shapes)
      : secret;
  }

  /**
   * The salt is always the same for a user, as that of a stored verifier is, and as that of the next
   * login is when what `auth_query` has found is not kept. The derivation itself is cached.
   */
  #lazyVerifier({ user, secret, isAsked }: Account, password: string): LazyVerifier {
    const known = secret.kind === 'none' ? this.#mockVerifiers : this.#lazyVerifiers;
    let lazy = isAsked ? undefined : known.get(user);
    if (lazy === undefined) {
      const iterations = this.#scramIterations;
      const { salt } = this.#mocks.verifier(user, iterations);
      lazy = new LazyVerifier({ deriver: this.#deriver, password, salt, iterations });
      if (!isAsked) {
        known.set(user, lazy);
      }
      dropOldest(this.#mockVerifiers, MAX_MOCK_VERIFIERS);
    }
    return lazy;
  }

  /** Names of the users file, those that have gone from it included. */
  get userNames(): readonly string[] {
    return [...this.#users.keys()];
  }

  #secretOf(user: string): Secret {
    return this.#users.get(user) ?? NO_SECRET;
  }
}

/** Why the user cannot log in, whatever is proved; null when it can. */
function refusalOf({ isKnown, secret }: Account): string | null {
  if (secret.kind !== 'none') {
    return null;
  }
  return isKnown ? WITHOUT_PASSWORD : UNKNOWN_USER;
}

function isSameSecret(a: Secret, b: Secret): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
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
