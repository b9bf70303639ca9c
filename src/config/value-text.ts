import { formatG } from './format-number.ts';
import type { Setting, SettingValue } from './setting.ts';

/**
 * The outcome of reading a value: the typed value, with a clause to warn of when it may not be what
 * was meant; or what is wrong with the text as a clause.
 */
export type ParsedValue =
  { readonly value: SettingValue; readonly warning?: string } | { readonly wrong: string };

/** How a file format spells numbers and switches. */
export interface Notation {
  /** Reads an on/off value; `null` when it is none. */
  readonly readSwitch: (text: string) => boolean | null;
  /** Reads a number in the row's unit, ms or bytes; `null` when it is none. */
  readonly readNumber: (text: string, setting: Setting) => number | null;
}

const NOT_YET = 'not supported yet';

const SWITCH_WORDS: ReadonlyMap<string, boolean> = new Map([
  ['1', true],
  ['on', true],
  ['true', true],
  ['yes', true],
  ['0', false],
  ['off', false],
  ['false', false],
  ['no', false],
]);

const MS_PER_TIME_UNIT: ReadonlyMap<string, number> = new Map([
  ['ms', 1],
  ['', 1_000],
  ['s', 1_000],
  ['m', 60_000],
  ['min', 60_000],
  ['h', 3_600_000],
  ['d', 86_400_000],
]);

const BYTES_PER_SIZE_UNIT: ReadonlyMap<string, number> = new Map([
  ['', 1],
  ['b', 1],
  ['kb', 1024],
  ['mb', 1024 ** 2],
  ['gb', 1024 ** 3],
]);

// A leading zero is octal to PgBouncer and decimal to YAML 1.2: such numbers are refused, not guessed.
const WHOLE_NUMBER = /^(?:[+-]?(?:0|[1-9]\d*)|0x[\da-f]+)$/i;
const OCTAL_NUMBER = /^0o?([0-7]+)$/i;
const NUMBER_WITH_UNIT = /^([+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:e[+-]?\d+)?)\s*([a-z]*)$/i;

function parseNumber(text: string, setting: Setting): number | null {
  switch (setting.type) {
    case 'time':
      return parseWithUnit(text, MS_PER_TIME_UNIT);
    case 'size':
      return parseWithUnit(text, BYTES_PER_SIZE_UNIT);
    default:
      if (setting.octal) {
        const digits = OCTAL_NUMBER.exec(text)?.[1];
        return digits === undefined ? null : Number.parseInt(digits, 8);
      }
      return WHOLE_NUMBER.test(text) ? Number(text) + 0 : null;
  }
}

function parseWithUnit(text: string, units: ReadonlyMap<string, number>): number | null {
  const [, digits = '', unit = ''] = NUMBER_WITH_UNIT.exec(text) ?? [];
  const factor = units.get(unit.toLowerCase());
  return digits === '' || factor === undefined ? null : Number(digits) * factor + 0;
}

/**
 * Checks a number against the range of its row and turns those that inherit into `null`.
 *
 * @param number - In the row's unit, ms or bytes.
 * @param setting - Its row.
 */
export function checkNumber(number: number, setting: Setting): ParsedValue {
  if (number < 0 && setting.inherit !== 'never') {
    return { value: null };
  }
  if (number === 0 && setting.inherit === 'zero-or-less') {
    return { value: null };
  }
  if (!(number >= setting.min && number <= setting.max)) {
    return { wrong: 'out of range' };
  }
  if (setting.type === 'time') {
    return checkTime(number, setting);
  }
  return Number.isInteger(number) ? { value: number } : { wrong: 'not a whole number' };
}

function checkTime(ms: number, setting: Setting): ParsedValue {
  if (setting.wholeSeconds && ms % 1_000 !== 0) {
    return { wrong: 'not a whole number of seconds' };
  }
  // Rounding such a time to 0 would turn the limit off.
  if (ms > 0 && ms < 1) {
    return { wrong: 'shorter than 1ms' };
  }
  return { value: Math.round(ms) };
}

function parseText(text: string, setting: Setting): ParsedValue {
  if (text.includes('\0')) {
    return { wrong: 'holds a zero byte' };
  }
  if (setting.emptyQueryMarker) {
    return { value: text === '' ? null : text.replace(/^<empty>$/, '') };
  }
  const wrong = setting.check?.(text) ?? null;
  return wrong === null ? { value: text } : { wrong };
}

function parseEnum(text: string, setting: Setting): ParsedValue {
  const word = text.trim().toLowerCase();
  if (setting.values.includes(word)) {
    return { value: word };
  }
  return { wrong: setting.notYetValues.includes(word) ? NOT_YET : 'unknown value' };
}

const NOTATION: Notation = {
  readSwitch: (text) => SWITCH_WORDS.get(text.toLowerCase()) ?? null,
  readNumber: parseNumber,
};

/**
 * Reads the text of a value by the type of its row, whether it is supported or not.
 *
 * @param text - The value as written.
 * @param setting - The row that says what is allowed.
 * @param notation - How numbers and switches are spelt.
 */
export function parseByType(text: string, setting: Setting, notation: Notation): ParsedValue {
  switch (setting.type) {
    case 'switch': {
      const value = notation.readSwitch(text.trim());
      return value === null ? { wrong: 'neither on nor off' } : { value };
    }
    case 'int':
    case 'uint':
    case 'time':
    case 'size': {
      const number = notation.readNumber(text.trim(), setting);
      return number === null
        ? { wrong: `not a ${NOUNS[setting.type]}` }
        : checkNumber(number, setting);
    }
    case 'str':
      return parseText(text, setting);
    case 'enum':
      return parseEnum(text, setting);
    case 'list':
      return parseList(text, setting);
  }
}

