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

const DEFINITIONS = {
  variable: VARIABLE,
  switch: {
    anyOf: [
      { type: 'boolean' },
      { enum: [0, 1, '0', '1', 'on', 'off', 'true', 'false', 'yes', 'no'] },
      { $ref: '#/$defs/variable' },
    ],
  },
  text: { type: ['string', 'number', 'boolean'] },
  list: { anyOf: [{ type: 'string' }, { type: 'array', items: { type: 'string' } }] },
  secret: {
    anyOf: [
      { $ref: '#/$defs/text' },
      {
        type: 'object',
        description: 'Read from a file; one line end at its end is dropped.',
        properties: { file: { type: 'string' } },
        required: ['file'],
        additionalProperties: false,
      },
      {
        type: 'object',
        description: 'Read from an environment variable.',
        properties: { env: { type: 'string' } },
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
  int: '^([+-]?(0|[1-9][0-9]*)|0[xX][0-9a-fA-F]+)$',
  time: `^${DECIMAL}\\s*([mM][sS]|[sS]|[mM]|[mM][iI][nN]|[hH]|[dD])?$`,
  size: `^${DECIMAL}\\s*([kKmMgG]?[bB])?$`,
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
    return { type: ['integer', 'string'] };
  }
  switch (setting.type) {
    case 'switch':
      return reference('switch');
    case 'list':
      return reference('list');
    case 'str':
      return reference(setting.secret ? 'secret' : 'text');
    case 'enum':
      return { anyOf: [{ enum: setting.values }, reference('variable')] };
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

function entriesSchema(description: string, table: string, longest: number): JsonSchema {
  return {
    description,
    type: ['object', 'null'],
    propertyNames: { minLength: 1, maxLength: longest },
    additionalProperties: { $ref: `#/$defs/${table}` },
  };
}

/**
 * Builds the JSON Schema of maitred's YAML file from the settings table, for editors. Values are
 * spelt as in the documentation; the pooler itself also takes upper case for the words of a choice.
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
      databases: entriesSchema('What clients may connect to.', 'database', 63),
      users: entriesSchema('What is different for a user.', 'user', 127),
      peers: {
        description: 'Where cancel requests are passed on to, by peer_id.',
        type: ['object', 'null'],
        propertyNames: { pattern: '^[1-9][0-9]{0,4}$' },
        additionalProperties: { $ref: '#/$defs/peer', required: ['host'] },
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
