import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { DATABASE_KEYS } from '../../src/config/database-keys.ts';
import { GLOBAL_SETTINGS } from '../../src/config/global-settings.ts';
import { loadConfig } from '../../src/config/load.ts';
import { PEER_KEYS } from '../../src/config/peer-keys.ts';
import type { Setting } from '../../src/config/setting.ts';
import { USER_KEYS } from '../../src/config/user-keys.ts';
import {
  DATABASE_EFFECTS,
  GLOBAL_EFFECTS,
  PEER_EFFECTS,
  USER_EFFECTS,
  WITHOUT_EFFECT,
} from './setting-effects.ts';
import type { Effects } from './setting-effects.ts';

type Table = Readonly<Record<string, Setting>>;

const LEVELS: readonly (readonly [level: string, table: Table, effects: Effects])[] = [
  ['pgbouncer', GLOBAL_SETTINGS, GLOBAL_EFFECTS],
  ['databases', DATABASE_KEYS, DATABASE_EFFECTS],
  ['users', USER_KEYS, USER_EFFECTS],
  ['peers', PEER_KEYS, PEER_EFFECTS],
];

/** An enumeration of which one value alone is supported has nothing to show. */
function hasEffect(setting: Setting): boolean {
  const isOneOfOne = setting.values.length === 1 && setting.notYetValues.length > 0;
  return setting.support === 'supported' && !isOneOfOne;
}

/** A value that is not the default, by the type of the setting. */
function otherValue(setting: Setting): string {
  switch (setting.type) {
    case 'switch':
      return setting.default === true ? 'off' : 'on';
    case 'str':
    case 'list':
      return 'nonsense';
    case 'enum':
      return setting.values.find((value) => value !== setting.default) ?? 'nonsense';
    default:
      return setting.default === setting.max ? String(setting.min) : '7';
  }
}

function load(text: string): unknown {
  return loadConfig('maitred.yaml', () => text, {});
}

describe.each(LEVELS)('settings of [%s]', (level, table, effects) => {
  const names = Object.keys(table);

  it.each(names.filter((name) => hasEffect(table[name] as Setting) && !(name in WITHOUT_EFFECT)))(
    '%s has a test that shows its effect',
    (name) => {
      const [file, title] = effects[name] ?? ['', ''];
      expect(file, `add ${name} to test/tidy/setting-effects.ts`).not.toBe('');
      const source = readFileSync(new URL(`../${file}`, import.meta.url), 'utf8');
      expect(source).toContain(title);
    },
  );

  it('are all there are in the list of effects', () => {
    const supported = names.filter((name) => hasEffect(table[name] as Setting));
    expect(supported).toEqual(expect.arrayContaining(Object.keys(effects)));
  });

  const refused = names.filter((name) => table[name]?.support === 'not-yet');
  it.each(refused)('%s is refused by name unless it has its default', (name) => {
    const value = JSON.stringify(otherValue(table[name] as Setting));
    const text =
      level === 'pgbouncer'
        ? `maitred: { ${name}: ${value} }`
        : `${level}: { x: { ${name}: ${value} } }`;
    expect(() => load(text)).toThrow(name);
  });

  const partly = names.filter((name) => (table[name]?.notYetValues.length ?? 0) > 0);
  it.each(partly)('%s refuses the values that are not supported yet', (name) => {
    for (const value of table[name]?.notYetValues ?? []) {
      expect(() => load(`maitred: { ${name}: ${value} }`)).toThrow(value);
    }
  });
});

describe('the list of effects', () => {
  it('would notice a title that does not exist', () => {
    const [file] = GLOBAL_EFFECTS['auth_type'] ?? [''];
    const source = readFileSync(new URL(`../${file}`, import.meta.url), 'utf8');
    expect(source).not.toContain('a title that no test has');
  });

  it('says why a supported setting has none', () => {
    for (const [name, reason] of Object.entries(WITHOUT_EFFECT)) {
      expect(Object.keys(GLOBAL_SETTINGS)).toContain(name);
      expect(reason).not.toBe('');
    }
  });
});
