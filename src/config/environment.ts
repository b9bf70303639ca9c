import type { Place, ProblemList } from './config-error.ts';
import { GLOBAL_SETTINGS } from './global-settings.ts';
import { nearestName } from './nearest-name.ts';
import type { RawEntry, RawMap } from './raw-node.ts';

const PREFIX = 'MAITRED_';

/** What Kubernetes sets in every container beside a service that is called maitred. */
const SERVICE_VARIABLE = /^(?:PORT|SERVICE)(?:_|$)/;

/** The place of what a variable says. */
function placeOf(variable: string): Place {
  return { line: 0, column: 0, file: `environment variable ${variable}` };
}

/**
 * Finds the global settings that environment variables override: `MAITRED_POOL_MODE` for
 * `pool_mode`. A variable that looks like a misspelt setting is warned of; others may mean
 * something to something else.
 *
 * @param env - Variables by name.
 * @param problems - Where warnings go.
 * @returns The settings as if written in a file.
 */
export function readEnvironment(
  env: Readonly<Record<string, string | undefined>>,
  problems: ProblemList,
): RawMap {
  const entries: RawEntry[] = [];
  const names = Object.keys(GLOBAL_SETTINGS);
  for (const [variable, text] of Object.entries(env)) {
    if (text !== undefined && variable.startsWith(PREFIX)) {
      const rest = variable.slice(PREFIX.length);
      const place = placeOf(variable);
      const key = rest.toLowerCase();
      if (Object.hasOwn(GLOBAL_SETTINGS, key) && rest === key.toUpperCase()) {
        entries.push({ key, keyPlace: place, value: { kind: 'text', place, text } });
      } else {
        const nearest = SERVICE_VARIABLE.test(rest) ? null : nearestName(key, names);
        if (nearest !== null) {
          const meant = `${PREFIX}${nearest.toUpperCase()}`;
          problems.warn(place, `no setting has this name (did you mean ${meant}?)`);
        }
      }
    }
  }
  return { kind: 'map', place: { line: 0, column: 0, file: 'environment' }, entries };
}
