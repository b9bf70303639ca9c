import { describe, expect, it } from 'vitest';
import { parseHbaFile } from '../../../src/auth/hba-file.ts';
import { HbaIndex } from '../../../src/auth/hba-index.ts';
import { matchesRule, type ConnectionFacts, type HbaRule } from '../../../src/auth/hba-rules.ts';
import { parseIpAddress, prefixMask, type IpNetwork } from '../../../src/net/ip-address.ts';
import { SeededRandom, testSeed } from '../../support/seeded-random.ts';

const LOCAL: readonly IpNetwork[] = [
  { address: ip('10.1.2.3'), mask: prefixMask(16, 4) ?? Uint8Array.of() },
  { address: ip('fd00::7'), mask: prefixMask(64, 16) ?? Uint8Array.of() },
];
const localNetworks = (): readonly IpNetwork[] => LOCAL;

function ip(text: string): Uint8Array {
  return parseIpAddress(text) ?? expect.fail(text);
}

/** Names of the files beside the HBA file, and what is in them. */
const FILES: Readonly<Record<string, string>> = {
  few: 'ann, "all"\nbob # comment\n',
  all: 'ann all',
  nested: '@few sameuser replication',
  many: Array.from({ length: 300 }, (_unused, index) => `n${String(index)}`).join('\n'),
};

function rulesOf(text: string): readonly HbaRule[] {
  const { rules, problems } = parseHbaFile(text, {
    file: 'hba.conf',
    maps: new Map(),
    names: {
      readText: (file) => FILES[file] ?? expect.fail(file),
      resolve: (_from, name) => name,
    },
  });
  expect(problems.filter(({ isSkipped }) => isSkipped)).toEqual([]);
  return rules;
}

const NAMES = ['ann', 'bob', 'all', 'n7', 'n299', 'x y', 'sameuser', 'replication', '__proto__'];
const WORDS = [
  'all',
  'sameuser',
  'replication',
  'ann',
  'bob',
  '"all"',
  '"x y"',
  'n7',
  '__proto__',
  '@few',
  '@all',
  '@nested',
  '@many',
];
const ADDRESSES = ['10.1.2.3', '10.1.9.9', '10.2.0.1', '192.168.7.7', 'fd00::7', 'fd00::8', '::1'];
const NETWORKS = [
  'all',
  'samehost',
  'samenet',
  '0.0.0.0/0',
  '::/0',
  '10.0.0.0/8',
  '10.1.0.0/16',
  '10.1.2.3/32',
  '10.1.2.3/16',
  '10.0.2.0 255.0.255.0',
  '0.0.0.1 0.0.0.255',
  '192.168.0.0 255.255.0.0',
  'fd00::/64',
  'fd00::7/128',
  'fd00::8 ffff::ffff',
];

function randomColumn(random: SeededRandom): string {
  const words = Array.from({ length: 1 + (random.chance(0.3) ? random.below(12) : 0) }, () =>
    random.pick(WORDS),
  );
  return words.join(',');
}

/** Of few users and databases, so that many lines are about the same ones. */
function randomFile(random: SeededRandom, lines: number): string {
  const isDense = random.chance(0.5);
  const column = (): string =>
    isDense && random.chance(0.9) ? random.pick(['ann', 'sameuser', 'all']) : randomColumn(random);
  return Array.from({ length: lines }, () => {
    const type = random.pick(['local', 'host', 'hostssl', 'hostnossl']);
    const address = type === 'local' ? '' : ` ${random.pick(NETWORKS)}`;
    return `${type} ${column()} ${column()}${address} md5`;
  }).join('\n');
}

function randomFacts(random: SeededRandom): ConnectionFacts {
  return {
    address: random.chance(0.2) ? null : ip(random.pick(ADDRESSES)),
    isTls: random.chance(0.5),
    database: random.pick([...NAMES, 'unheard-of']),
    user: random.pick([...NAMES, 'unheard-of']),
    isPhysicalReplication: random.chance(0.1),
  };
}

/** The plain meaning of a file: the first line that matches. */
function walk(rules: readonly HbaRule[], facts: ConnectionFacts): HbaRule | null {
  return rules.find((rule) => matchesRule(rule, facts, localNetworks)) ?? null;
}

