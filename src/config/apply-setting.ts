import { findAuthProblems } from './auth-rules.ts';
import { keyForMessage, quoteForMessage } from './config-error.ts';
import type { Config } from './config.ts';
import { GLOBAL_SETTINGS } from './global-settings.ts';
import { parseConsoleValue } from './ini-values.ts';
import { describeWithoutNative, needsNative } from './native-need.ts';
import { nearestName } from './nearest-name.ts';
import { propertyName } from './setting.ts';
import { findSetting } from './read-section.ts';
import { findTlsProblems } from './tls-rules.ts';
import { describeAllowed } from './value-text.ts';

/** What SET gives: the new configuration, or why there is none, as a sentence. */
export type SetOutcome = { readonly config: Config } | { readonly problem: string };

function describeUnknown(key: string): string {
  const nearest = nearestName(key, Object.keys(GLOBAL_SETTINGS));
  const hint = nearest === null ? '' : ` (did you mean ${nearest}?)`;
  return `unknown parameter: ${keyForMessage(key)}${hint}`;
}

/**
 * Changes one global setting for the console's SET.
 *
 * @param config - The configuration in use; it is not changed.
 * @param key - PgBouncer's name, case-sensitive.
 * @param valueText - The value as SHOW CONFIG spells it, or as in a file of either format.
 * @param nativeProblem - Why there are no system calls; `null` when there are.
 * @returns A copy with the new value, or what is wrong: unknown name, bad value, a value that is
 * not supported yet or needs system calls that there are none, or a setting that only a restart can change.
 */
export function applySetting(
  config: Config,
  key: string,
  valueText: string,
  nativeProblem: () => string | null = () => null,
): SetOutcome {
  const found = findSetting(GLOBAL_SETTINGS, key);
  if (found === null) {
    return { problem: describeUnknown(key) };
  }
  const { name, setting } = found;
  if (!setting.reloadable) {
    return { problem: `${name} cannot be changed at run time; set it in the file and restart` };
  }
  const parsed = parseConsoleValue(valueText, setting);
  const wrong = (why: string, allowed: string): SetOutcome => {
    const shown = setting.secret ? '***' : valueText;
    const problem = `invalid value ${quoteForMessage(shown)} for parameter ${name}: ${why}; allowed: ${allowed}`;
    return { problem };
  };
  if ('wrong' in parsed) {
    return wrong(parsed.wrong, describeAllowed(setting));
  }
  const problem = needsNative(setting, parsed.value) ? nativeProblem() : null;
  if (problem !== null) {
    return wrong(problem, describeWithoutNative(setting));
  }
  if (setting.support === 'not-yet') {
    return { config };
  }
  const settings = { ...config.settings, [propertyName(name, setting)]: parsed.value };
  const [conflict] = [...findAuthProblems(settings), ...findTlsProblems(settings)];
  return conflict === undefined
    ? { config: { ...config, settings } }
    : { problem: conflict.problem };
}
