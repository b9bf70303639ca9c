import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { parseHbaFile, type HbaFile } from '../../../src/auth/hba-file.ts';
import { HbaIndex } from '../../../src/auth/hba-index.ts';
import type { ConnectionFacts, HbaRule } from '../../../src/auth/hba-rules.ts';
import { parseIdentFile } from '../../../src/auth/ident-map.ts';
import { checkLdapOptions } from '../../../src/config/ldap-options.ts';
import { parseIpAddress, prefixMask } from '../../../src/net/ip-address.ts';

const { maps } = parseIdentFile('people ann alice\nq z z\n');

/** Files beside the HBA file, by name. */
type Files = Readonly<Record<string, string>>;

function parse(text: string, files: Files = {}): HbaFile {
  return parseHbaFile(text, {
    file: '/etc/maitred/hba.conf',
    maps,
    names: {
      readText: (file) => {
        const content = files[path.relative('/etc/maitred', file)];
        if (content === undefined) {
          throw new Error('ENOENT: no such file or directory');
        }
        return content;
      },
      resolve: (from, name) => path.resolve(path.dirname(from), name),
    },
  });
}

/** The one rule of a line. */
function ruleOf(line: string, files: Files = {}): HbaRule {
  const { rules, problems } = parse(line, files);
  expect(problems.filter((problem) => problem.isSkipped)).toEqual([]);
  const [rule] = rules;
  if (rule === undefined) {
    throw new Error('the line is no rule');
  }
  return rule;
}

/** What is wrong with a line that is left out. */
function problemOf(line: string, files: Files = {}): string {
  const { rules, problems } = parse(`# comment\n${line}\nlocal all all trust`, files);
  expect(rules.map((rule) => rule.line)).toEqual([3]);
  expect(problems).toHaveLength(1);
  expect(problems[0]).toMatchObject({ line: 2, isSkipped: true });
  return problems[0]?.message ?? '';
}

interface Facts extends Partial<Omit<ConnectionFacts, 'address'>> {
  /** `unix` by default. */
  readonly from?: string;
}

function factsOf({ from = 'unix', ...rest }: Facts): ConnectionFacts {
  const address = from === 'unix' ? null : parseIpAddress(from);
  return {
    isTls: false,
    database: 'db',
    user: 'ann',
    isPhysicalReplication: false,
    ...rest,
    address,
  };
}

const HOME = {
  address: Uint8Array.of(192, 168, 7, 20),
  mask: prefixMask(24, 4) ?? Uint8Array.of(),
};

function matches(line: string, facts: Facts, files: Files = {}): boolean {
  return new HbaIndex([ruleOf(line, files)]).find(factsOf(facts), () => [HOME]) !== null;
}

describe('the kind of connection', () => {
  const FROM = { unix: {}, plain: { from: '10.0.0.1' }, tls: { from: '10.0.0.1', isTls: true } };
  it.each([
    ['local all all trust', { unix: true, plain: false, tls: false }],
    ['host all all all trust', { unix: false, plain: true, tls: true }],
    ['hostssl all all all trust', { unix: false, plain: false, tls: true }],
    ['hostnossl all all all trust', { unix: false, plain: true, tls: false }],
  ] as const)('%s', (line, expected) => {
    for (const kind of ['unix', 'plain', 'tls'] as const) {
      expect([kind, matches(line, FROM[kind])]).toEqual([kind, expected[kind]]);
    }
  });
});

describe('the column of databases', () => {
  it.each([
    ['all', { database: 'anything' }, true],
    ['db', { database: 'db' }, true],
    ['db', { database: 'DB' }, false],
    ['a,db,c', { database: 'db' }, true],
    ['a, db , c', { database: 'c' }, true],
    ['a,b', { database: 'db' }, false],
    ['"db"', { database: 'db' }, true],
    ['"d b"', { database: 'd b' }, true],
    ['"d""b"', { database: 'd"b' }, true],
    ['"all"', { database: 'db' }, false],
    ['"all"', { database: 'all' }, true],
    ['"sameuser"', { database: 'ann', user: 'ann' }, false],
    ['sameuser', { database: 'ann', user: 'ann' }, true],
    ['sameuser', { database: 'ann', user: 'bob' }, false],
    ['pgbouncer', { database: 'pgbouncer' }, true],
    ['__proto__', { database: 'db' }, false],
    ['db', { database: '__proto__' }, false],
    ['replication', { database: 'replication' }, false],
    ['"replication"', { database: 'replication' }, true],
    ['replication', { database: 'db', isPhysicalReplication: true }, true],
    ['db,replication', { database: 'x', isPhysicalReplication: true }, true],
    ['all', { database: 'db', isPhysicalReplication: true }, false],
    ['db', { database: 'db', isPhysicalReplication: true }, false],
    ['@dbs', { database: 'two' }, true],
    ['@dbs', { database: 'six' }, false],
    ['x,@dbs,y', { database: 'y' }, true],
    ['@dir/more', { database: 'five' }, true],
    ['"@dbs"', { database: '@dbs' }, true],
  ])('%s for %j: %s', (column, facts, expected) => {
    const files = {
      dbs: '# names\none\ntwo, "three" # three\n  four\n',
      'dir/more': '@five.txt\n',
      'dir/five.txt': 'five six',
    };
    expect(matches(`local ${column} all trust`, facts, files)).toBe(expected);
  });

  it('may be all by a file', () => {
    expect(matches('local @a all trust', { database: 'x' }, { a: 'all\n' })).toBe(true);
  });
});

