import type { Setting } from './setting.ts';
import { AUTH_SETTINGS } from './settings-auth.ts';
import { NETWORK_SETTINGS } from './settings-network.ts';
import { POOLING_SETTINGS } from './settings-pooling.ts';
import { OWN_SETTINGS, PROCESS_SETTINGS } from './settings-process.ts';
import { TIMEOUT_SETTINGS } from './settings-timeouts.ts';
import { TLS_SETTINGS } from './settings-tls.ts';

/** Every global setting by PgBouncer's name: the one source of their types, ranges and texts. */
export const GLOBAL_SETTINGS = {
  ...POOLING_SETTINGS,
  ...TIMEOUT_SETTINGS,
  ...NETWORK_SETTINGS,
  ...AUTH_SETTINGS,
  ...PROCESS_SETTINGS,
  ...TLS_SETTINGS,
  ...OWN_SETTINGS,
} as const;

/**
 * Sorts setting names as PgBouncer lists them: by character code, except that `pool_mode` stands
 * before `pool_idle_timeout`. Those that PgBouncer does not have come last.
 *
 * @source PgBouncer, SHOW CONFIG.
 */
function compareShowOrder(a: string, b: string): number {
  const keyOf = (name: string): string => (name === 'pool_mode' ? 'pool_i' : name);
  const isOwn = (name: string): boolean => name in OWN_SETTINGS;
  if (isOwn(a) !== isOwn(b)) {
    return isOwn(a) ? 1 : -1;
  }
  return keyOf(a) < keyOf(b) ? -1 : 1;
}

/** The global settings in the order of SHOW CONFIG. */
export const SETTINGS_IN_SHOW_ORDER: readonly (readonly [string, Setting])[] = Object.entries(
  GLOBAL_SETTINGS,
).sort(([a], [b]) => compareShowOrder(a, b));
