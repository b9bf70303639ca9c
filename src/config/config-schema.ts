import { DATABASE_KEYS } from './database-keys.ts';
import { GLOBAL_SETTINGS } from './global-settings.ts';
import { PEER_KEYS } from './peer-keys.ts';
import type { Setting, SettingTable, SettingValue } from './setting.ts';
import { USER_KEYS } from './user-keys.ts';
import { describeAllowed } from './value-text.ts';

/** A JSON Schema, or a part of one. */
export type JsonSchema = Readonly<Record<string, unknown>>;

/** A text that an environment variable completes: what it holds is not known to the editor. */
const VARIABLE: JsonSchema = { type: 'string', pattern: '\\$\\{[A-Za-z_][A-Za-z0-9_]*\\}' };

/** Matches words in upper or lower case, with blanks around them, as the pooler takes them. */
function anyCase(words: readonly string[]): JsonSchema {
  const spelt = words.map((word) =>
    word.replace(/[a-z]|[^\w]/g, (character) =>
      /[a-z]/.test(character) ? `[${character}${character.toUpperCase()}]` : `\\${character}`,
    ),
  );
  return { type: 'string', pattern: `^\\s*(${spelt.join('|')})\\s*$` };
}

const SWITCHES = ['on', 'off', 'true', 'false', 'yes', 'no'];

const DEFINITIONS = {
  variable: VARIABLE,
  switch: {
    anyOf: [
      { type: 'boolean' },
      { enum: [0, 1, '0', '1', ...SWITCHES] },
      anyCase(['0', '1', ...SWITCHES]),
      { $ref: '#/$defs/variable' },
    ],
  },
  text: { type: ['string', 'number', 'boolean'] },
  list: {
    anyOf: [
      { $ref: '#/$defs/text' },
      {
        type: 'array',
        items: { type: ['string', 'number', 'boolean'], pattern: '^\\s*[^\\s,]+\\s*$' },
      },
    ],
  },
  secret: {
    anyOf: [
      { $ref: '#/$defs/text' },
      {
        type: 'object',
        description: 'Read from a file; one line end at its end is dropped.',
        properties: { file: { $ref: '#/$defs/text' } },
        required: ['file'],
        additionalProperties: false,
      },
      {
        type: 'object',
        description: 'Read from an environment variable.',
        properties: { env: { $ref: '#/$defs/text' } },
        required: ['env'],
        additionalProperties: false,
      },
    ],
  },
} as const;

function reference(name: keyof typeof DEFINITIONS): JsonSchema {
  return { $ref: `#/$defs/${name}` };
}

/** Smallest number that may be written: negative ones inherit where the row says so. */
function leastWritten(setting: Setting, unit: number): JsonSchema {
  return setting.inherit === 'never' ? { minimum: setting.min / unit } : {};
}

const DECIMAL = '[+-]?([0-9]+(\\.[0-9]*)?|\\.[0-9]+)([eE][+-]?[0-9]+)?';

/** Texts that mean numbers. */
const TEXT_PATTERNS = {
  int: '^\\s*([+-]?(0|[1-9][0-9]*)|0[xX][0-9a-fA-F]+)\\s*$',
  time: `^\\s*${DECIMAL}\\s*([mM][sS]|[sS]|[mM]|[mM][iI][nN]|[hH]|[dD])?\\s*$`,
  size: `^\\s*${DECIMAL}\\s*([kKmMgG]?[bB])?\\s*$`,
} as const;

/** A row's numbers, and the texts that mean numbers. */
function numberSchema(setting: Setting): JsonSchema {
  const unit = setting.type === 'time' ? 1_000 : 1;
  const isWhole = setting.type !== 'time' || setting.wholeSeconds;
  const range = { ...leastWritten(setting, unit), maximum: setting.max / unit };
  const plain = { type: isWhole ? 'integer' : 'number', ...range };
  const pattern =
    TEXT_PATTERNS[setting.type === 'time' || setting.type === 'size' ? setting.type : 'int'];
  return { anyOf: [plain, { type: 'string', pattern }, reference('variable')] };
}

