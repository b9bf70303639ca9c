import { refuseCertificate } from '../auth/certificate-identity.ts';
import { planPassword, planPeer } from '../auth/external-plans.ts';
import { HbaIndex } from '../auth/hba-index.ts';
import type { HbaMethod, HbaRule, LocalNetworks } from '../auth/hba-rules.ts';
import type { IdentMap } from '../auth/ident-map.ts';
import { PAM_SERVICE } from '../auth/pam-library.ts';
import type { LoginPlan, PendingPlan, PlanFailure, RejectPlan } from '../auth/login-plan.ts';
import type { ClientConnection } from '../client/client-connection.ts';
import type { StartupParameters } from '../client/startup-parameters.ts';
import { parseLdapOptions } from '../config/ldap-options.ts';
import type { LdapOptions } from '../config/ldap-options.ts';
import { parseIpAddress, withoutMapping } from '../net/ip-address.ts';
import { POOLER_ERRORS, type PoolerErrorName } from '../protocol/pooler-errors.ts';
import { findLdapProblem, loadAccessRules } from './access-rules.ts';
import type { LoginRequest } from './login-planner.ts';
import { cachedLocalNetworks } from './local-networks.ts';
import type { Pooler } from './pooler.ts';

/** A method and what goes with it. */
interface ChosenMethod {
  readonly method: HbaMethod | 'any';
  readonly map: IdentMap | null;
  readonly ldap: LdapOptions | null;
  readonly pamService: string | null;
  /** Where it was chosen, for the log. */
  readonly place: string;
}

/** Where to look the user up, and who is told. */
type LoginLookup = Pick<LoginRequest, 'target' | 'onFound'>;

/** Decides how each client must prove who it is: by `auth_type`, or by the rules of HBA. */
export class LoginMethods {
  readonly #pooler: Pooler;
  readonly #localNetworks: LocalNetworks;
  #rules = new HbaIndex([]);
  /** Whether the rules have been read since the start. */
  #isLoaded = false;
  #ldap: LdapOptions | null = null;

  constructor(pooler: Pooler) {
    this.#pooler = pooler;
    this.#localNetworks = cachedLocalNetworks(() => pooler.nowMs());
  }

  /**
   * Reads the files that `auth_type` asks for. Problems are logged; lines that could be read count,
   * and where a whole file cannot be read, that of the maps included, the rules stay as they were.
   */
  load(): void {
    const { settings, environment, external, logger } = this.#pooler;
    external.reload();
    const ldap = parseLdapOptions(settings.authLdapOptions ?? '');
    this.#ldap = 'wrong' in ldap ? null : ldap;
    const problem = findLdapProblem(settings);
    if (problem !== null) {
      logger.warn('config_warning', { problem });
    }
    if (settings.authType !== 'hba') {
      return;
    }
    const { rules, isWithoutMaps, problems } = loadAccessRules(settings, {
      readText: (file) => environment.readText(file),
      unavailable: (method) => external.unavailable(method),
    });
    for (const found of problems) {
      if (found.line === 0) {
        logger.error('hba_file_problem', found);
      } else {
        logger.warn('hba_file_problem', found);
      }
    }
    // Old maps are better than none; without old ones, lines with a map refuse whoever they match.
    if (rules !== null && !(isWithoutMaps && this.#isLoaded)) {
      this.#rules = new HbaIndex(rules);
      this.#isLoaded = true;
    }
  }

  /**
   * How `client` must prove that it is the user it says; a user who is not in `auth_file` may have to
   * be looked up for that.
   */
  planOf(
    client: ClientConnection,
    startup: StartupParameters,
    lookup: LoginLookup,
  ): LoginPlan | PendingPlan | PlanFailure {
    const { authType } = this.#pooler.settings;
    if (authType !== 'hba') {
      const place = `auth_type ${authType}`;
      const chosen = { method: authType, map: null, ldap: this.#ldap, pamService: null, place };
      return this.#plan(chosen, client, startup, lookup);
    }
    const rule = this.#findRule(client, startup);
    return rule === null
      ? reject('no line of auth_hba_file matches', 'noLoginMethod')
      : this.#plan({ ...rule, place: `hba line ${String(rule.line)}` }, client, startup, lookup);
  }

  #findRule(client: ClientConnection, startup: StartupParameters): HbaRule | null {
    const { user, database, replication } = startup;
    const isUnix = client.isRemoteUnix;
    const address = isUnix ? null : parseIpAddress(client.remote.address);
    if (!isUnix && address === null) {
      // The socket is closed already, and has no address any more.
      return null;
    }
    const facts = {
      address: address === null ? null : withoutMapping(address),
      isTls: client.security.isSecure,
      database,
      user,
      isPhysicalReplication: replication?.kind === 'physical',
    };
    return this.#rules.find(facts, this.#localNetworks);
  }

  #plan(
    chosen: ChosenMethod,
    client: ClientConnection,
    { user }: StartupParameters,
    lookup: LoginLookup,
  ): LoginPlan | PendingPlan | PlanFailure {
    const { planner } = this.#pooler;
    switch (chosen.method) {
      case 'reject':
        return reject(`rejected by ${chosen.place}`, 'loginRejected');
      case 'cert':
        return this.#planCertificate(chosen, client, user, lookup);
      case 'peer':
        return planner.planKnown({ user, ...lookup }, (isKnown) =>
          planPeer({
            client,
            user,
            methods: this.#pooler.external,
            // The system would tell who the proxy is.
            isUnixSocket: client.unixPath !== null && !client.isProxied,
            map: chosen.map,
            isKnown,
          }),
        );
      case 'ldap':
        return chosen.ldap === null
          ? reject('auth_ldap_options is null', 'badConfiguration')
          : this.#planPassword({ kind: 'ldap', options: chosen.ldap }, client, user);
      case 'pam':
        return this.#planPassword(
          { kind: 'pam', service: chosen.pamService ?? PAM_SERVICE },
          client,
          user,
        );
      default:
        return planner.plan({ method: chosen.method, user, ...lookup });
    }
  }

  #planCertificate(
    { map }: ChosenMethod,
    client: ClientConnection,
    user: string,
    lookup: LoginLookup,
  ): LoginPlan | PendingPlan | PlanFailure {
    const refusal = refuseCertificate(client.security.certificate, map, user);
    if (refusal !== null) {
      return reject(refusal, 'certificateRefused');
    }
    return this.#pooler.planner.planKnown({ user, ...lookup }, (isKnown) =>
      isKnown ? { method: 'trust', isKnown } : reject('no such user', 'certificateRefused'),
    );
  }

  #planPassword(
    judge: Parameters<typeof planPassword>[0]['judge'],
    client: ClientConnection,
    user: string,
  ): LoginPlan {
    const { credentials, external } = this.#pooler;
    return planPassword({
      judge,
      client,
      user,
      methods: external,
      host: client.isRemoteUnix ? '' : client.remote.address,
      onAccepted: (password) => {
        credentials.learnPassword(user, password);
      },
    });
  }
}

function reject(reason: string, error: PoolerErrorName): RejectPlan {
  const { text, sqlstate } = POOLER_ERRORS[error];
  return { method: 'reject', reason, failedText: text, failedSqlstate: sqlstate };
}
