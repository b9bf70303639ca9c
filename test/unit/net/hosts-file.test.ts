import { expect, it } from 'vitest';
import { parseHosts } from '../../../src/net/hosts-file.ts';

it('collects the addresses of a name in the order of the file, each once', () => {
  const table = parseHosts(
    '::1 db localhost\n127.0.0.1\tdb\n\n127.0.0.1 db\n10.0.0.1 other # db\n',
  );
  expect(table.get('db')).toEqual(['::1', '127.0.0.1']);
  expect(table.get('localhost')).toEqual(['::1']);
  expect(table.get('other')).toEqual(['10.0.0.1']);
});

it('takes names regardless of case, and lines with any line end', () => {
  expect(parseHosts('10.0.0.1 DB.Example\r\n').get('db.example')).toEqual(['10.0.0.1']);
});

it('skips lines without a numeric address and what is commented out', () => {
  expect(parseHosts('db 10.0.0.1\n#10.0.0.2 db\n10.0.0.300 db\n\0\n10.0.0.1').size).toBe(0);
});
