import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { TimestampFormatter } from '../../../src/admin/timestamp.ts';

describe('TimestampFormatter', () => {
  let zone: string | undefined;

  beforeEach(() => {
    zone = process.env['TZ'];
  });

  afterEach(() => {
    if (zone === undefined) {
      delete process.env['TZ'];
    } else {
      process.env['TZ'] = zone;
    }
  });

  const SUMMER_MS = Date.UTC(2025, 5, 15, 15, 6, 4);
  const WINTER_MS = Date.UTC(2025, 0, 1, 2, 3, 4);

  it.each([
    ['UTC', SUMMER_MS, '2025-06-15 15:06:04 UTC'],
    ['Europe/Berlin', SUMMER_MS, '2025-06-15 17:06:04 CEST'],
    ['Europe/Berlin', WINTER_MS, '2025-01-01 03:03:04 CET'],
    ['America/New_York', WINTER_MS, '2024-12-31 21:03:04 EST'],
    ['Asia/Kathmandu', WINTER_MS, '2025-01-01 07:48:04 +0545'],
    ['America/Sao_Paulo', WINTER_MS, '2024-12-31 23:03:04 -03'],
  ])('writes the time of %s with its zone', (timeZone, epochMs, expected) => {
    process.env['TZ'] = timeZone;
    expect(new TimestampFormatter().format(epochMs)).toBe(expected);
  });

  it('tells summer from winter with one formatter', () => {
    process.env['TZ'] = 'Europe/Berlin';
    const timestamps = new TimestampFormatter();
    expect(timestamps.format(SUMMER_MS)).toMatch(/CEST$/);
    expect(timestamps.format(WINTER_MS)).toMatch(/CET$/);
    expect(timestamps.format(SUMMER_MS)).toMatch(/CEST$/);
  });
});
