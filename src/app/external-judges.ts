import type {
  ExternalMethods,
  NativeMethod,
  PasswordJudge,
  PasswordRequest,
} from '../auth/external-method.ts';
import { LdapAuthority } from '../auth/ldap-authority.ts';
import { checkLdapPassword } from '../auth/ldap-client.ts';
import type { CancelCheck, SystemVerdict } from '../auth/system-login.ts';
import type { ClientConnection } from '../client/client-connection.ts';
import { openLdapSocket } from '../net/ldap-socket.ts';
import { asLookupFunction, type HostLookup } from '../server/server-target.ts';
import { ldapCertificates } from './ldap-trust.ts';

/** What the judges need. */
export interface ExternalJudgesOptions {
  /** @throws the error of the system. */
  readonly readText: (file: string) => string;
  readonly lookup: HostLookup;
  readonly randomBytes: (bytes: number) => Buffer;
}

/** Why there are neither PAM nor names of peers. */
export const WITHOUT_NATIVE = 'this version of maitred makes no system calls';

/** Those outside of this process who judge logins. */
export class ExternalJudges implements ExternalMethods<ClientConnection> {
  readonly #options: ExternalJudgesOptions;
  readonly #ldap: LdapAuthority;

  constructor(options: ExternalJudgesOptions) {
    this.#options = options;
    this.#ldap = new LdapAuthority({
      check: (ldap, request, signal) =>
        checkLdapPassword(
          ldap,
          request,
          {
            connect: (target, aborted) => openLdapSocket(target, this.#socketOptions(), aborted),
            random: options.randomBytes,
          },
          signal,
        ),
      after: (ms, action) => {
        const timer = setTimeout(action, ms);
        return () => {
          clearTimeout(timer);
        };
      },
    });
  }

  #socketOptions(): Parameters<typeof openLdapSocket>[1] {
    const { lookup, readText } = this.#options;
    return { ca: ldapCertificates(process.env, readText), lookup: asLookupFunction(lookup) };
  }

  unavailable(_method: NativeMethod): string | null {
    return WITHOUT_NATIVE;
  }

  checkPassword(
    judge: PasswordJudge,
    request: PasswordRequest,
    done: (verdict: SystemVerdict) => void,
  ): CancelCheck {
    if (judge.kind === 'ldap') {
      return this.#ldap.check(judge.options, request, done);
    }
    queueMicrotask(() => {
      done({ kind: 'refused', reason: WITHOUT_NATIVE });
    });
    return () => undefined;
  }

  peerName(_client: ClientConnection, done: (name: string | null) => void): void {
    queueMicrotask(() => {
      done(null);
    });
  }
}
