import { DATABASE_KEYS } from './database-keys.ts';
import { GLOBAL_SETTINGS } from './global-settings.ts';
import { PEER_KEYS } from './peer-keys.ts';
import type { Setting, SettingGroup, SettingTable } from './setting.ts';
import { USER_KEYS } from './user-keys.ts';
import { describeAllowed, showValue } from './value-text.ts';

const GROUP_TITLES: Readonly<Record<SettingGroup, string>> = {
  essential: 'Essentials',
  frequent: 'Frequently used',
  infrequent: 'Infrequently used',
};

const INTRODUCTION = `# Settings

<!-- Generated from the settings table by \`npm run docs:generate\`; change the table instead. -->

maitred reads one file: YAML when its name ends in \`.yaml\` or \`.yml\`, else PgBouncer's ini format. Names are PgBouncer's in both, and defaults do not depend on the format. \`maitred check FILE\` tells what is wrong with a file or what it comes to, \`maitred convert pgbouncer.ini\` prints an ini file as YAML.

## YAML

The file has up to four sections. \`config/maitred.schema.json\` describes it to editors.

\`\`\`yaml
maitred:
  listen_addr: 127.0.0.1
  pool_mode: transaction
databases:
  app: { host: 127.0.0.1, pool_size: 10 }
  '*': { host: 127.0.0.1 }
users:
  alice: { pool_mode: session }
peers:
  2: { host: 10.0.0.2 }
\`\`\`

- \`maitred\` (or \`pgbouncer\`) holds the global settings, \`databases\` what clients may connect to, \`users\` what is different for a user, \`peers\` where cancel requests are passed on to (see \`peer_id\`).
- A time is a number of seconds or has a unit: \`500ms\`, \`30s\`, \`5m\`, \`1h\`, \`1d\`. A size is a number of bytes or has a unit: \`64kB\`, \`256MB\`, \`1GB\`.
- A switch is \`on\` or \`off\`, \`true\` or \`false\`, \`yes\` or \`no\`, \`1\` or \`0\`. A list is a YAML list, or words separated by commas or spaces.
- The database \`*\` (in quotes) is the template for names that have no entry of their own. The names \`pgbouncer\` and \`maitred\` are reserved for the console.
- A setting that is **not supported yet** may be given with its default only; any other value is refused.
- \`\${NAME}\` in a value is replaced by the environment variable NAME, which must be set; \`$\${\` stands for a plain \`\${\`. Inside brackets such a value needs quotes.
- What several entries have in common may be written once, with an anchor (\`&name\`), and be named again (\`*name\`) or merged (\`<<: *name\`): keys of the entry itself win.
- A password may be kept elsewhere: \`password: { file: PATH }\` or \`password: { env: NAME }\`. One line end at the end of the file is dropped.

## pgbouncer.ini

PgBouncer's own files are read as PgBouncer reads them: the sections \`[pgbouncer]\`, \`[databases]\`, \`[users]\`, \`[peers]\`, \`%include\`, connection strings, integers as in C (\`0x10\`, \`010\`), times in decimal seconds without a unit, switches as numbers, the last of repeated keys, comments on lines of their own. What is different:

- All problems are reported, not the first only, and nothing of a file with problems is used.
- A number in a connection string must begin with digits: \`pool_size=abc\` is refused where PgBouncer reads 0. Text after the number is dropped with a warning.
- Text that touches the closing quote of a value in a connection string is a syntax error where PgBouncer drops a character.
- Values that no setting can have, such as a negative \`default_pool_size\`, are refused.
- Entries of \`[peers]\` need a number from 1 to 65535 as their name, and a \`host\`.
- Some settings that are not supported yet may have any value, or PgBouncer's default, and take effect as if they were left out; a warning tells so. They are marked below with what happens instead.

## Environment

An environment variable overrides the global setting of its name: \`MAITRED_LISTEN_PORT=6433\` is \`listen_port: 6433\`, spelt as in YAML. Keys of databases and users have none.`;

