import { randomBytes } from 'node:crypto';
import { Credentials } from '../auth/credentials.ts';
import { PasswordDeriver } from '../auth/password-derivation.ts';
import { parseUsersFile } from '../auth/users-file.ts';
import { systemErrorText } from '../base/system-error-text.ts';
import {
  changedDatabaseKeys,
  changedPeerKeys,
  changedSettings,
  changedUserKeys,
  type ChangedValue,
} from '../config/changed-values.ts';
import { ConfigError, quoteForMessage } from '../config/config-error.ts';
import type { Config, Settings } from '../config/config.ts';
import type { Sources } from '../config/dialect.ts';
import { loadConfig } from '../config/load.ts';
import type { Setting, SettingValue } from '../config/setting.ts';
import { showValue } from '../config/value-text.ts';
import { describeAccessProblem, findLdapProblem, loadAccessRules } from './access-rules.ts';
import type { CommandResult } from './command-result.ts';
import { adviseOnConsole } from './console-advice.ts';
import { adviseOnCredentials } from './credential-advice.ts';
import { setUpTls, TlsSetupError } from './tls-setup.ts';

/** Prints a text so that it is one word of one line. */
function word(text: string): string {
  return /^[\p{L}\p{N}\p{P}\p{S}]+$/u.test(text) ? text : quoteForMessage(text);
}

function shown(value: SettingValue, setting: Setting): string {
  if (setting.secret) {
    return '***';
  }
  const text = showValue(value, setting);
  return text === null ? '-' : word(text);
}

/** Lays out rows so that each column begins at the same place in all of them. */
function layOut(rows: readonly (readonly string[])[]): readonly string[] {
  const widths: number[] = [];
  for (const row of rows) {
    row.forEach((cell, index) => {
      widths[index] = Math.max(widths[index] ?? 0, cell.length);
    });
  }
  return rows.map((row) =>
    row
      .map((cell, index) => cell.padEnd(widths[index] ?? 0))
      .join('  ')
      .trimEnd(),
  );
}

function settingLines(config: Config): readonly string[] {
  const rows = changedSettings(config).map(({ name, setting, value, default: usual }) => [
    name,
    shown(value, setting),
    shown(usual, setting),
  ]);
  return rows.length === 0
    ? ['all settings are at their defaults']
    : layOut([['setting', 'value', 'default'], ...rows]);
}

function entryLines(
  noun: string,
  entries: readonly (readonly [string, readonly ChangedValue[]])[],
): readonly string[] {
  if (entries.length === 0) {
    return [];
  }
  const rows = entries.map(([name, keys]) => [
    word(name),
    keys.map((key) => `${key.name}=${shown(key.value, key.setting)}`).join(' '),
  ]);
  return ['', ...layOut([[noun, 'keys'], ...rows])];
}

/** What is wrong with ways to log in: such lines and files are left out, so these are warnings. */
function accessWarnings({ settings }: Config, sources: Sources): readonly string[] {
  const ldapProblem = findLdapProblem(settings);
  if (settings.authType !== 'hba') {
    return ldapProblem === null ? [] : [ldapProblem];
  }
  const { readText } = sources;
  const unavailable = (): string | null => sources.nativeProblem?.() ?? null;
  return loadAccessRules(settings, { readText, unavailable }).problems.map(describeAccessProblem);
}

/** What is wrong with `auth_file`, and who cannot log in whatever they do. */
function userWarnings(config: Config, { readText }: Sources): readonly string[] {
  const { authFile, scramIterations } = config.settings;
  const credentials = new Credentials({
    deriver: new PasswordDeriver({ maxInFlight: 1 }),
    random: randomBytes,
    scramIterations,
  });
  const warnings: string[] = [];
  if (authFile !== null && authFile !== '') {
    try {
      const { users, problems } = parseUsersFile(authFile, readText(authFile));
      credentials.load(users, scramIterations);
      warnings.push(
        ...problems.map(({ file, line, message }) => `${file}:${String(line)}: ${message}`),
      );
    } catch (error) {
      warnings.push(`could not open auth_file ${authFile}: ${systemErrorText(error)}`);
    }
  }
  return [
    ...warnings,
    ...adviseOnCredentials(config, credentials),
    ...adviseOnConsole(config, credentials),
  ];
}

function report(config: Config, sources: Sources): string {
  const databases = [...config.databases.values()];
  const users = [...config.users.values()];
  const peers = [...config.peers.values()];
  const warnings = [
    ...config.warnings,
    ...accessWarnings(config, sources),
    ...userWarnings(config, sources),
  ];
  const lines = [
    ...settingLines(config),
    ...entryLines(
      'database',
      databases.map((database) => [database.name, changedDatabaseKeys(database)]),
    ),
    ...entryLines(
      'user',
      users.map((user) => [user.name, changedUserKeys(user)]),
    ),
    ...entryLines(
      'peer',
      peers.map((peer) => [String(peer.id), changedPeerKeys(peer)]),
    ),
    ...(warnings.length === 0 ? [] : ['']),
    ...warnings.map((warning) => `warning: ${warning}`),
    '',
    `${word(config.file)}: the configuration can be used`,
  ];
  return `${lines.join('\n')}\n`;
}

/**
 * Reads a configuration and tells what is wrong with it, or what it comes to. Secrets are not
 * printed.
 *
 * @param file - The file, as the operator named it.
 * @param sources - How to read it, and what the environment overrides.
 * @param findStartProblems - Tells what else a start would end with.
 * @returns Every problem and exit code 1; or what is not at its default, and the warnings.
 */
export async function checkCommand(
  file: string,
  sources: Sources,
  findStartProblems: (settings: Settings) => Promise<readonly string[]>,
): Promise<CommandResult> {
  let config: Config;
  try {
    config = loadConfig(file, sources.readText, sources.env, sources.nativeProblem);
  } catch (error) {
    if (error instanceof ConfigError) {
      return { exitCode: 1, stdout: '', stderr: `${error.message}\n` };
    }
    throw error;
  }
  const { settings } = config;
  const problems = [...findTlsProblem(settings, sources), ...(await findStartProblems(settings))];
  return problems.length === 0
    ? { exitCode: 0, stdout: report(config, sources), stderr: '' }
    : { exitCode: 1, stdout: '', stderr: problems.map((text) => `${file}: ${text}\n`).join('') };
}

function findTlsProblem(settings: Settings, { readText }: Sources): readonly string[] {
  try {
    setUpTls(settings, readText);
    return [];
  } catch (error) {
    if (error instanceof TlsSetupError) {
      return [error.message];
    }
    throw error;
  }
}
