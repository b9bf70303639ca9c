import { describe, expect, it } from 'vitest';
import { expectedFileCount, parseFileLimit } from '../../../src/app/file-limit.ts';
import { databaseConfig, DEFAULT_SETTINGS } from '../../../src/config/config.ts';
import type { Config } from '../../../src/config/config.ts';

describe('parseFileLimit', () => {
  it.each([
    ['Max open files            1024                 524288               files', 1024, 524_288],
    ['Limit\nMax open files            unlimited            unlimited            files', -1, -1],
  ])('reads %j', (text, soft, hard) => {
    expect(parseFileLimit(text)).toEqual({ soft, hard });
  });

  it('finds nothing in other text', () => {
    expect(parseFileLimit('Max processes 1 2 processes')).toBeNull();
  });
});

describe('expectedFileCount', () => {
  it('counts clients, and a pool for each user of each database', () => {
    const entries = [
      databaseConfig('a'),
      databaseConfig('b', new Map([['pool_size', 3]])),
      databaseConfig(
        'c',
        new Map<string, string | number>([
          ['user', 'x'],
          ['pool_size', 5],
        ]),
      ),
    ];
    const config: Config = {
      file: '',
      settings: { ...DEFAULT_SETTINGS, maxClientConn: 100, defaultPoolSize: 20 },
      databases: new Map(entries.map((entry) => [entry.name, entry])),
      users: new Map(),
      peers: new Map(),
      warnings: [],
    };
    expect(expectedFileCount(config, 2)).toBe(100 + 10 + 2 * 20 + 2 * 3 + 5);
  });
});
