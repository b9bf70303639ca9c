import type { Settings } from '../config/config.ts';
import { DnsCache } from '../net/dns-cache.ts';
import { DnsZones } from '../net/dns-zones.ts';
import { SYSTEM_RESOLVER_FILES, SystemResolver } from '../net/resolver.ts';
import type { Pooler } from './pooler.ts';

/** What asks for host names, as the system does unless `resolv_conf` names another file. */
export function makeResolver({ resolvConf }: Settings): SystemResolver {
  return new SystemResolver({
    ...SYSTEM_RESOLVER_FILES,
    ...(resolvConf === '' ? {} : { resolver: resolvConf }),
  });
}

/** What the names of servers stand for; server connections to addresses that are gone are replaced. */
export function makeDnsCache(pooler: Pooler, resolver: SystemResolver): DnsCache {
  return new DnsCache({
    resolver,
    get maxTtlMs() {
      return pooler.settings.dnsMaxTtlMs;
    },
    get failureTtlMs() {
      return pooler.settings.dnsNxdomainTtlMs;
    },
    nowMs: () => pooler.nowMs(),
    onFailure: (host, error) => {
      pooler.logger.warn('dns_lookup_failed', { host, error: error.code });
    },
    onResolved: (host, addresses) => {
      if (pooler.logger.isNoise) {
        pooler.logger.debug('dns_lookup_done', { host, addresses });
      }
    },
    onVanished: (host, addresses) => {
      pooler.retireWhere(
        ({ target, place }) => target.host === host && addresses.has(place.host ?? ''),
        'server address changed',
      );
    },
  });
}

/** Watches the zones of the names in use, so that changes are seen before their time. */
export function makeDnsZones(pooler: Pooler, resolver: SystemResolver): DnsZones {
  return new DnsZones({
    get names() {
      return pooler.dns.entries.map(({ name }) => name);
    },
    get periodMs() {
      return pooler.settings.dnsZoneCheckPeriodMs;
    },
    nowMs: () => pooler.nowMs(),
    querySerial: (zone) => resolver.querySerial(zone),
    onChanged: ({ zone, oldSerial, newSerial, names }) => {
      pooler.logger.info('dns_zone_changed', { zone, oldSerial, newSerial });
      for (const name of names) {
        pooler.dns.refresh(name);
      }
    },
  });
}
