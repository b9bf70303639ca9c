import { beforeEach, describe, expect, it } from 'vitest';
import { DnsZones, zoneOf, type ZoneChange } from '../../../src/net/dns-zones.ts';

let nowMs: number;
let periodMs: number;
let names: string[];
let serials: Map<string, number>;
let asked: string[];
let changes: ZoneChange[];
let zones: DnsZones;

/** Lets a round of questions come to its end. */
async function round(): Promise<void> {
  zones.onTick();
  await new Promise((resolve) => {
    setImmediate(resolve);
  });
}

beforeEach(() => {
  nowMs = 0;
  periodMs = 100;
  names = ['a.x.test', 'b.x.test', 'c.y.test', 'plain'];
  serials = new Map([
    ['x.test', 1],
    ['y.test', 1],
  ]);
  asked = [];
  changes = [];
  zones = new DnsZones({
    get names() {
      return names;
    },
    get periodMs() {
      return periodMs;
    },
    nowMs: () => nowMs,
    querySerial: (zone) => {
      asked.push(zone);
      const serial = serials.get(zone);
      return serial === undefined
        ? Promise.reject(new Error('no answer'))
        : Promise.resolve(serial);
    },
    onChanged: (change) => {
      changes.push(change);
    },
  });
});

describe('zoneOf', () => {
  it.each([
    ['db.example.com', 'example.com'],
    ['db.example.com.', 'example.com'],
    ['a.b', 'b'],
    ['localhost', null],
    ['db.', null],
    ['', null],
  ])('%j lies in %j', (name, zone) => {
    expect(zoneOf(name)).toBe(zone);
  });
});

describe('DnsZones', () => {
  it('asks for each zone once per period', async () => {
    await round();
    nowMs = 99;
    await round();
    expect(asked).toEqual(['x.test', 'y.test']);
    nowMs = 100;
    await round();
    expect(asked).toEqual(['x.test', 'y.test', 'x.test', 'y.test']);
    expect(zones.entries).toEqual([
      { name: 'x.test', serial: 1, count: 2 },
      { name: 'y.test', serial: 1, count: 1 },
    ]);
  });

  it('tells of a change, not of the first number', async () => {
    await round();
    expect(changes).toEqual([]);
    serials.set('x.test', 0);
    nowMs = 100;
    await round();
    expect(changes).toEqual([
      { zone: 'x.test', oldSerial: 1, newSerial: 0, names: ['a.x.test', 'b.x.test'] },
    ]);
    nowMs = 200;
    await round();
    expect(changes).toHaveLength(1);
  });

  it('takes silence for no change', async () => {
    await round();
    serials.delete('x.test');
    nowMs = 100;
    await round();
    serials.set('x.test', 1);
    nowMs = 200;
    await round();
    expect(changes).toEqual([]);
    expect(zones.entries[0]?.serial).toBe(1);
  });

  it('asks for nothing with the period 0', async () => {
    periodMs = 0;
    await round();
    expect(asked).toEqual([]);
  });
});