function expectSame(rules: readonly HbaRule[], index: HbaIndex, facts: ConnectionFacts): void {
  const expected = walk(rules, facts)?.line;
  const found = index.find(facts, localNetworks)?.line;
  expect([facts, found]).toEqual([facts, expected]);
}

describe('the index of an HBA file', () => {
  it('finds the line that a walk over all of them finds', () => {
    const random = new SeededRandom(testSeed('hba-index'));
    let hits = 0;
    for (let round = 0; round < 300; round++) {
      const rules = rulesOf(randomFile(random, random.pick([0, 1, 5, 12, 60, 200])));
      const index = new HbaIndex(rules);
      for (let client = 0; client < 60; client++) {
        const facts = randomFacts(random);
        expectSame(rules, index, facts);
        hits += walk(rules, facts) === null ? 0 : 1;
      }
    }
    expect(hits).toBeGreaterThan(1000);
  });

  it('finds it where lines name more users and databases than are entered', () => {
    const random = new SeededRandom(testSeed('hba-index-many'));
    // 300 names in each of 4,000 lines are more than a million.
    const lines = Array.from({ length: 4000 }, (_unused, index) =>
      index % 2 === 0
        ? `host all @many 10.${String(index % 250)}.0.0/16 md5`
        : `host n${String(index % 300)},@few @many 10.${String(index % 250)}.0.0/16 md5`,
    );
    const rules = rulesOf([...lines, 'host ann bob all md5', 'host all n7 all md5'].join('\n'));
    const index = new HbaIndex(rules);
    for (let client = 0; client < 200; client++) {
      const address = ip(`10.${String(random.below(256))}.1.1`);
      expectSame(rules, index, { ...randomFacts(random), address });
    }
  });
});

const LINES = 20_000;

/** What lines of a long file are like, and a client that only the last one is about. */
const SHAPES: readonly (readonly [
  string,
  (line: number) => string,
  (count: number) => Partial<ConnectionFacts>,
])[] = [
  [
    'users',
    (line) => `host all u${String(line)} all md5`,
    (count) => ({ user: `u${String(count - 1)}` }),
  ],
  [
    'databases',
    (line) => `host d${String(line)},e${String(line)} all all md5`,
    (count) => ({ database: `e${String(count - 1)}` }),
  ],
  [
    'pairs',
    (line) => `host d${String(line % 100)} u${String(line)} all md5`,
    (count) => ({ user: `u${String(count - 1)}`, database: `d${String((count - 1) % 100)}` }),
  ],
  [
    'addresses of one user',
    (line) => `host app app ${addressOf(line)}/32 md5`,
    (count) => ({ user: 'app', database: 'app', address: ip(addressOf(count - 1)) }),
  ],
  [
    'networks by mask',
    (line) => `host all all ${addressOf(line)} 255.255.255.255 md5`,
    (count) => ({ address: ip(addressOf(count - 1)) }),
  ],
  [
    'lines that say the same',
    (line) => `host all app ${line === LINES - 1 ? '10.9.9.9/32' : 'samehost'} md5`,
    () => ({ user: 'app' }),
  ],
  [
    'lists with everybody, by address',
    (line) => `host all @many ${addressOf(line)}/32 md5`,
    (count) => ({ user: 'n7', address: ip(addressOf(count - 1)) }),
  ],
];

function addressOf(line: number): string {
  return `10.0.${String(line >> 8)}.${String(line & 255)}`;
}

describe('a file of 20,000 lines', () => {
  it.each(SHAPES)('costs a client no walk: %s', (_name, line, client) => {
    const base = { address: ip('10.9.9.9'), isTls: true, isPhysicalReplication: false };
    const facts: ConnectionFacts = { ...base, database: 'db', user: 'ann', ...client(LINES) };
    const text = Array.from({ length: LINES }, (_unused, index) => line(index)).join('\n');
    let looks = 0;
    const rules = rulesOf(text).map((rule) => ({
      ...rule,
      get connection() {
        looks++;
        return rule.connection;
      },
      get users() {
        looks++;
        return rule.users;
      },
    }));
    const index = new HbaIndex(rules);
    looks = 0;
    expect(index.find(facts, localNetworks)?.line).toBe(LINES);
    expect(index.find({ ...facts, user: 'nobody', database: 'none' }, () => [])?.line).toBe(
      line(LINES - 1).startsWith('host all all') ? LINES : undefined,
    );
    expect(looks).toBeLessThan(100);
  });
});
