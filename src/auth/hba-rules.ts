import type { LdapOptions } from '../config/ldap-options.ts';
import { isInNetwork } from '../net/ip-address.ts';
import type { IpAddress, IpNetwork } from '../net/ip-address.ts';
import { isNamed } from './hba-names.ts';
import type { HbaNames } from './hba-names.ts';
import type { IdentMap } from './ident-map.ts';

/** What kind of connection a rule is about, by the first word of its line. */
export const HBA_CONNECTIONS = ['local', 'host', 'hostssl', 'hostnossl'] as const;
/** One of {@link HBA_CONNECTIONS}. */
export type HbaConnection = (typeof HBA_CONNECTIONS)[number];

/** How a rule has users prove who they are; `password` and `plain` are the same. */
export type HbaMethod =
  'trust' | 'reject' | 'md5' | 'plain' | 'scram-sha-256' | 'peer' | 'cert' | 'pam' | 'ldap';

/** The addresses that a rule is about. */
export type HbaAddress =
  | { readonly kind: 'all' }
  /** An address of this machine. */
  | { readonly kind: 'samehost' }
  /** An address of a network that this machine is connected to. */
  | { readonly kind: 'samenet' }
  | { readonly kind: 'network'; readonly network: IpNetwork };

/** One line of an HBA file. */
export interface HbaRule {
  /** Counted from 1. */
  readonly line: number;
  readonly connection: HbaConnection;
  readonly databases: HbaNames;
  readonly users: HbaNames;
  /** `all` for `local`. */
  readonly address: HbaAddress;
  readonly method: HbaMethod;
  /** From names of certificates and of the system to users; `null` when they must be equal. */
  readonly map: IdentMap | null;
  /** Set for the method `ldap` alone. */
  readonly ldap: LdapOptions | null;
  /** The service named by `pamservice`, for the method `pam` alone; `null` for the usual one. */
  readonly pamService: string | null;
}

/** What a rule is chosen by. */
export interface ConnectionFacts {
  /** `null` on a unix socket. */
  readonly address: IpAddress | null;
  readonly isTls: boolean;
  /** As the client named it. */
  readonly database: string;
  readonly user: string;
  /** Physical replication matches rules that name `replication`, and no others. */
  readonly isPhysicalReplication: boolean;
}

/** Tells the addresses of this machine, each with the mask of its network. */
export type LocalNetworks = () => readonly IpNetwork[];

/**
 * Tells whether a rule is about a connection: all of its columns must match.
 *
 * @param localNetworks - Asked for `samehost` and `samenet` only.
 */
export function matchesRule(
  rule: HbaRule,
  facts: ConnectionFacts,
  localNetworks: LocalNetworks,
): boolean {
  const { database, user, isPhysicalReplication } = facts;
  const isDatabase = isPhysicalReplication
    ? rule.databases.isReplication
    : isNamed(rule.databases, database, user);
  return (
    isDatabase &&
    isNamed(rule.users, user, database) &&
    isConnection(rule.connection, facts) &&
    (facts.address === null || isAddress(rule.address, facts.address, localNetworks))
  );
}

function isConnection(connection: HbaConnection, { address, isTls }: ConnectionFacts): boolean {
  switch (connection) {
    case 'local':
      return address === null;
    case 'host':
      return address !== null;
    case 'hostssl':
      return address !== null && isTls;
    case 'hostnossl':
      return address !== null && !isTls;
  }
}

function isAddress(rule: HbaAddress, address: IpAddress, localNetworks: LocalNetworks): boolean {
  switch (rule.kind) {
    case 'all':
      return true;
    case 'network':
      return isInNetwork(address, rule.network);
    case 'samehost':
      return localNetworks().some((local) => isSame(local.address, address));
    case 'samenet':
      return localNetworks().some((local) => isInNetwork(address, local));
  }
}

function isSame(a: IpAddress, b: IpAddress): boolean {
  return a.length === b.length && a.every((byte, index) => byte === b[index]);
}
