import { GLOBAL_SETTINGS } from '../../src/config/global-settings.ts';
import type { Setting } from '../../src/config/setting.ts';
import type { CommonDifference } from './comparison.ts';

/** What a pooler made of a value: of one that SET gave, or of one in the file. */
interface Outcome {
  readonly name: string;
  readonly value: string;
  readonly isTaken: boolean;
  /** As SHOW CONFIG has it; empty when it was refused. */
  readonly shown: string;
}

/** The line of a transcript for an outcome. */
export function outcomeLine({ name, value, isTaken, shown }: Outcome): string {
  return `value ${name} = '${value}': ${isTaken ? `taken, shows '${shown}'` : 'refused'}`;
}

const LINE = /^value (\w+) = '(.*)': (?:taken, shows '(.*)'|refused)$/s;

function readLine(line: string): Outcome | null {
  const [, name, value, shown] = LINE.exec(line) ?? [];
  return name === undefined || value === undefined
    ? null
    : { name, value, isTaken: shown !== undefined, shown: shown ?? '' };
}

const SETTINGS: Readonly<Record<string, Setting>> = GLOBAL_SETTINGS;

/** A number outside of what the setting allows, in the unit of the file. */
function isOutOfRange({ name, value }: Outcome): boolean {
  const setting = SETTINGS[name];
  const number = Number(value);
  if (setting === undefined || value === '' || Number.isNaN(number)) {
    return false;
  }
  const unit = setting.type === 'time' ? 1_000 : 1;
  return number * unit < setting.min || number * unit > setting.max;
}

const UNIT_OR_WORD = /^(?:\d+(?:\.\d+)?\s*(?:ms|s|m|min|h|d|kB|MB|GB)|on|off|yes|no|true|false)$/;

/** A number that a whole one may be written as in YAML. */
const DECIMAL = /^(?:\d+\.\d*|\.\d+|\d+e\d+)$/;

/** Settings whose values are looked into before they are used. */
const CHECKED = /^(?:client_tls_|server_tls_|auth_query$|auth_type$|auth_ldap_options$)/;

interface Rule {
  readonly id: string;
  readonly isExpected: (pgbouncer: Outcome, maitred: Outcome) => boolean;
}

const RULES: readonly Rule[] = [
  {
    id: 'value-units',
    isExpected: (pgbouncer, maitred) =>
      !pgbouncer.isTaken &&
      maitred.isTaken &&
      (UNIT_OR_WORD.test(maitred.value) || DECIMAL.test(maitred.value)),
  },
  {
    id: 'value-range',
    isExpected: (pgbouncer, maitred) =>
      pgbouncer.isTaken && !maitred.isTaken && isOutOfRange(maitred),
  },
  {
    id: 'value-checked',
    isExpected: (pgbouncer, maitred) =>
      pgbouncer.isTaken && !maitred.isTaken && CHECKED.test(maitred.name),
  },
  {
    id: 'switch-value',
    isExpected: (pgbouncer, maitred) =>
      SETTINGS[maitred.name]?.type === 'switch' &&
      maitred.shown === '1' &&
      pgbouncer.isTaken &&
      Number(pgbouncer.shown) !== 0,
  },
  {
    id: 'auth-type-peer',
    isExpected: (pgbouncer, maitred) =>
      maitred.name === 'auth_type' &&
      maitred.value.toLowerCase() === 'peer' &&
      !pgbouncer.isTaken &&
      maitred.isTaken,
  },
];

/** Takes pairs of lines away that tell of the same value, where a rule explains the difference. */
function dropPairs({ id, isExpected }: Rule): CommonDifference {
  return (hunk) => {
    const maitred = [...hunk.maitred];
    const pgbouncer = hunk.pgbouncer.filter((line) => {
      const theirs = readLine(line);
      const at = maitred.findIndex((other) => {
        const ours = readLine(other);
        const isSame = ours?.name === theirs?.name && ours?.value === theirs?.value;
        return ours !== null && theirs !== null && isSame && isExpected(theirs, ours);
      });
      if (at >= 0) {
        maitred.splice(at, 1);
      }
      return at < 0;
    });
    const isDropped = pgbouncer.length < hunk.pgbouncer.length;
    return isDropped ? { rest: { ...hunk, pgbouncer, maitred }, id } : null;
  };
}

/** Differences in what values settings take. */
export const VALUE_DIFFERENCES: readonly CommonDifference[] = RULES.map(dropPairs);
