import { networkInterfaces } from 'node:os';
import type { LocalNetworks } from '../auth/hba-rules.ts';
import { parseIpAddress } from '../net/ip-address.ts';
import type { IpNetwork } from '../net/ip-address.ts';

/** How long an answer of the system is kept, in ms: logins come by the hundred. */
const KEPT_MS = 1000;

/** Tells the addresses of this machine and the masks of their networks, as they are now. */
export function readLocalNetworks(): readonly IpNetwork[] {
  return Object.values(networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    .flatMap(({ address, netmask }) => {
      const parsed = parseIpAddress(address);
      const mask = parseIpAddress(netmask);
      return parsed === null || mask === null ? [] : [{ address: parsed, mask }];
    });
}

/** Keeps an answer for a moment. */
export function cachedLocalNetworks(nowMs: () => number, read = readLocalNetworks): LocalNetworks {
  let networks: readonly IpNetwork[] = [];
  let expiresAtMs = -Infinity;
  return () => {
    if (nowMs() >= expiresAtMs) {
      networks = read();
      expiresAtMs = nowMs() + KEPT_MS;
    }
    return networks;
  };
}