/** Escapes what would end a cell of a Markdown table. */
function cell(text: string): string {
  return text.replaceAll('|', '\\|');
}

function describeDefault(setting: Setting): string {
  const shown = showValue(setting.default, setting);
  if (shown === null) {
    return setting.inherit === 'never' ? 'not set' : 'inherited';
  }
  if (shown === '') {
    return 'empty';
  }
  if (setting.octal) {
    return `\`0${Number(shown).toString(8)}\``;
  }
  return setting.type === 'time' ? `\`${shown}\` s` : `\`${shown}\``;
}

function describeTolerance({ tolerated }: Setting): string {
  if (tolerated === null) {
    return '';
  }
  const values =
    tolerated.values === 'any'
      ? 'Any value'
      : tolerated.values.map((value) => `\`${value}\``).join(' or ');
  return ` ${values} is accepted in pgbouncer.ini: ${tolerated.instead}.`;
}

function describeSupport(setting: Setting): string {
  switch (setting.support) {
    case 'supported': {
      const missing = setting.notYetValues;
      return missing.length === 0 ? '' : ` Not supported yet: ${missing.join(', ')}.`;
    }
    case 'not-yet':
      return ' **Not supported yet.**';
    case 'ignored':
      return ` Has no effect: ${setting.ignoredBecause}.`;
  }
}

/** Says which values need the optional package. */
function describeNative({ needsNative, nativeValues, type }: Setting): string {
  if (needsNative) {
    return ` Linux with the package koffi only; else refused unless ${type === 'switch' ? 'off' : '0'}.`;
  }
  return nativeValues.length === 0
    ? ''
    : ` Linux with the package koffi only: ${nativeValues.join(', ')}.`;
}

function renderRow(name: string, setting: Setting, scopes: string): string {
  const also = scopes === '' ? '' : ` Also per ${scopes}.`;
  const alias = setting.aliases.map((other) => ` Alias: \`${other}\`.`).join('');
  const restart = setting.reloadable ? 'reload' : 'restart';
  const text = `${cell(setting.doc)}${also}${alias}${describeSupport(setting)}${describeNative(setting)}${describeTolerance(setting)}`;
  return `| \`${name}\` | ${describeDefault(setting)} | ${cell(describeAllowed(setting))} | ${restart} | ${text} |`;
}

function otherScopes(name: string): string {
  const scopes = [
    Object.hasOwn(DATABASE_KEYS, name) ? 'database' : '',
    Object.hasOwn(USER_KEYS, name) ? 'user' : '',
  ];
  return scopes.filter((scope) => scope !== '').join(' and ');
}

function renderTable(
  table: SettingTable,
  level: string,
  scopesOf: (name: string) => string,
): string {
  const chapters: string[] = [];
  for (const [group, title] of Object.entries(GROUP_TITLES)) {
    const rows = Object.entries(table)
      .filter(([, setting]) => setting.group === group)
      .map(([name, setting]) => renderRow(name, setting, scopesOf(name)));
    if (rows.length > 0) {
      const head =
        '| name | default | allowed | takes effect on | meaning |\n|---|---|---|---|---|';
      chapters.push(`${level} ${title}\n\n${head}\n${rows.join('\n')}`);
    }
  }
  return chapters.join('\n\n');
}

/**
 * Writes docs/CONFIG.md from the settings table.
 *
 * @returns The whole file, ending with a newline.
 */
export function renderConfigDoc(): string {
  const none = (): string => '';
  const parts = [
    INTRODUCTION,
    '## Global settings',
    renderTable(GLOBAL_SETTINGS, '###', otherScopes),
    '## Keys of a database',
    renderTable(DATABASE_KEYS, '###', none),
    '## Keys of a user',
    renderTable(USER_KEYS, '###', none),
    '## Keys of a peer',
    renderTable(PEER_KEYS, '###', none),
  ];
  return `${parts.join('\n\n')}\n`;
}