function valueSchema(setting: Setting): JsonSchema {
  if (setting.octal) {
    // Editors read a number with a leading 0 as decimal: its digits cannot be checked here.
    return {
      anyOf: [
        { type: 'integer' },
        { type: 'string', pattern: '^\\s*0[oO]?[0-7]+\\s*$' },
        reference('variable'),
      ],
    };
  }
  switch (setting.type) {
    case 'switch':
      return reference('switch');
    case 'list':
      return reference('list');
    case 'str':
      return reference(setting.secret ? 'secret' : 'text');
    case 'enum':
      return { anyOf: [{ enum: setting.values }, anyCase(setting.values), reference('variable')] };
    default:
      return numberSchema(setting);
  }
}

/** Writes a default as it stands in a file. */
function defaultOf(setting: Setting): SettingValue {
  const value = setting.default;
  if (setting.emptyQueryMarker) {
    return value === '' ? '<empty>' : (value ?? '');
  }
  if (typeof value !== 'number') {
    return value;
  }
  if (setting.octal) {
    return `0${value.toString(8)}`;
  }
  return setting.type === 'time' ? value / 1_000 : value;
}

function describe(setting: Setting): string {
  const support = {
    supported: '',
    'not-yet': ' Not supported yet.',
    ignored: ` Has no effect: ${setting.ignoredBecause}.`,
  }[setting.support];
  const restart = setting.reloadable ? '' : ' A change needs a restart.';
  return `${setting.doc}${support}${restart} Allowed: ${describeAllowed(setting)}.`;
}

function keySchema(setting: Setting): JsonSchema {
  const value = defaultOf(setting);
  return {
    description: describe(setting),
    ...(value === null ? {} : { default: value }),
    ...valueSchema(setting),
  };
}

function tableSchema(table: SettingTable): JsonSchema {
  const properties = Object.entries(table).flatMap(([name, setting]) =>
    [name, ...setting.aliases].map((key) => [key, keySchema(setting)] as const),
  );
  return {
    type: ['object', 'null'],
    properties: Object.fromEntries(properties),
    additionalProperties: false,
  };
}

function entriesSchema(
  description: string,
  table: string,
  names: JsonSchema & { readonly maxLength: number },
): JsonSchema {
  return {
    description,
    type: ['object', 'null'],
    propertyNames: { minLength: 1, ...names },
    additionalProperties: { $ref: `#/$defs/${table}` },
  };
}

/** Ids of peers: numbers from 1 to 65535. */
const PEER_ID =
  '^([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])$';

/**
 * Builds the JSON Schema of maitred's YAML file from the settings table, for editors. What the
 * pooler takes, it takes. It cannot see what is wrong with a number that has a unit and is out of
 * range, with texts of a grammar of their own, or with keys that exclude each other.
 *
 * @source JSON Schema, draft 2020-12.
 */
export function configSchema(): JsonSchema {
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    title: 'Configuration of maitred',
    type: 'object',
    minProperties: 1,
    additionalProperties: false,
    not: { required: ['maitred', 'pgbouncer'] },
    properties: {
      maitred: { description: 'The global settings.', $ref: '#/$defs/settings' },
      pgbouncer: { description: "PgBouncer's name of `maitred`.", $ref: '#/$defs/settings' },
      databases: entriesSchema('What clients may connect to.', 'database', {
        maxLength: 63,
        not: { const: 'pgbouncer' },
      }),
      users: entriesSchema('What is different for a user.', 'user', { maxLength: 127 }),
      peers: {
        description: 'Where cancel requests are passed on to, by peer_id.',
        type: ['object', 'null'],
        propertyNames: { pattern: PEER_ID },
        additionalProperties: { $ref: '#/$defs/peer', type: 'object', required: ['host'] },
      },
    },
    $defs: {
      settings: tableSchema(GLOBAL_SETTINGS),
      database: tableSchema(DATABASE_KEYS),
      user: tableSchema(USER_KEYS),
      peer: tableSchema(PEER_KEYS),
      ...DEFINITIONS,
    },
  };
}
