import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { describe, expect, it } from 'vitest';
import { systemErrorText } from '../../../src/base/system-error-text.ts';

function errorOf(action: () => unknown): unknown {
  try {
    action();
  } catch (error) {
    return error;
  }
  throw new Error('nothing was thrown');
}

describe('systemErrorText', () => {
  it.each([
    ['/nowhere/at/all', 'No such file or directory'],
    ['/', 'Is a directory'],
    ['/dev/null/x', 'Not a directory'],
    [`/tmp/${'x'.repeat(300)}`, 'File name too long'],
  ])('of reading %s is that of the C library', (file, text) => {
    expect(systemErrorText(errorOf(() => readFileSync(file)))).toBe(text);
  });

  it('of a socket has no address', async () => {
    const error = await new Promise((resolve) => {
      createServer().once('error', resolve).listen(1, '203.0.113.1');
    });
    expect(systemErrorText(error)).toBe('Cannot assign requested address');
  });

  it.each([
    [new Error('EPERM, Operation not permitted'), 'Operation not permitted'],
    [new Error("EACCES: permission denied, open '/x'"), 'Permission denied'],
    [new Error('anything else: it is'), 'anything else: it is'],
    ['thrown', 'thrown'],
    [null, 'null'],
  ])('of %s', (error, text) => {
    expect(systemErrorText(error)).toBe(text);
  });
});