/** How the items of a list were spelt in one text: SHOW CONFIG repeats it, as PgBouncer does. */
const SPELLINGS = new WeakMap<readonly string[], string>();

function parseList(text: string, setting: Setting): ParsedValue {
  const items = text.split(/[\s,]+/).filter((word) => word !== '');
  SPELLINGS.set(items, text);
  return parseItems(items, setting);
}

const NOUNS = { int: 'whole number', uint: 'whole number', time: 'time', size: 'size' } as const;

function parseItems(items: readonly string[], setting: Setting): ParsedValue {
  if (items.some((item) => item.includes('\0'))) {
    return { wrong: 'holds a zero byte' };
  }
  for (const item of items) {
    const wrong = setting.check?.(item) ?? null;
    if (wrong !== null) {
      return { wrong };
    }
  }
  return { value: items };
}

/**
 * Refuses any value but the default for a setting that is not supported yet.
 *
 * @param parsed - What the text means.
 * @param setting - Its row.
 */
export function refuseUnsupported(parsed: ParsedValue, setting: Setting): ParsedValue {
  if (setting.support !== 'not-yet') {
    return parsed;
  }
  const isDefault = 'value' in parsed && sameValue(parsed.value, setting.default);
  return isDefault ? parsed : { wrong: NOT_YET };
}

/**
 * Reads the text of a value by its table row.
 *
 * @param text - The value as written.
 * @param setting - The row that says what is allowed.
 * @returns The typed value (times in ms, sizes in bytes, `null` for inherited), or what is wrong.
 */
export function parseValue(text: string, setting: Setting): ParsedValue {
  return refuseUnsupported(parseByType(text, setting, NOTATION), setting);
}

/**
 * Reads the words of a value that was written as a list.
 *
 * @param items - The words, each one item.
 * @param setting - The row that says what is allowed.
 * @returns The typed value, or what is wrong: most settings are no lists.
 */
export function parseListValue(items: readonly string[], setting: Setting): ParsedValue {
  if (setting.type !== 'list') {
    return { wrong: 'a list where one value is expected' };
  }
  const words = items.map((item) => item.trim());
  const bad = words.some((word) => word === '' || /[\s,]/.test(word));
  return bad
    ? { wrong: 'an item is not a single word' }
    : refuseUnsupported(parseItems(words, setting), setting);
}

/** Compares two parsed values by content. */
export function sameValue(a: SettingValue, b: SettingValue): boolean {
  return a === b || JSON.stringify(a) === JSON.stringify(b);
}

/**
 * Prints a value as PgBouncer spells it in SHOW CONFIG: seconds, 0 and 1, decimal numbers.
 *
 * @param value - A value of the row's type.
 * @param setting - Its row.
 * @returns The text, or `null` where PgBouncer prints NULL.
 */
export function showValue(value: SettingValue, setting: Setting): string | null {
  if (setting.emptyQueryMarker) {
    return value === '' ? '<empty>' : String(value ?? '');
  }
  if (value === null || typeof value === 'string') {
    return value;
  }
  if (typeof value === 'boolean') {
    return value ? '1' : '0';
  }
  if (typeof value === 'number') {
    return showNumber(value, setting);
  }
  return SPELLINGS.get(value) ?? value.join(',');
}

function showNumber(value: number, setting: Setting): string {
  if (setting.type !== 'time') {
    return String(value);
  }
  return setting.wholeSeconds ? String(value / 1_000) : formatG(value / 1_000);
}

function describeNumbers(setting: Setting): string {
  if (setting.octal) {
    return `an octal number from 0000 to 0${setting.max.toString(8)}, with its leading 0`;
  }
  const inherit = setting.inherit === 'never' ? '' : ', or a negative number to inherit';
  switch (setting.type) {
    case 'time': {
      const least = setting.min === 0 ? '0' : `${String(setting.min / 1_000)}s`;
      const whole = setting.wholeSeconds ? 'whole seconds' : 'seconds';
      return `${whole}, or a number with ms, s, m, h or d, from ${least} to ${String(setting.max / 1_000)}s${inherit}`;
    }
    case 'size':
      return `bytes, or a number with kB, MB or GB, from ${String(setting.min)} to ${String(setting.max)} bytes`;
    default:
      return `a whole number from ${String(setting.min)} to ${String(setting.max)}${inherit}`;
  }
}

/**
 * Says which values a row accepts, for messages and for docs/CONFIG.md.
 *
 * @param setting - The row.
 */
export function describeAllowed(setting: Setting): string {
  if (setting.support === 'not-yet') {
    const shown = showValue(setting.default, setting);
    if (shown === null) {
      return 'only leaving it out';
    }
    const isText = setting.type === 'str' || setting.type === 'list';
    return `only the default, ${isText ? JSON.stringify(shown) : shown}, or leaving it out`;
  }
  switch (setting.type) {
    case 'switch':
      return [...SWITCH_WORDS.keys()].join(', ');
    case 'enum':
      return setting.values.join(', ');
    case 'list':
      return setting.allowed === '' ? 'a list of words' : setting.allowed;
    case 'str':
      return setting.allowed === '' ? 'a text' : setting.allowed;
    default:
      return describeNumbers(setting);
  }
}