describe('the column of users', () => {
  it.each([
    ['all', { user: 'x' }, true],
    ['ann', { user: 'ann' }, true],
    ['bob,ann', { user: 'ann' }, true],
    ['bob', { user: 'ann' }, false],
    ['"all"', { user: 'ann' }, false],
    ['"+ann"', { user: '+ann' }, true],
    ['sameuser', { user: 'db', database: 'db' }, true],
    ['sameuser', { user: 'ann', database: 'db' }, false],
    ['@users', { user: 'ann' }, true],
    ['@users', { user: 'bob' }, false],
  ])('%s for %j: %s', (column, facts, expected) => {
    expect(matches(`local all ${column} trust`, facts, { users: 'ann' })).toBe(expected);
  });
});

describe('the column of addresses', () => {
  it.each([
    ['all', '10.0.0.1', true],
    ['all', '::1', true],
    ['127.0.0.1/32', '127.0.0.1', true],
    ['127.0.0.1/32', '127.0.0.2', false],
    ['10.0.0.0/8', '10.255.0.1', true],
    ['10.0.0.0/8', '11.0.0.1', false],
    ['0.0.0.0/0', '1.2.3.4', true],
    ['0.0.0.0/0', '::1', false],
    ['10.0.0.0/08', '10.9.9.9', true],
    ['::/0', '::1', true],
    ['::/0', '1.2.3.4', false],
    ['::1/128', '::1', true],
    ['::ffff:10.0.0.0/104', '10.9.9.9', true],
    ['::ffff:10.0.0.0/104', '11.0.0.1', false],
    ['::ffff:10.0.0.0/95', '10.0.0.1', false],
    ['fe80::/10', 'febf::1', true],
    ['fe80::/10', 'fec0::1', false],
    ['10.0.0.0 255.0.0.0', '10.9.9.9', true],
    ['10.0.0.0 255.0.0.0', '11.9.9.9', false],
    ['10.0.5.0 255.0.255.0', '10.77.5.1', true],
    ['::1 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff', '::1', true],
    ['10.0.0.9/8', '10.1.1.1', true],
    ['samehost', '192.168.7.20', true],
    ['samehost', '192.168.7.21', false],
    ['samenet', '192.168.7.21', true],
    ['samenet', '192.168.8.20', false],
    ['samenet', '::1', false],
  ])('%s for %s: %s', (column, from, expected) => {
    expect(matches(`host all all ${column} md5`, { from })).toBe(expected);
  });

  it('is kept with a warning where it has bits outside of its mask', () => {
    const { rules, problems } = parse('host all all 127.0.0.5/24 trust');
    expect(rules).toHaveLength(1);
    expect(problems).toEqual([
      {
        line: 1,
        isSkipped: false,
        message:
          'address does not match mask in /etc/maitred/hba.conf line #1: 127.0.0.5 / 255.255.255.0',
      },
    ]);
  });
});

