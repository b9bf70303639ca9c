import { describe, expect, it } from 'vitest';
import { applySetting } from '../../../src/config/apply-setting.ts';
import type { Sources } from '../../../src/config/dialect.ts';
import { listSettings } from '../../../src/config/list-settings.ts';
import { parseConfigText } from '../../../src/config/load.ts';
import { ConfigError } from '../../../src/config/config-error.ts';

const REASON = 'it needs the optional package koffi, which cannot be loaded: not here';

const WITHOUT: Sources = {
  readText: () => '',
  env: {},
  nativeProblem: () => REASON,
};
const WITH: Sources = { ...WITHOUT, nativeProblem: () => null };

/** A setting, a value that needs system calls, and the one that does without. */
const NEEDS = [
  ['tcp_defer_accept', '1', '0'],
  ['tcp_keepcnt', '3', '0'],
  ['tcp_keepintvl', '5', '0'],
  ['tcp_user_timeout', '1000', '0'],
  ['tcp_socket_buffer', '65536', '0'],
  ['syslog', '1', '0'],
  ['auth_type', 'peer', 'md5'],
  ['auth_type', 'pam', 'trust'],
] as const;

/** The file forms of one setting. */
function files(name: string, value: string): readonly (readonly [string, string])[] {
  return [
    ['m.yaml', `maitred: { ${name}: ${value} }`],
    ['p.ini', `[pgbouncer]\n${name} = ${value}\n`],
  ];
}

function problemOf(file: string, text: string, sources: Sources): string {
  try {
    parseConfigText(file, text, sources);
    return '';
  } catch (error) {
    return error instanceof ConfigError ? error.message : 'another error';
  }
}

describe.each(NEEDS)('%s = %s', (name, value, harmless) => {
  it.each(files(name, value))('is refused by name without system calls: %s', (file, text) => {
    const problem = problemOf(file, text, WITHOUT);
    expect(problem).toContain(name);
    expect(problem).toContain(REASON);
    expect(problem).toContain(value);
    expect(problem).toMatch(/:\d+:\d+: /);
  });

  it.each(files(name, value))('is taken where there are system calls: %s', (file, text) => {
    expect(problemOf(file, text, WITH)).toBe('');
  });

  it.each(files(name, harmless))('needs none for its harmless value: %s', (file, text) => {
    expect(problemOf(file, text, WITHOUT)).toBe('');
  });

  it('is refused by SET without system calls, and else taken', () => {
    const config = parseConfigText('m.yaml', 'maitred: {tcp_defer_accept: 0}', WITHOUT);
    const outcome = applySetting(config, name, value, () => REASON);
    expect('problem' in outcome ? outcome.problem : '').toContain(REASON);
    expect('config' in applySetting(config, name, value, () => null)).toBe(true);
    expect('config' in applySetting(config, name, harmless, () => REASON)).toBe(true);
  });
});

describe('a default that needs system calls', () => {
  it('is off where there are none, and SHOW CONFIG says so', () => {
    const config = parseConfigText('m.yaml', 'maitred: {job_name: x}', WITHOUT);
    expect(config.settings.tcpDeferAccept).toBe(false);
    const row = listSettings(config).find(({ key }) => key === 'tcp_defer_accept');
    expect(row).toMatchObject({ value: '0', default: '1' });
  });

  it('holds where there are', () => {
    const config = parseConfigText('m.yaml', 'maitred: {job_name: x}', WITH);
    expect(config.settings.tcpDeferAccept).toBe(true);
  });
});
