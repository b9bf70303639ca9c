import { describe, expect, it } from 'vitest';
import { refuseCertificate, refusePeer } from '../../../src/auth/certificate-identity.ts';
import { MAX_SYSTEM_NAME_LENGTH, parseIdentFile, IdentMap } from '../../../src/auth/ident-map.ts';
import { TIME_BUDGET_MS } from '../../../src/auth/time-budget.ts';
import { SeededRandom, testSeed } from '../../support/seeded-random.ts';

function mapOf(lines: string): IdentMap {
  const { maps, problems } = parseIdentFile(lines);
  expect(problems).toEqual([]);
  return maps.get('m') ?? new IdentMap();
}

function isMapped(map: IdentMap, systemName: string, user: string): boolean {
  return map.find([systemName], user) === 'mapped';
}

describe('an ident map', () => {
  it.each([
    ['m ann alice', 'ann', 'alice', true],
    ['m ann alice', 'ann', 'ann', false],
    ['m ann alice', 'Ann', 'alice', false],
    ['m ann alice', 'ann', 'Alice', false],
    ['m ann alice\nm bob bob', 'bob', 'bob', true],
    ['m ann alice\nm ann bob', 'ann', 'bob', true],
    ['other ann alice', 'ann', 'alice', false],
    ['m ann all', 'ann', 'whoever', true],
    ['m bob all', 'ann', 'whoever', false],
    ['m ann "all"', 'ann', 'bob', false],
    ['m ann "all"', 'ann', 'all', true],
    ['m "a n" "a ""l"', 'a n', 'a "l', true],
    ['m /^ann alice', 'anna', 'alice', true],
    ['m /^ann$ alice', 'anna', 'alice', false],
    ['m /nn alice', 'anna', 'alice', true],
    ['m /^(.*)@example\\.com$ \\1', 'ann@example.com', 'ann', true],
    ['m /^(.*)@example\\.com$ \\1', 'ann@example.com', 'bob', false],
    ['m /^(.*)@example\\.com$ \\1', 'ann@exampleXcom', 'ann', false],
    ['m /^(.*)@x$ u_\\1_r', 'ann@x', 'u_ann_r', true],
    ['m /^(a)?b$ \\1x', 'b', 'x', true],
    ['m /^(.*)$ \\1', '$&', '$&', true],
    ['m ann /^al', 'ann', 'alice', true],
    ['m ann /^al', 'ann', 'bob', false],
    ['m ann \\1', 'ann', '\\1', true],
    ['m /x all', 'x', 'y', true],
    ['m "/^a b$" ann', 'a b', 'ann', true],
  ])('%j from %j to %j: %s', (lines, systemName, user, expected) => {
    expect(isMapped(mapOf(lines), systemName, user)).toBe(expected);
  });

  it.each([
    ['m /^(a+)+$ u', `${'a'.repeat(100)}!`, 'u'],
    ['m ann /^(a+)+$', 'ann', `${'a'.repeat(100)}!`],
  ])('does not think for years about a name: %s', (lines, systemName, user) => {
    const map = mapOf(lines);
    expect(map.find([systemName], user)).toBe('too_slow');
    const certificate = { commonName: systemName, subjectAltNames: [] };
    const reason = 'a regular expression of the map takes too long for these names';
    expect(refuseCertificate(certificate, map, user)).toBe(reason);
    expect(refusePeer(systemName, map, user)).toBe(reason);
  });

  it('gives all lines and all names together the time of one', () => {
    const slow = '/^(a+)+$ u\n';
    const map = mapOf(Array.from({ length: 20 }, () => `m ${slow}`).join(''));
    const names = Array.from({ length: 20 }, (_unused, index) => `${'a'.repeat(80 + index)}!`);
    const startMs = performance.now();
    expect(map.find(names, 'u')).toBe('too_slow');
    expect(performance.now() - startMs).toBeLessThan(10 * TIME_BUDGET_MS);
    const shown = { commonName: null, subjectAltNames: names };
    expect(refuseCertificate(shown, map, 'u')).toContain('takes too long');
  });

  it('admits whom a line in clear names, whatever expressions stand before it', () => {
    const name = `${'a'.repeat(100)}!`;
    expect(isMapped(mapOf(`m /^(a+)+$ u\nm ${name} u`), name, 'u')).toBe(true);
    expect(isMapped(mapOf(`m /^(a+)+$ u\nm ${name} all`), name, 'v')).toBe(true);
  });

  it('takes hundreds of expressions for less than one login may cost', () => {
    const lines = Array.from(
      { length: 300 },
      (_unused, index) => `m /^(.*)@d${String(index)}$ \\1`,
    );
    const map = mapOf(lines.join('\n'));
    expect(isMapped(map, 'ann@d299', 'ann')).toBe(true);
    expect(isMapped(map, 'ann@d300', 'ann')).toBe(false);
  });

  it('admits whom any of its lines admits', () => {
    const random = new SeededRandom(testSeed('ident-map'));
    const names = ['ann', 'bob', 'all', 'ann@x', 'bob@x', '__proto__'];
    const systemNames = [...names, '/^(.*)@x$', '/^a', '/o'];
    const users = [...names, '"all"', '\\1', '/^b', 'u_\\1'];
    let admitted = 0;
    for (let round = 0; round < 60; round++) {
      const lines = Array.from({ length: 1 + random.below(6) }, () => {
        const user = random.pick(users);
        const isReferring = user.includes('\\1');
        return `m ${isReferring ? '/^(.*)@x$' : random.pick(systemNames)} ${user}`;
      });
      const map = mapOf(lines.join('\n'));
      const alone = lines.map(mapOf);
      for (let client = 0; client < 10; client++) {
        const shown = [random.pick(names), random.pick(names)];
        const user = random.pick(names);
        const isAdmitted = alone.some((line) => shown.some((name) => isMapped(line, name, user)));
        expect([lines, shown, user, map.find(shown, user) === 'mapped']).toEqual([
          lines,
          shown,
          user,
          isAdmitted,
        ]);
        admitted += Number(isAdmitted);
      }
    }
    expect(admitted).toBeGreaterThan(50);
  });

  it('looks at names of a bounded length only', () => {
    const map = mapOf('m /a+$ u');
    expect(isMapped(map, 'a'.repeat(MAX_SYSTEM_NAME_LENGTH), 'u')).toBe(true);
    expect(isMapped(map, 'a'.repeat(MAX_SYSTEM_NAME_LENGTH + 1), 'u')).toBe(false);
  });

  it.each([
    ['m', 'expected a map, a system name and a database user'],
    ['m ann', 'expected a map, a system name and a database user'],
    ['m , ann', 'expected a map, a system name and a database user'],
    ['m ann alice extra', 'unsupported parameters'],
    ['m ann alice "', 'unsupported parameters'],
    ['m "ann alice', 'a quote is not closed'],
    ['m /( alice', 'could not compile regular expression "("'],
    ['m ann /[', 'could not compile regular expression "["'],
    ['m /[[:alpha:]] alice', 'could not compile regular expression'],
    ['m /ann \\1', 'has no subexpressions as requested by backreference'],
    ['m /(?:ann) \\1', 'has no subexpressions as requested by backreference'],
    ['m ann +admins', 'groups are not supported'],
  ])('leaves out %j', (line, message) => {
    const { maps, problems } = parseIdentFile(`# c\n\n${line}\nm2 a b # c`);
    expect([...maps.keys()]).toEqual(['m2']);
    expect(problems).toEqual([{ line: 3, message: expect.stringContaining(message) as string }]);
  });

  it('may be called like a property of every object', () => {
    const { maps } = parseIdentFile('__proto__ a b');
    expect([...maps.keys()]).toEqual(['__proto__']);
    expect(parseIdentFile('').maps.get('constructor')).toBeUndefined();
  });
});

