import { readFileSync } from 'node:fs';
import Ajv from 'ajv';
import { describe, expect, it } from 'vitest';
import { parseDocument } from 'yaml';
import { ConfigError } from '../../../src/config/config-error.ts';
import { configSchema } from '../../../src/config/config-schema.ts';
import { parseConfigText } from '../../../src/config/load.ts';

// The validator knows an older draft: it checks what stands beside a reference only when told to,
// and has not heard of the name of this one. No keyword that is used here differs between the two.
const { $schema: _draft, ...schema } = configSchema();
const validate = new Ajv({ extendRefs: true }).compile(schema);

const SAMPLE = readFileSync('config/maitred.yaml', 'utf8');
const SOURCES = { env: { M: 'session', PORT: '7' }, readText: () => 'hunter2\n' };

/** What the loader and the schema say of a text. */
function verdictsOn(text: string): { readonly loader: boolean; readonly schema: boolean } {
  const document = parseDocument(text, { merge: true, prettyErrors: false });
  const isValid = document.errors.length === 0 && validate(document.toJS()) === true;
  try {
    parseConfigText('m.yaml', text, SOURCES);
    return { loader: true, schema: isValid };
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigError);
    return { loader: false, schema: isValid };
  }
}

function setting(line: string): string {
  return `maitred:\n  ${line}\n`;
}

function database(keys: string): string {
  return `databases:\n  app: ${keys}\n`;
}

const RIGHT = [
  SAMPLE,
  SAMPLE.replaceAll(/^(\s*)#(?=[a-z'])/gm, '$1'),
  ...[
    'listen_port: 6432',
    "listen_port: '6432'",
    'listen_port: 0x10',
    'listen_port: ${PORT}',
    'pool_mode: session',
    'pool_mode: Session',
    'pool_mode: " session "',
    'pool_mode: ${M}',
    'query_timeout: 30s',
    'query_timeout: 30 s',
    'query_timeout: " 5s "',
    'query_timeout: 1.5',
    'query_timeout: .5s',
    'query_timeout: 5MIN',
    'max_packet_size: 256MB',
    'max_packet_size: 1.5 kB',
    'log_connections: on',
    'log_connections: Yes',
    'log_connections: TRUE',
    'log_connections: 0',
    "log_connections: ' off '",
    'admin_users: [a, on, true, 5]',
    'admin_users: 123',
    'admin_users: "a, b"',
    'admin_users: []',
    'listen_addr: [127.0.0.1, "::1"]',
    'auth_file: 5',
    'unix_socket_mode: 0777',
    "unix_socket_mode: '0o777'",
  ].map(setting),
  ...[
    '',
    '~',
    '{}',
    '{ password: 123 }',
    '{ password: { file: /p } }',
    '{ password: { env: M } }',
    '{ password: { file: 5 } }',
    '{ pool_size: -1, reserve_pool: 3, server_lifetime: 5m }',
  ].map(database),
  'databases:\n  a: &a { host: h }\n  b: { <<: *a, port: 5 }\n',
  "databases:\n  '*': {}\n  5: {}\n",
  'maitred: { peer_id: 1 }\npeers:\n  1: { host: x }\n  65535: { host: x }\n',
  'users:\n',
  '\ufeffpgbouncer: { pool_mode: session }\n',
];

const WRONG = [
  '',
  '[]',
  'x',
  'bogus:\n',
  'maitred: 5\n',
  'maitred:\npgbouncer:\n',
  ...[
    'listen_port: 65536',
    'listen_port: -1',
    'listen_port: 1.5',
    'listen_port:',
    'listen_port: [1]',
    'listen_port: { a: 1 }',
    'pool_mode: bogus',
    'pool_mode: [session]',
    'query_timeout: 30sec',
    'query_timeout: -1',
    'query_timeout: 1:30',
    'query_timeout: 1h30m',
    'stats_period: 1.5',
    'stats_period: 0',
    'max_packet_size: 1TB',
    'max_packet_size: 256MiB',
    'max_packet_size: 1',
    'log_connections: 2',
    'log_connections: y',
    'log_connections: [on]',
    'log_connections: ""',
    'admin_users: ["a b"]',
    'admin_users: [[a]]',
    'admin_users: [~]',
    'admin_users: { a: b }',
    'auth_file: { file: x }',
    'unix_socket_mode: rwx',
    "unix_socket_mode: '777'",
    'Pool_mode: session',
    'pool_mod: session',
  ].map(setting),
  ...[
    '[]',
    'host=h',
    '{ port: 0 }',
    '{ host: [a, b] }',
    '{ password: [a] }',
    '{ password: {} }',
    '{ password: { env: X, file: Y } }',
    '{ password: ~ }',
    '{ pool_size: 5.5 }',
    '{ bogus: 1 }',
  ].map(database),
  "databases:\n  '': {}\n",
  'databases:\n  pgbouncer: {}\n',
  `databases:\n  ${'x'.repeat(64)}: {}\n`,
  'users:\n  a: { password: x }\n',
  'peers:\n  1:\n',
  'peers:\n  1: {}\n',
  'peers:\n  65536: { host: x }\n',
  'peers:\n  a: { host: x }\n',
];

/** What the loader alone can tell. */
const BEYOND_SCHEMA = [
  ...['query_timeout: 99999999999s', 'stats_period: 1500ms', 'client_tls_protocols: x'].map(
    setting,
  ),
  database('{ password: a, password_file: x }'),
];

describe('the JSON Schema, asked by a validator, and the loader', () => {
  it.each(RIGHT)('both take %j', (text) => {
    expect(verdictsOn(text)).toEqual({ loader: true, schema: true });
  });

  it.each(WRONG)('both refuse %j', (text) => {
    expect(verdictsOn(text)).toEqual({ loader: false, schema: false });
  });

  it.each(BEYOND_SCHEMA)('differ only where a schema cannot look: %j', (text) => {
    expect(verdictsOn(text)).toEqual({ loader: false, schema: true });
  });
});
