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
import { PamChecker } from '../auth/pam-checker.ts';
import type { CancelCheck, SystemVerdict } from '../auth/system-login.ts';
import type { ClientConnection } from '../client/client-connection.ts';
import { ldapTrust, openLdapSocket } from '../net/ldap-socket.ts';
import type { Native } from '../net/native.ts';
import { asLookupFunction, type HostLookup } from '../server/server-target.ts';
import { ldapCertificates } from './ldap-trust.ts';
import { startPamProcess } from './pam-process.ts';

/** What the judges need. */
export interface ExternalJudgesOptions {
  /** @throws the error of the system. */
  readonly readText: (file: string) => string;
  readonly lookup: HostLookup;
  readonly randomBytes: (bytes: number) => Buffer;
  /** System calls, for names of peers and for PAM. */
  readonly native: Native;
  readonly nowMs: () => number;
}

/** Those outside of this process who judge logins. */
export class ExternalJudges implements ExternalMethods<ClientConnection> {
  readonly #ldap: LdapAuthority;
  readonly #pam: PamChecker;
  readonly #native: Native;
  /** Made when first needed, and anew after a reload. */
  #trust: SecureContext | null = null;

  constructor(options: ExternalJudgesOptions) {
    this.#native = options.native;
    this.#pam = new PamChecker({ startWorker: () => startPamProcess(), nowMs: options.nowMs });
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

  /** To be called a few times a second. */
  onTick(): void {
    this.#pam.onTick();
  }

  unavailable(_method: NativeMethod): string | null {
    return this.#native.problem;
  }

  checkPassword(
    judge: PasswordJudge,
    request: PasswordRequest,
    done: (verdict: SystemVerdict) => void,
  ): CancelCheck {
    return judge.kind === 'ldap'
      ? this.#ldap.check(judge.options, request, done)
      : this.#pam.check({ ...request, service: judge.service }, done);
  }

  peerName({ peer }: ClientConnection, done: (peer: PeerName) => void): void {
    const { calls, problem } = this.#native;
    if (calls === null || peer === null) {
      queueMicrotask(() => {
        done({ problem: problem ?? 'the system does not tell who is at the other end' });
      });
      return;
    }
    calls.findUserName(peer.uid, (error, name) => {
      const id = String(peer.uid);
      if (error !== null) {
        done({ problem: `system user ${id} could not be looked up: ${error.message}` });
      } else {
        done(name === null ? { problem: `system user ${id} has no name` } : { name });
      }
    });
  }
}
