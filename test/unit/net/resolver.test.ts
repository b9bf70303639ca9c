import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { SystemResolver } from '../../../src/net/resolver.ts';
import { WatchedFile } from '../../../src/net/watched-file.ts';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(path.join(tmpdir(), 'resolver-'));
});
afterEach(() => {
  rmSync(directory, { recursive: true });
});

const file = (name: string): string => path.join(directory, name);
const makeResolver = (): SystemResolver =>
  new SystemResolver({ hosts: file('hosts'), resolver: file('resolv.conf') });

it('finds a name in the hosts file, whatever its case and with a final dot', async () => {
  writeFileSync(file('hosts'), '10.0.0.1 db.test\nfd00::1 db.test\n');
  const expected = { addresses: ['10.0.0.1', 'fd00::1'], isComplete: true };
  expect(await makeResolver().resolve('DB.test')).toEqual(expected);
  expect(await makeResolver().resolve('db.test.')).toEqual(expected);
});

it('reads the hosts file again when it has changed', async () => {
  const resolver = makeResolver();
  writeFileSync(file('hosts'), '10.0.0.1 db.test\n');
  expect((await resolver.resolve('db.test')).addresses).toEqual(['10.0.0.1']);
  writeFileSync(file('hosts'), '10.0.0.22 db.test\n');
  expect((await resolver.resolve('db.test')).addresses).toEqual(['10.0.0.22']);
});

it('localhost is the loopback interface without a hosts file', async () => {
  expect((await makeResolver().resolve('localhost')).addresses).toEqual(['127.0.0.1', '::1']);
});

it('the hosts file decides what localhost is', async () => {
  writeFileSync(file('hosts'), '::1 localhost\n');
  expect((await makeResolver().resolve('localhost')).addresses).toEqual(['::1']);
});

it('parses a watched file once per change, and takes an unreadable one as empty', () => {
  const texts: string[] = [];
  const watched = new WatchedFile(file('watched'), (text) => {
    texts.push(text);
    return text;
  });
  expect(watched.content).toBe('');
  writeFileSync(file('watched'), 'one');
  expect([watched.content, watched.content]).toEqual(['one', 'one']);
  rmSync(file('watched'));
  expect(watched.content).toBe('');
  expect(texts).toEqual(['', 'one', '']);
});
