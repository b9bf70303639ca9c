import { describe, expect, it } from 'vitest';
import { parseConfigText } from '../../../src/config/load.ts';
import { messagesOf } from './support.ts';

const ID_ERROR = 'ids of peers must be a number larger than 0 and at most 65536';

describe('the section peers', () => {
  it('has a host, a port and a pool size by id, with the defaults of PgBouncer', () => {
    const { peers, settings } = parseConfigText(
      'm.yaml',
      'peers: { 1: { host: a }, 65535: { host: "::1,b", port: 1, pool_size: 0 } }',
    );
    expect([...peers]).toEqual([
      [1, { id: 1, host: 'a', port: 6432, poolSize: null }],
      [65_535, { id: 65_535, host: '::1,b', port: 1, poolSize: 0 }],
    ]);
    expect(settings.peerId).toBe(0);
  });

  it('inherits the pool size when it is negative', () => {
    const text = '[pgbouncer]\n[peers]\n7 = host=h pool_size=-1\n';
    expect(parseConfigText('p.ini', text).peers.get(7)?.poolSize).toBeNull();
  });

  it.each(['0', '65536', '-1', '1x', 'one', '""', '1.0', '007', '99999999999'])(
    'refuses the id %s',
    (id) => {
      expect(messagesOf(`peers: { ${id}: { host: h } }`)).toEqual([
        expect.stringContaining(ID_ERROR),
      ]);
    },
  );

  it.each(['peers: { 3: {} }', 'peers: { 3: }', 'peers: { 3: { port: 1 } }'])(
    'refuses a peer without a host: %s',
    (text) => {
      expect(messagesOf(text)).toEqual([
        expect.stringContaining('host was not provided for peer 3'),
      ]);
    },
  );

  it('refuses an empty host once', () => {
    expect(messagesOf("peers: { 3: { host: '' } }")).toEqual([
      expect.stringContaining('must not be empty'),
    ]);
  });

  it('refuses a peer that is given twice in YAML; in an ini file the last one counts', () => {
    expect(messagesOf('peers: { 3: { host: a }, "3": { host: b } }')).toEqual([
      expect.stringContaining('peers.3 is given twice'),
    ]);
    const { peers } = parseConfigText('p.ini', '[pgbouncer]\n[peers]\n3=host=a\n3=host=b\n');
    expect(peers.get(3)?.host).toBe('b');
  });

  it('is told to do nothing without peer_id', () => {
    const advice = 'peers are configured, but peer_id is 0';
    const warningsOf = (text: string): string =>
      parseConfigText('m.yaml', text).warnings.join('\n');
    expect(warningsOf('peers: { 1: { host: a } }')).toContain(advice);
    expect(warningsOf('maitred: { peer_id: 2 }\npeers: { 1: { host: a } }')).not.toContain(advice);
  });
});
