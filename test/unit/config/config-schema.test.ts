import { describe, expect, it } from 'vitest';
import { configSchema } from '../../../src/config/config-schema.ts';
import type { JsonSchema } from '../../../src/config/config-schema.ts';
import { DATABASE_KEYS } from '../../../src/config/database-keys.ts';
import { GLOBAL_SETTINGS } from '../../../src/config/global-settings.ts';
import type { SettingTable } from '../../../src/config/setting.ts';
import { USER_KEYS } from '../../../src/config/user-keys.ts';
import { parseValue } from '../../../src/config/value-text.ts';

const schema = configSchema();
const definitions = schema['$defs'] as Readonly<Record<string, JsonSchema>>;

function propertiesOf(name: string): Readonly<Record<string, JsonSchema>> {
  return definitions[name]?.['properties'] as Readonly<Record<string, JsonSchema>>;
}

/** Finds every reference of a schema. */
function referencesIn(part: unknown): readonly string[] {
  if (typeof part !== 'object' || part === null) {
    return [];
  }
  return Object.entries(part).flatMap(([key, value]: [string, unknown]) =>
    key === '$ref' ? [String(value)] : referencesIn(value),
  );
}

const TABLES: readonly (readonly [string, SettingTable])[] = [
  ['settings', GLOBAL_SETTINGS],
  ['database', DATABASE_KEYS],
  ['user', USER_KEYS],
];

describe('the JSON Schema', () => {
  it('names its draft', () => {
    expect(schema['$schema']).toBe('https://json-schema.org/draft/2020-12/schema');
  });

  it('refers to what it defines, and defines nothing else', () => {
    const used = new Set(referencesIn(schema));
    expect(used).toEqual(new Set(Object.keys(definitions).map((name) => `#/$defs/${name}`)));
  });

  it.each(TABLES)('describes every key and alias of %s, and allows no other', (name, table) => {
    const rows = Object.entries(table);
    const keys = rows.flatMap(([key, row]) => [key, ...row.aliases]);
    expect(Object.keys(propertiesOf(name))).toEqual(keys);
    expect(definitions[name]?.['additionalProperties']).toBe(false);
    for (const [key, row] of rows) {
      expect(propertiesOf(name)[key]?.['description']).toContain(row.doc);
    }
  });

  it.each(TABLES)('has defaults that %s can read', (name, table) => {
    for (const [key, row] of Object.entries(table)) {
      const value = propertiesOf(name)[key]?.['default'];
      const text = Array.isArray(value) ? value.join(',') : String(value);
      const parsed = parseValue(text, row);
      expect(value === undefined ? { value: row.default } : parsed).toEqual({ value: row.default });
    }
  });

  it('lists the words of a choice, and ranges in the unit of the file', () => {
    expect(propertiesOf('settings')['pool_mode']?.['anyOf']).toEqual([
      { enum: ['session', 'transaction', 'statement'] },
      { type: 'string', pattern: expect.stringContaining('[sS][tT][aA][tT][eE]') as string },
      { $ref: '#/$defs/variable' },
    ]);
    expect(propertiesOf('settings')['stats_period']?.['anyOf']).toEqual(
      expect.arrayContaining([{ type: 'integer', minimum: 1, maximum: 2_147_483_647 }]),
    );
    expect(propertiesOf('database')['pool_size']?.['anyOf']).toEqual(
      expect.arrayContaining([{ type: 'integer', maximum: 2_147_483_647 }]),
    );
  });

  it.each([
    ['query_timeout', ['5', '1.5', '500ms', '5 min', '1H'], ['5x', 'ms', '', '5 s s']],
    ['max_packet_size', ['4096', '64kB', '1MB', '1.5GB'], ['1TB', 'kB']],
    ['listen_port', ['7', '0x1F', '-1'], ['010', '1.5', '7s', 'x']],
  ])('tells texts that mean numbers from others: %s', (name, good, bad) => {
    const choices = propertiesOf('settings')[name]?.['anyOf'] as readonly JsonSchema[];
    const pattern = new RegExp(String(choices[1]?.['pattern']));
    expect(good.filter((text) => !pattern.test(text))).toEqual([]);
    expect(bad.filter((text) => pattern.test(text))).toEqual([]);
  });
});