describe('a certificate', () => {
  const certificate = { commonName: 'ann', subjectAltNames: ['ann@example.com', 'host.example'] };
  const map = mapOf('m /^(.*)@example\\.com$ \\1\nm host.example bob');

  it.each([
    ['ann', null],
    ['ann@example.com', null],
    ['host.example', null],
    ['Ann', 'the certificate is for "ann", "ann@example.com", "host.example"'],
    ['bob', 'the certificate is for "ann", "ann@example.com", "host.example"'],
    ['', 'the certificate is for "ann", "ann@example.com", "host.example"'],
  ])('for user %j', (user, refusal) => {
    expect(refuseCertificate(certificate, null, user)).toBe(refusal);
  });

  it.each([
    ['ann', null],
    ['bob', null],
    ['ann@example.com', 'the map has no entry from'],
    ['host.example', 'the map has no entry from'],
  ])('with a map, for user %j', (user, refusal) => {
    const result = refuseCertificate(certificate, map, user);
    expect(result).toEqual(refusal === null ? null : expect.stringContaining(refusal));
  });

  it.each([
    [null, 'no certificate'],
    [{ commonName: null, subjectAltNames: [] }, 'neither a common name nor'],
    [{ commonName: '', subjectAltNames: [''] }, 'neither a common name nor'],
    [{ commonName: 'ann\0.evil', subjectAltNames: [] }, 'neither a common name nor'],
    [{ commonName: '*', subjectAltNames: ['*.example'] }, 'is for "*"'],
  ])('%j admits nobody', (shown, refusal) => {
    for (const user of ['ann', '', 'x.example', 'ann\0.evil']) {
      expect(refuseCertificate(shown, null, user)).toContain(refusal);
    }
    expect(refuseCertificate(null, mapOf('m /.* all'), 'ann')).toContain('no certificate');
  });

  it('without a common name counts by its other names', () => {
    const shown = { commonName: null, subjectAltNames: ['ann'] };
    expect(refuseCertificate(shown, null, 'ann')).toBeNull();
  });
});

describe('the peer of a unix socket', () => {
  it.each([
    ['ann', 'ann', null],
    ['ann', 'bob', 'system user ann is not bob'],
    ['', '', 'system user  is not '],
  ])('%j as %j', (systemName, user, refusal) => {
    expect(refusePeer(systemName, null, user)).toBe(refusal);
  });

  it('may be mapped', () => {
    const map = mapOf('m ann alice');
    expect(refusePeer('ann', map, 'alice')).toBeNull();
    expect(refusePeer('ann', map, 'ann')).toContain('the map has no entry');
    expect(refusePeer('', mapOf('m /.* all'), 'alice')).toContain('the map has no entry');
  });
});
