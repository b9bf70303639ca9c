import {
  changedDatabaseKeys,
  changedPeerKeys,
  changedSettings,
  changedUserKeys,
} from './changed-values.ts';
import type { ChangedValue } from './changed-values.ts';
import type { Config } from './config.ts';
import type { Setting } from './setting.ts';
import { escapeVariables } from './substitute.ts';
import { showValue } from './value-text.ts';

/** Words that are safe without quotes in every version of YAML. */
const PLAIN_WORD = /^[A-Za-z_][\w./-]*$/;
const YAML_WORDS = /^(?:null|true|false|yes|no|on|off|y|n)$/i;

/** What must be escaped to survive in one line: control characters and the marks that end lines. */
const UNPRINTABLE = /[\p{Cc}\u2028\u2029\ufeff]/u;

/** Writes a text as a YAML scalar of one line. */
function scalar(text: string): string {
  if (PLAIN_WORD.test(text) && !YAML_WORDS.test(text)) {
    return text;
  }
  if (!UNPRINTABLE.test(text)) {
    return `'${text.replaceAll("'", "''")}'`;
  }
  return JSON.stringify(text).replace(
    /[\u007f-\u009f\u2028\u2029\ufeff]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

function text(value: string): string {
  return scalar(escapeVariables(value));
}

function number(value: number, setting: Setting): string {
  if (setting.type === 'time') {
    return value % 1_000 === 0 ? `${String(value / 1_000)}s` : `${String(value)}ms`;
  }
  return setting.octal ? `0${value.toString(8)}` : String(value);
}

/** Writes a value so that the same row reads it back. */
function yamlValue({ value, setting }: ChangedValue): string {
  if (typeof value === 'boolean') {
    return value ? 'on' : 'off';
  }
  if (typeof value === 'number') {
    return number(value, setting);
  }
  if (typeof value === 'string' || value === null) {
    return text(showValue(value, setting) ?? '');
  }
  return `[${value.map(text).join(', ')}]`;
}

function entry(name: string, keys: readonly ChangedValue[]): string {
  const lines = keys.map((key) => `    ${key.name}: ${yamlValue(key)}`);
  return lines.length === 0 ? `  ${scalar(name)}: {}` : [`  ${scalar(name)}:`, ...lines].join('\n');
}

function section(name: string, lines: readonly string[]): string {
  return lines.length === 0 ? `${name}: {}` : [`${name}:`, ...lines].join('\n');
}

/**
 * Writes the YAML file of a configuration: what is not at its default.
 *
 * @param config - Any configuration. Its passwords are written in clear, as a file needs them.
 * @returns The sections, that of the peers if there are any, ending with a newline. Read again,
 * they give the same settings, databases, users and peers.
 */
export function renderConfigYaml(config: Config): string {
  const settings = changedSettings(config).map((row) => `  ${row.name}: ${yamlValue(row)}`);
  const databases = [...config.databases.values()].map((database) =>
    entry(database.name, changedDatabaseKeys(database)),
  );
  const users = [...config.users.values()].map((user) => entry(user.name, changedUserKeys(user)));
  const peers = [...config.peers.values()].map((peer) =>
    entry(String(peer.id), changedPeerKeys(peer)),
  );
  const sections = [
    section('maitred', settings),
    section('databases', databases),
    section('users', users),
    ...(peers.length === 0 ? [] : [section('peers', peers)]),
  ];
  return `${sections.join('\n\n')}\n`;
}
