import { expect, it } from 'vitest';
import { candidateNames, parseResolverFile } from '../../../src/net/resolver-file.ts';

const servers = (...lines: string[]): readonly string[] =>
  parseResolverFile(lines.map((line) => `nameserver ${line}\n`).join('')).nameServers;

it('takes name servers with and without a port, in order', () => {
  const all = ['10.0.0.1', '127.0.0.1:5353', 'fd00::1', '[::1]:53'];
  expect(servers(...all)).toEqual(all);
});

it('skips name servers that are none', () => {
  const wrong = ['', 'name', '10.0.0.1:0', '10.0.0.1:65536', '[10.0.0.1]:53', 'a:53', 'fe80::1%lo'];
  expect(servers(...wrong, '10.0.0.1')).toEqual(['10.0.0.1']);
});

it('an empty file leaves everything to the defaults', () => {
  expect(parseResolverFile('')).toEqual({
    nameServers: [],
    searchDomains: [],
    minDots: 1,
    timeoutMs: 5000,
    attempts: 2,
  });
});

it('reads options up to their limits and skips unknown ones and comments', () => {
  const text = '; nameserver 10.0.0.1\n# x\noptions ndots:99 timeout:0 attempts:3 rotate ndots:x\n';
  expect(parseResolverFile(text)).toMatchObject({
    nameServers: [],
    minDots: 15,
    timeoutMs: 1000,
    attempts: 3,
  });
});

it('the last list of search domains counts', () => {
  const file = parseResolverFile('domain a.test\nsearch b.test c.test. .\n');
  expect(file.searchDomains).toEqual(['b.test', 'c.test']);
});

it.each([
  ['db', ['db.b.test', 'db.c.test', 'db']],
  ['db.x', ['db.x.b.test', 'db.x.c.test', 'db.x']],
  ['db.x.y', ['db.x.y', 'db.x.y.b.test', 'db.x.y.c.test']],
  ['db.', ['db']],
])('tries search domains for %s in the order that ndots says', (name, expected) => {
  const file = parseResolverFile('search b.test c.test\noptions ndots:2\n');
  expect(candidateNames(name, file)).toEqual(expected);
});
