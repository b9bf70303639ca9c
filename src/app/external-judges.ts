import type { SecureContext } from 'node:tls';
import type {
  ExternalMethods,
  NativeMethod,
  PasswordJudge,
  PasswordRequest,
  PeerName,
} from '../auth/external-method.ts';
import { LdapAuthority } from '../auth/ldap-authority.ts';
import { checkLdapPassword } from '../auth/ldap-client.ts';
import type { CancelCheck, SystemVerdict } from '../auth/system-login.ts';
import type { ClientConnection } from '../client/client-connection.ts';
import { ldapTrust, openLdapSocket } from '../net/ldap-socket.ts';
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
  readonly #ldap: LdapAuthority;
  /** Made when first needed, and anew after a reload. */
  #trust: SecureContext | null = null;

  constructor(options: ExternalJudgesOptions) {
    const lookup = asLookupFunction(options.lookup);
    const trust = (): SecureContext => {
      this.#trust ??= ldapTrust(ldapCertificates(process.env, options.readText));
      return this.#trust;
    };
    this.#ldap = new LdapAuthority({
      check: (ldap, request, signal) =>
        checkLdapPassword(
          ldap,
          request,
          {
            connect: (target, aborted) => openLdapSocket(target, { trust, lookup }, aborted),
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

  /** The files of certificates may have changed. */
  reload(): void {
    this.#trust = null;
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

  peerName(_client: ClientConnection, done: (peer: PeerName) => void): void {
    queueMicrotask(() => {
      done({ problem: WITHOUT_NATIVE });
    });
  }
}