describe('the method', () => {
  it.each([
    ['trust', 'trust'],
    ['reject', 'reject'],
    ['md5', 'md5'],
    ['password', 'plain'],
    ['plain', 'plain'],
    ['scram-sha-256', 'scram-sha-256'],
    ['peer', 'peer'],
    ['cert', 'cert'],
    ['pam', 'pam'],
  ])('%s is read as %s', (word, method) => {
    expect(ruleOf(`host all all all ${word} # comment`)).toMatchObject({
      method,
      map: null,
      ldap: null,
      pamService: null,
    });
  });

  it.each([
    'pam pamservice=db.users-1',
    'pam pamservice="db.users-1"',
    'pam  pamservice=db.users-1#x',
  ])('%s names the service of PAM', (text) => {
    expect(ruleOf(`host all all all ${text}`)).toMatchObject({
      method: 'pam',
      pamService: 'db.users-1',
    });
  });

  it.each(['peer map=people', 'cert map=people', 'cert map="people"', 'peer  map=people#x'])(
    '%s has its map',
    (text) => {
      expect(ruleOf(`local all all ${text}`).map).toBe(maps.get('people'));
    },
  );

  it('ldap has the rest of the line as its options', () => {
    const { ldap } = ruleOf(
      'host all all all ldap ldapserver=ldap.example ldapprefix="cn=" ldapsuffix=", dc=example, dc=net" # to do',
    );
    expect(ldap).toEqual({
      servers: ['ldap.example'],
      port: 389,
      isLdaps: false,
      isStartTls: false,
      mode: { kind: 'simple', prefix: 'cn=', suffix: ', dc=example, dc=net' },
    });
  });

  it.each([
    ['host all all all peer', 'peer lets nobody in but on local lines'],
    ['local all all cert', 'cert lets nobody in but on hostssl and host lines'],
    ['hostnossl all all all cert', 'cert lets nobody in but on hostssl and host lines'],
    ['local all all md5 map=people', 'map has no effect but with cert and peer'],
  ])('%s counts, with a warning', (line, message) => {
    expect(parse(line)).toMatchObject({
      rules: [{ line: 1 }],
      problems: [{ message, isSkipped: false }],
    });
  });
});

describe('a line that cannot be used is left out', () => {
  it.each([
    ['bogus all all trust', 'unknown type; known are local, host, hostssl, hostnossl'],
    ['LOCAL all all trust', 'unknown type'],
    ['"local" all all trust', 'unknown type'],
    [', all all trust', 'unknown type'],
    ['hostgssenc all all all trust', 'unknown type'],
    ['include other.conf', 'unknown type'],
    ['host', 'did not find database'],
    ['host all', 'did not find user'],
    ['host all all', 'did not find address'],
    ['host a,,b all all trust', 'expected a database before the comma'],
    ['host a, ', 'did not find database'],
    ['host all "ann all trust', 'a quote is not closed'],
    ['host +admins all all trust', '+admins: groups are not supported'],
    ['host all +admins all trust', '+admins: groups are not supported'],
    ['host all ann,+admins all trust', '+admins: groups are not supported'],
    ['host all @groups all trust', '+admins: groups are not supported'],
    ['host samerole all all trust', 'samerole is not supported'],
    ['host samegroup all all trust', 'samegroup is not supported'],
    [
      'host all @none all trust',
      'could not open names file /etc/maitred/none: No such file or directory',
    ],
    [
      'host all @self all trust',
      'files of names include each other too deeply at /etc/maitred/self',
    ],
    ['host all @open all trust', '/etc/maitred/open line 2: a quote is not closed'],
    ['host all all localhost trust', 'failed to parse address - localhost; allowed: '],
    ['host all all .example.com trust', 'failed to parse address - .example.com'],
    ['host all all 127.1/8 trust', 'failed to parse address - 127.1/8'],
    ['host all all /0 trust', 'failed to parse address - /0'],
    ['host all all ALL trust', 'failed to parse address - ALL'],
    ['host all all "127.0.0.1/32" trust', 'the address must not be in quotes'],
    ['host all all 127.0.0.1', 'did not find mask'],
    ['host all all 127.0.0.1 trust', 'failed to parse mask: trust'],
    ['host all all 127.0.0.1 ffff:: trust', 'failed to parse mask: ffff::'],
    ['host all all 127.0.0.1/33 trust', 'invalid mask; allowed: /0 to /32'],
    ['host all all ::1/129 trust', 'invalid mask; allowed: /0 to /128'],
    ['host all all 127.0.0.1/ trust', 'invalid mask'],
    ['host all all 127.0.0.1/-1 trust', 'invalid mask'],
    ['host all all 127.0.0.1/0x8 trust', 'invalid mask'],
    ['host all all 127.0.0.1/32 255.255.255.255 trust', 'unsupported method: buf=255.255.255.255'],
    ['host all all 127.0.0.1/32', 'did not find method'],
    ['host all all all gss', 'unsupported method: buf=gss; known are trust, reject, md5, password'],
    ['host all all all ident', 'unsupported method: buf=ident'],
    ['host all all all any', 'unsupported method: buf=any'],
    ['host all all all MD5', 'unsupported method: buf=MD5'],
    ['host all all all "trust"', 'unsupported method: buf=trust'],
    ['host all all all __proto__', 'unsupported method: buf=__proto__'],
    ['host all all all pam service=x', 'known is one pamservice=NAME'],
    ['host all all all pam pamservice=x y', 'known is one pamservice=NAME'],
    ['host all all all pam pamservice=', 'pamservice is not the name of a file'],
    ['host all all all pam pamservice=a/b', 'pamservice is not the name of a file'],
    ['host all all all pam pamservice=..', 'pamservice is not the name of a file'],
    ['host all all all md5 pamservice=x', 'known is one map=NAME'],
    ['host all all all trust extra', 'unsupported parameters'],
    ['host all all all cert clientcert=1', 'unsupported parameters'],
    ['host all all all cert map=people x', 'unsupported parameters'],
    ['host all all all trust "x', 'unsupported parameters'],
    ['host all all all cert map', 'Ident map map is malformed. It is not in map=value format.'],
    ['host all all all cert map=none', 'Ident map none is not found in ident config file'],
    ['host all all all cert map=', 'Ident map  is not found in ident config file'],
    ['host all all all ldap', 'ldapserver is missing'],
    ['host all all all ldap ldapserver=x', 'one of ldapbasedn, ldapprefix and ldapsuffix'],
    ['host all all all ldap map=people', 'unknown LDAP option map'],
    [
      'host all all all ldap ldapserver=x ldapbasedn=y ldapsearchfilter=(&$username)',
      'ldapsearchfilter is not a filter',
    ],
  ])('%s', (line, message) => {
    const files = { groups: 'ann\n+admins', self: 'x\n@self', open: 'ann\n"bob' };
    expect(problemOf(line, files)).toContain(message);
  });

  it('and its message has no password', () => {
    for (const line of [
      'host all all all md5 ldapbindpasswd=hunter2',
      'host all all all ldap ldapserver=x ldapbasedn=y ldapbindpasswd=hunter2 ldapbogus=1',
      'host all all all ldap ldapserver=x ldapbindpasswd "hunter2',
    ]) {
      expect(problemOf(line)).not.toContain('hunter2');
    }
  });
});

