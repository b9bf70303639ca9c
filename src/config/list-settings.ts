import type { Config } from './config.ts';
import { SETTINGS_IN_SHOW_ORDER } from './global-settings.ts';
import { propertyName } from './setting.ts';
import type { Setting, SettingValue } from './setting.ts';
import { showValue } from './value-text.ts';

/** One row of SHOW CONFIG. */
export interface ListedSetting {
  readonly key: string;
  /** PgBouncer's spelling; `null` is NULL. */
  readonly value: string | null;
  readonly default: string | null;
  readonly changeable: boolean;
}

function currentValue(config: Config, name: string, setting: Setting): SettingValue {
  if (name === 'conffile') {
    return config.settings.conffile ?? config.file;
  }
  const values: Readonly<Record<string, SettingValue>> = config.settings;
  // A setting that is not supported yet has no property: it is always at its default.
  return (
    values[propertyName(name, setting)] ?? (setting.support === 'not-yet' ? setting.default : null)
  );
}

/** As the default stands in PgBouncer's own table: a file mode is octal there, other than its value. */
function showDefault(setting: Setting): string | null {
  const { octal, default: value } = setting;
  return octal && typeof value === 'number' ? `0${value.toString(8)}` : showValue(value, setting);
}

/**
 * As SHOW CONFIG has it. COMPAT: a secret is hidden; PgBouncer shows the password of
 * auth_ldap_options to everybody who may look.
 */
function showCurrent(config: Config, key: string, setting: Setting): string | null {
  const shown = showValue(currentValue(config, key, setting), setting);
  return setting.secret && shown !== null && shown !== '' ? '***' : shown;
}

/**
 * Lists all global settings for SHOW CONFIG.
 *
 * @param config - The configuration in use.
 * @returns PgBouncer's names, order and spelling of the values: times in seconds, switches as 0
 * and 1, the value of unix_socket_mode in decimal, `***` for a secret.
 * @source PgBouncer, SHOW CONFIG.
 */
export function listSettings(config: Config): readonly ListedSetting[] {
  return SETTINGS_IN_SHOW_ORDER.map(([key, setting]) => ({
    key,
    value: showCurrent(config, key, setting),
    default: setting.hasDefault ? showDefault(setting) : null,
    changeable: setting.reloadable,
  }));
}
