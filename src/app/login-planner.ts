import { assertNever } from '../base/assert.ts';
import type { AuthQuerySource, FoundUser, UnknownUser } from '../auth/auth-query.ts';
import type { Credentials } from '../auth/credentials.ts';
import type { LoginMethod, LoginPlan, PendingPlan, PlanFailure } from '../auth/login-plan.ts';
import type { UserLookups } from '../auth/user-lookups.ts';
import type { Settings } from '../config/config.ts';
import type { Database } from '../pool/database.ts';
import { poolerError } from '../protocol/pooler-errors.ts';

/** What {@link LoginPlanner} needs from around it. */
export interface LoginPlannerHost {
  /** The settings now. */
  settings(): Settings;
  readonly credentials: Credentials;
  readonly lookups: UserLookups;
  /** Finds a database, or makes one from `*`; null when there is neither. */
  findDatabase(name: string): Database | null;
}

/** One login to be planned. */
export interface LoginRequest {
  readonly method: LoginMethod;
  /** As the client gave it. */
  readonly user: string;
  /** What the client asks for: a database, the console, or something that does not exist. */
  readonly target: Database | 'console' | null;
  /** Called when `auth_query` has found the user, and again when it was asked once more. */
  readonly onFound: (found: FoundUser) => void;
}

/** Finds out how users must prove themselves: by the users file, or by what `auth_query` says. */
export class LoginPlanner {
  readonly #host: LoginPlannerHost;

  constructor(host: LoginPlannerHost) {
    this.#host = host;
    host.credentials.setAskedShapes(host.lookups.shapes);
  }

  /**
   * Plans a login.
   *
   * @source PgBouncer manual, "auth_query", "auth_user", "auth_dbname"
   */
  plan(request: LoginRequest): LoginPlan | PendingPlan | PlanFailure {
    const { method, user, target } = request;
    const { credentials, lookups } = this.#host;
    if (method === 'any' || credentials.isInFile(user)) {
      return credentials.resolveLogin(method, user);
    }
    const source = this.#sourceOf(target);
    if (source === null) {
      return credentials.resolveLogin(method, user);
    }
    if ('error' in source) {
      return source;
    }
    const answer = lookups.cached(source, user);
    if (answer === null) {
      return this.#ask(request, source);
    }
    return this.#isTooOld(request, source, answer)
      ? this.#renew(request, source, answer)
      : this.#planBy(request, source, answer, true);
  }

  /**
   * Whether a kept answer is not good enough. The challenge of SCRAM has the salt of the secret, and
   * `md5` chooses its challenge by the kind of it: if the password has been changed, no proof that the
   * client can give then fits. A password in clear text can be held against a newer secret.
   */
  #isTooOld(
    { method, user }: LoginRequest,
    source: AuthQuerySource,
    answer: FoundUser | UnknownUser,
  ): boolean {
    switch (method) {
      case 'md5':
      case 'scram-sha-256':
        return this.#host.lookups.mayRenew(source, user);
      case 'trust':
        // There is no proof that could fail and have it asked again.
        return answer.kind === 'unknown' && this.#host.lookups.mayRenew(source, user);
      case 'plain':
      case 'any':
        return false;
      default:
        return assertNever(method);
    }
  }

  /**
   * Plans a login that another method checks, which takes users who are known only.
   *
   * @param planBy - Makes the plan, now or when the user has been looked up.
   */
  planKnown(
    request: Omit<LoginRequest, 'method'>,
    planBy: (isKnown: boolean) => LoginPlan,
  ): LoginPlan | PendingPlan | PlanFailure {
    const plan = this.plan({ ...request, method: 'trust' });
    const isKnown = (known: LoginPlan): boolean => known.method === 'trust' && known.isKnown;
    if ('error' in plan) {
      return plan;
    }
    if (plan.method !== 'pending') {
      return planBy(isKnown(plan));
    }
    return {
      method: 'pending',
      wait: (done) =>
        plan.wait((outcome) => {
          done('error' in outcome ? outcome : planBy(isKnown(outcome)));
        }),
    };
  }

  /** Where a user who asks for `target` is looked up; null when nowhere. */
  sourceOf(target: LoginRequest['target']): AuthQuerySource | null {
    const source = this.#sourceOf(target);
    return source === null || 'error' in source ? null : source;
  }

  /** Where to ask; null when there is nobody to ask. */
  #sourceOf(target: LoginRequest['target']): AuthQuerySource | PlanFailure | null {
    const settings = this.#host.settings();
    const config = target === null || target === 'console' ? null : target.config;
    const user = given(config?.authUser) ?? given(settings.authUser);
    const ownName = target === null || target === 'console' ? null : target.name;
    const name = given(config?.authDbname) ?? given(settings.authDbname) ?? ownName;
    if (target === null || user === null || name === null) {
      return null;
    }
    const database = this.#host.findDatabase(name);
    if (database === null) {
      const error = poolerError('badConfiguration');
      return { error, reason: `auth_dbname "${name}" is no database` };
    }
    if (database.isDisabled) {
      const error = poolerError('authDatabaseDisabled', name);
      return { error, reason: error.message };
    }
    return { database: name, user, query: config?.authQuery ?? settings.authQuery };
  }

  #ask(request: LoginRequest, source: AuthQuerySource): PendingPlan {
    const { lookups } = this.#host;
    return {
      method: 'pending',
      wait: (done) =>
        lookups.ask(source, request.user, (answer) => {
          done(
            answer.kind === 'failed'
              ? { error: answer.error, reason: `auth_query: ${answer.reason}` }
              : this.#planBy(request, source, answer, false),
          );
        }),
    };
  }

  /** A server that is slow, or gives no answer, keeps nobody waiting who is known. */
  #renew(
    request: LoginRequest,
    source: AuthQuerySource,
    kept: FoundUser | UnknownUser,
  ): PendingPlan {
    const { lookups } = this.#host;
    return {
      method: 'pending',
      wait: (done) =>
        lookups.renew(source, request.user, (newer) => {
          done(this.#planBy(request, source, newer ?? kept, newer === null));
        }),
    };
  }

  /** @param isOld - whether the answer may have been overtaken by a change on the server. */
  #planBy(
    request: LoginRequest,
    source: AuthQuerySource,
    answer: FoundUser | UnknownUser,
    isOld: boolean,
  ): LoginPlan {
    const { credentials, lookups } = this.#host;
    if (answer.kind === 'found') {
      request.onFound(answer);
    }
    const plan = credentials.resolveLogin(request.method, request.user, answer);
    if (!isOld || plan.method === 'trust') {
      return plan;
    }
    return {
      ...plan,
      recheck: (done) =>
        lookups.refresh(source, request.user, (newer) => {
          done(newer.kind === 'failed' ? null : this.#planBy(request, source, newer, false));
        }),
    };
  }
}

/** An empty text says as little as none. */
function given(text: string | null | undefined): string | null {
  return text === undefined || text === '' ? null : text;
}