describe('the file', () => {
  it('may have comments, empty lines, white space, a byte order mark and CRLF', () => {
    const text =
      '\ufeff# first\r\n\r\n  local\tall  all\ttrust\t# here\r\n\t\r\nhost all all all md5\r\n';
    expect(parse(text)).toMatchObject({ rules: [{ line: 3 }, { line: 5 }], problems: [] });
  });

  it('may be empty', () => {
    expect(parse('')).toEqual({ rules: [], problems: [] });
  });

  it('counts in its order: the first line that matches decides', () => {
    const { rules } = parse(
      'local all bob reject\nlocal db all md5\nhost all all all trust\nlocal all all trust',
    );
    const lineFor = (facts: Facts): number | null =>
      new HbaIndex(rules).find(factsOf(facts), () => [])?.line ?? null;
    expect(lineFor({ user: 'bob' })).toBe(1);
    expect(lineFor({ user: 'ann' })).toBe(2);
    expect(lineFor({ database: 'other' })).toBe(4);
    expect(lineFor({ from: '::1' })).toBe(3);
    expect(lineFor({ isPhysicalReplication: true })).toBeNull();
  });

  it('goes on behind a bad line', () => {
    const { rules, problems } = parse('host all all all gss\nbogus\nlocal all all trust\n"');
    expect(rules.map(({ line }) => line)).toEqual([3]);
    expect(problems.map(({ line }) => line)).toEqual([1, 2, 4]);
  });

  it('asks for the addresses of this machine only where a line needs them', () => {
    const { rules } = parse('host all all 10.0.0.0/8 trust\nhost all all samehost trust');
    let asked = 0;
    const networks = (): [] => {
      asked++;
      return [];
    };
    new HbaIndex(rules).find(factsOf({ from: '10.0.0.1' }), networks);
    expect(asked).toBe(0);
    new HbaIndex(rules).find(factsOf({ from: '11.0.0.1' }), networks);
    expect(asked).toBe(1);
  });
});

describe('the manual', () => {
  const manual = readFileSync('docs/AUTHENTICATION.md', 'utf8');
  const [hba = '', ident = ''] = [...manual.matchAll(/^```\n(# (?:TYPE|MAP).*?)^```/gms)].map(
    (match) => match[1] ?? '',
  );
  const options = /auth_ldap_options: >-\n(.*?)^```/ms.exec(manual)?.[1] ?? '';

  it('has examples that can be used', () => {
    const { maps: robots, problems } = parseIdentFile(ident);
    expect(problems).toEqual([]);
    expect([...robots.keys()]).toEqual(['robots', 'admins']);
    const file = parseHbaFile(hba, {
      file: '/hba.conf',
      maps: robots,
      names: { readText: () => 'ann', resolve: (_from, name) => name },
    });
    expect(file.problems).toEqual([]);
    expect(file.rules.map(({ method }) => method)).toEqual([
      'peer',
      'scram-sha-256',
      'cert',
      'ldap',
      'reject',
    ]);
    expect(checkLdapOptions(options)).toBeNull();
  });
});
