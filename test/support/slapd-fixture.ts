import { execFileSync, spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import type { Certificate } from './certificates.ts';
import { guardChild } from './child-guard.mjs';
import { waitFor } from './wait-for.ts';

const SCHEMAS = ['core', 'cosine', 'inetorgperson'];
const SCHEMA_DIR = '/etc/ldap/schema';
const MODULE_DIR = '/usr/lib/ldap';

/** Where programs of the system are that are not for everybody. */
const SEARCH_PATH = `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin`;

/** Whether a slapd with its schemas is installed. */
export function hasSlapd(): boolean {
  try {
    execFileSync('sh', ['-c', 'command -v slapd && command -v slapadd'], {
      env: { PATH: SEARCH_PATH },
      stdio: 'ignore',
    });
    return fs.existsSync(path.join(SCHEMA_DIR, 'inetorgperson.schema'));
  } catch {
    return false;
  }
}

/** Who reads the directory, since nobody else may. */
export const READER = { dn: 'cn=reader,dc=example,dc=net', password: 'reading is fun' } as const;

/** A person in the directory. */
export interface Person {
  readonly uid: string;
  readonly password: string;
  /** Below which unit; `people` by default. */
  readonly unit?: 'people' | 'guests';
  readonly mail?: string;
}

/** A slapd of its own for one test file, with plain LDAP, StartTLS and ldaps. */
export class SlapdFixture {
  readonly directory: string;
  readonly port: number;
  readonly tlsPort: number;
  readonly #child: ChildProcess;
  readonly #ended: Promise<void>;

  private constructor(directory: string, ports: readonly [number, number]) {
    this.directory = directory;
    [this.port, this.tlsPort] = ports;
    const urls = `ldap://127.0.0.1:${String(this.port)}/ ldaps://127.0.0.1:${String(this.tlsPort)}/`;
    this.#child = spawn(
      'slapd',
      ['-d', '0', '-f', path.join(directory, 'slapd.conf'), '-h', urls],
      {
        env: { PATH: SEARCH_PATH },
        stdio: 'ignore',
      },
    );
    const { pid } = this.#child;
    const dismiss = pid === undefined ? () => undefined : guardChild(pid, 'TERM', directory);
    this.#ended = new Promise((resolve) => {
      this.#child.once('close', () => {
        dismiss();
        resolve();
      });
      this.#child.once('error', () => {
        resolve();
      });
    });
  }

  /** Fills a new directory and serves it. */
  static async start(
    people: readonly Person[],
    { cert, key }: Certificate,
    authority: Certificate,
  ): Promise<SlapdFixture> {
    const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'mtr-slapd-'));
    fs.mkdirSync(path.join(directory, 'db'));
    const files = {
      'server.pem': cert,
      'server.key': key,
      'ca.pem': authority.cert,
      'slapd.conf': configuration(directory),
      'content.ldif': contentOf(people),
    };
    for (const [name, content] of Object.entries(files)) {
      fs.writeFileSync(path.join(directory, name), content, { mode: 0o600 });
    }
    const args = [
      '-f',
      path.join(directory, 'slapd.conf'),
      '-l',
      path.join(directory, 'content.ldif'),
    ];
    execFileSync('slapadd', args, { env: { PATH: SEARCH_PATH }, stdio: 'pipe' });
    const slapd = new SlapdFixture(directory, [await freePort(), await freePort()]);
    await waitFor(
      'slapd to come up',
      async () => (await accepts(slapd.port)) && accepts(slapd.tlsPort),
    );
    return slapd;
  }

  /** Ends it and removes what it has. */
  async stop(): Promise<void> {
    this.#child.kill('SIGTERM');
    await this.#ended;
    fs.rmSync(this.directory, { recursive: true, force: true });
  }
}

function configuration(directory: string): string {
  return [
    ...SCHEMAS.map((name) => `include ${SCHEMA_DIR}/${name}.schema`),
    `pidfile ${directory}/slapd.pid`,
    `modulepath ${MODULE_DIR}`,
    'moduleload back_mdb',
    `TLSCertificateFile ${directory}/server.pem`,
    `TLSCertificateKeyFile ${directory}/server.key`,
    // A bind with a name and no password succeeds as an anonymous one, as on many servers.
    'allow bind_anon_dn bind_anon_cred',
    'access to attrs=userPassword by anonymous auth by * none',
    `access to * by dn.exact="${READER.dn}" read by * none`,
    'database mdb',
    'suffix "dc=example,dc=net"',
    'rootdn "cn=admin,dc=example,dc=net"',
    `directory ${directory}/db`,
    'maxsize 10485760',
    '',
  ].join('\n');
}

function contentOf(people: readonly Person[]): string {
  const entries = [
    [
      'dn: dc=example,dc=net',
      'objectClass: dcObject',
      'objectClass: organization',
      'o: Example',
      'dc: example',
    ],
    ['dn: ou=people,dc=example,dc=net', 'objectClass: organizationalUnit', 'ou: people'],
    ['dn: ou=guests,dc=example,dc=net', 'objectClass: organizationalUnit', 'ou: guests'],
    [
      `dn: ${READER.dn}`,
      'objectClass: organizationalRole',
      'objectClass: simpleSecurityObject',
      'cn: reader',
      `userPassword: ${READER.password}`,
    ],
    ...people.map(({ uid, password, unit = 'people', mail }) => [
      base64Line('dn', `uid=${uid.replace(/[,+"\\<>;=#]/g, '\\$&')},ou=${unit},dc=example,dc=net`),
      'objectClass: inetOrgPerson',
      base64Line('uid', uid),
      'cn: Somebody',
      'sn: Body',
      base64Line('userPassword', password),
      ...(mail === undefined ? [] : [`mail: ${mail}`]),
    ]),
  ];
  return `${entries.map((lines) => lines.join('\n')).join('\n\n')}\n`;
}

function base64Line(name: string, value: string): string {
  return `${name}:: ${Buffer.from(value).toString('base64')}`;
}

/** A port that was free a moment ago: slapd cannot tell which one it got. */
async function freePort(): Promise<number> {
  const server = net.createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return typeof address === 'object' && address !== null ? address.port : 0;
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = net.connect({ host: '127.0.0.1', port });
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => {
      resolve(false);
    });
  });
}
