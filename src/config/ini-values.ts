import { keyForMessage } from './config-error.ts';
import type { Dialect, Scope } from './dialect.ts';
import type { Setting } from './setting.ts';
import {
  checkNumber,
  describeAllowed,
  parseByType,
  parseValue,
  refuseUnsupported,
  showValue,
} from './value-text.ts';
import type { Notation, ParsedValue } from './value-text.ts';

const C_INTEGER = /^([+-]?)(?:(0x[\da-f]+)|0([0-7]*)|([1-9]\d*))$/i;
const SECONDS = /^(?:[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:e[+-]?\d+)?|0x[\da-f]+)$/i;
const LEADING_INTEGER = /^[+-]?\d+/;

/** Reads what C's strtol reads with base 0, if that is the whole text. */
function readCInteger(text: string): number | null {
  const [matched, sign, hex, octal, decimal] = C_INTEGER.exec(text) ?? [];
  if (matched === undefined) {
    return null;
  }
  const magnitude =
    octal === undefined ? Number(hex ?? decimal) : octal === '' ? 0 : Number.parseInt(octal, 8);
  return sign === '-' ? 0 - magnitude : magnitude;
}

function isNumeric({ type }: Setting): boolean {
  return type === 'int' || type === 'uint' || type === 'time' || type === 'size';
}

/** Counts the parsed unit in one unit of the file: a time is written in seconds. */
function unitOf({ type }: Setting): number {
  return type === 'time' ? 1_000 : 1;
}

const GLOBAL_NOTATION: Notation = {
  readSwitch: (text) => {
    const number = readCInteger(text);
    return number === null ? null : number !== 0;
  },
  readNumber: (text, setting) => {
    if (setting.type === 'time' && !setting.wholeSeconds) {
      return SECONDS.test(text) ? Number(text) * 1_000 + 0 : null;
    }
    const number = readCInteger(text);
    return number === null ? null : number * unitOf(setting) + 0;
  },
};

/**
 * Reads a number inside a connection string as C's atoi does: decimal digits, the rest is dropped.
 * The rest is warned of. Text without a number is refused where PgBouncer reads 0, which would lift
 * a limit or mean something else than was written.
 */
function parseEntryNumber(text: string, setting: Setting): ParsedValue {
  const digits = LEADING_INTEGER.exec(text)?.[0] ?? '';
  const number = Number(digits);
  if (digits === '' || (number === 0 && digits !== text)) {
    return { wrong: 'not a whole number' };
  }
  const checked = checkNumber(number * unitOf(setting) + 0, setting);
  if ('wrong' in checked || digits === text) {
    return checked;
  }
  return { ...checked, warning: `read as ${digits}, without the text after the number` };
}

/** Accepts what is not supported yet and harmless. */
function tolerate(text: string, setting: Setting, parsed: ParsedValue): ParsedValue {
  if (setting.support === 'not-yet' && setting.type === 'str' && text === '') {
    // Whatever the default is, an empty text turns such a setting off.
    return { value: setting.default };
  }
  const word = text.toLowerCase();
  if ('wrong' in parsed && !setting.notYetValues.includes(word)) {
    return parsed;
  }
  const strict = refuseUnsupported(parsed, setting);
  const { tolerated } = setting;
  if ('value' in strict || tolerated === null) {
    return strict;
  }
  const shown = 'value' in parsed ? showValue(parsed.value, setting) : word;
  const isTolerated = tolerated.values === 'any' || tolerated.values.includes(shown ?? '');
  return isTolerated
    ? { value: setting.default, warning: `not supported yet; ${tolerated.instead}` }
    : strict;
}

/**
 * Reads the text of a value of an ini file by its table row.
 *
 * @param text - The value as written, without white space around it.
 * @param setting - The row that says what is allowed.
 * @param scope - Where it stands: numbers of entries are read more leniently than global ones.
 * @source PgBouncer manual, "Generic settings": integers as in C, times in decimal seconds, switches
 * as numbers.
 */
export function parseIniValue(text: string, setting: Setting, scope: Scope): ParsedValue {
  const parsed =
    scope !== 'maitred' && isNumeric(setting)
      ? parseEntryNumber(text, setting)
      : parseByType(text, setting, GLOBAL_NOTATION);
  return tolerate(text, setting, parsed);
}

/**
 * Reads the value that SET gives a global setting: as an ini file spells it, since that is what
 * PgBouncer's console takes, else as a YAML file does, with a unit or a word.
 *
 * @param text - The value as written.
 * @param setting - The row that says what is allowed.
 */
export function parseConsoleValue(text: string, setting: Setting): ParsedValue {
  const parsed = refuseUnsupported(parseByType(text, setting, GLOBAL_NOTATION), setting);
  // A number with leading zeros is octal, or nothing.
  return 'value' in parsed || /^[+-]?0\d+$/.test(text) ? parsed : parseValue(text, setting);
}

function describeIniAllowed(setting: Setting, scope: Scope): string {
  if (setting.support === 'not-yet' || (!isNumeric(setting) && setting.type !== 'switch')) {
    return describeAllowed(setting);
  }
  if (setting.type === 'switch') {
    return '0 for off, 1 for on';
  }
  const unit = unitOf(setting);
  const inherit = setting.inherit === 'never' ? '' : ', or a negative number to inherit';
  const range = `from ${String(setting.min / unit)} to ${String(setting.max / unit)}${inherit}`;
  if (setting.octal) {
    return `an octal number from 0 to 0${setting.max.toString(8)}, with a leading 0`;
  }
  if (setting.type === 'time') {
    const isWhole = setting.wholeSeconds || scope !== 'maitred';
    return `${isWhole ? 'whole' : 'decimal'} seconds without a unit, ${range}`;
  }
  return `${setting.type === 'size' ? 'bytes' : 'a whole number'} ${range}`;
}

/** What PgBouncer calls a bad value of an entry. */
const BAD_VALUES: ReadonlyMap<string, string> = new Map([
  ['port', 'invalid port'],
  ['pool_mode', 'invalid pool mode'],
  ['load_balance_hosts', 'invalid load_balance_hosts'],
]);

/** Reads values as PgBouncer's ini files spell them. */
export const INI_DIALECT: Dialect = {
  isLastWinning: true,
  parse: parseIniValue,
  describeAllowed: describeIniAllowed,
  // In a connection string, what does not look like a key may be a piece of a password.
  showKey: (scope, key) => (scope === 'maitred' || /^[a-z_-]{1,40}$/i.test(key) ? key : '***'),
  describeUnknown: (scope, key) => {
    switch (scope) {
      case 'maitred':
        return `unknown parameter: pgbouncer/${key === '' ? '' : keyForMessage(key)}`;
      case 'databases':
      case 'peers':
        return `unrecognized connection parameter: ${key}`;
      case 'users':
        return `unrecognized user parameter: ${key}`;
    }
  },
  describeWrong: (scope, name, shown, wrong) => {
    const text = scope === 'maitred' ? undefined : BAD_VALUES.get(name);
    return text === undefined ? wrong : `${text}: ${keyForMessage(shown)} (${wrong})`;
  },
};
