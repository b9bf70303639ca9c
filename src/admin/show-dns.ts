import { column, defineTable, type ShowTable, sortedBy } from './show-columns.ts';
import type { DnsHostSnapshot, DnsZoneSnapshot } from './snapshots.ts';

const MS_PER_SECOND = 1000;

/** An address as PgBouncer prints it: with a port, which a name does not have. */
function addressText(address: string): string {
  return address.includes(':') ? `[${address}]:0` : `${address}:0`;
}

/** SHOW DNS_HOSTS, sorted by name. @source PgBouncer manual, "Admin console": SHOW DNS_HOSTS */
export const SHOW_DNS_HOSTS: ShowTable = defineTable<DnsHostSnapshot>(
  [
    column('hostname', 'text', ({ hostname }) => hostname),
    column('ttl', 'int8', ({ ttlMs }) => ttlMs / MS_PER_SECOND),
    column('addrs', 'text', ({ addresses }) => addresses.map(addressText).join(',')),
  ],
  (control) => sortedBy(control.dnsHosts(), ({ hostname }) => hostname),
);

/** SHOW DNS_ZONES, sorted by name. @source PgBouncer manual, "Admin console": SHOW DNS_ZONES */
export const SHOW_DNS_ZONES: ShowTable = defineTable<DnsZoneSnapshot>(
  [
    column('zonename', 'text', ({ name }) => name),
    column('serial', 'int8', ({ serial }) => serial),
    column('count', 'int4', ({ count }) => count),
  ],
  (control) => sortedBy(control.dnsZones(), ({ name }) => name),
);
