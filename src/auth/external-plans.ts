import { isUtf8 } from 'node:buffer';
import { POOLER_ERRORS } from '../protocol/pooler-errors.ts';
import { SqlState } from '../protocol/sqlstate.ts';
import { refusePeer } from './certificate-identity.ts';
import type { ExternalMethods, PasswordJudge } from './external-method.ts';
import type { IdentMap } from './ident-map.ts';
import type { SystemPlan } from './system-login.ts';

/** A login that somebody outside of this process decides about. */
export interface ExternalLogin<Client> {
  readonly client: Client;
  readonly user: string;
  readonly methods: ExternalMethods<Client>;
}

/** A login whose password an LDAP server or PAM checks. */
export interface PasswordLogin<Client> extends ExternalLogin<Client> {
  readonly judge: PasswordJudge;
  /** Address of the client, empty on a unix socket. */
  readonly host: string;
  /** Told when the password was found right. */
  readonly onAccepted: (password: string) => void;
}

/** A login by the name of the system user. */
export interface PeerLogin<Client> extends ExternalLogin<Client> {
  readonly isUnixSocket: boolean;
  /** `null` when the names must be equal. */
  readonly map: IdentMap | null;
  /** Whether the user is in the users file. */
  readonly isKnown: boolean;
}

const JUDGE_NAMES = { ldap: 'LDAP', pam: 'PAM' } as const;

/**
 * Plans a login whose password somebody else checks. The users file has no say in it.
 *
 * @source PgBouncer setting `auth_type`, values `ldap` and `pam`
 */
export function planPassword<Client>(login: PasswordLogin<Client>): SystemPlan {
  const { judge, user, host, methods, onAccepted } = login;
  return {
    method: 'system',
    needsPassword: true,
    failedText: `${JUDGE_NAMES[judge.kind]} authentication failed`,
    failedSqlstate: SqlState.InvalidPassword,
    check: (borrowed, done) => {
      const password = Buffer.from(borrowed);
      if (!isUtf8(password)) {
        queueMicrotask(() => {
          done({ kind: 'refused', reason: 'the password is not valid UTF-8' });
        });
        return () => undefined;
      }
      return methods.checkPassword(judge, { user, password, host }, (verdict) => {
        if (verdict.kind === 'accepted') {
          onAccepted(password.toString('utf8'));
        }
        done(verdict);
      });
    },
  };
}

/**
 * Plans a login that needs no password: the system user at the other end of the unix socket must
 * have the name of the user, or be mapped to it.
 *
 * @source PostgreSQL manual, "Peer Authentication"; PgBouncer manual, "auth_type", peer
 */
export function planPeer<Client>(login: PeerLogin<Client>): SystemPlan {
  return {
    method: 'system',
    needsPassword: false,
    failedText: POOLER_ERRORS.peerRefused.text,
    failedSqlstate: POOLER_ERRORS.peerRefused.sqlstate,
    check: (_password, done) => {
      let isWanted = true;
      findRefusal(login, (refusal) => {
        if (isWanted) {
          done(refusal === null ? { kind: 'accepted' } : { kind: 'refused', reason: refusal });
        }
      });
      return () => {
        isWanted = false;
      };
    },
  };
}

/** @param done - Called once, never before this returns; `null` when there is no reason to refuse. */
function findRefusal<Client>(
  { client, user, methods, isUnixSocket, map, isKnown }: PeerLogin<Client>,
  done: (refusal: string | null) => void,
): void {
  if (!isUnixSocket) {
    queueMicrotask(() => {
      done('peer is for unix sockets only');
    });
    return;
  }
  methods.peerName(client, (peer) => {
    const refusal = 'problem' in peer ? peer.problem : refusePeer(peer.name, map, user);
    done(refusal ?? (isKnown ? null : 'no such user'));
  });
}
