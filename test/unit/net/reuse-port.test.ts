import { describe, expect, it } from 'vitest';
import { canReusePort } from '../../../src/net/reuse-port.ts';

describe('canReusePort', () => {
  it.each(['22.12.0', '22.20.1', '23.1.0', '24.0.0', '26.3.0'])('is true for Node.js %s', (v) => {
    expect(canReusePort(v)).toBe(true);
  });

  it.each(['20.19.0', '20.20.2', '21.7.3', '22.11.0', '23.0.0', ''])(
    'is false for Node.js %s',
    (v) => {
      expect(canReusePort(v)).toBe(false);
    },
  );
});
