import { describe, expect, it } from 'vitest';
import {
  parseSoftLimit,
  parseVirtualMemory,
  readProcessUsage,
} from '../../../src/metrics/process-usage.ts';

const LIMITS = `Limit                     Soft Limit           Hard Limit           Units     
Max cpu time              unlimited            unlimited            seconds   
Max open files            1024                 524288               files     
Max address space         unlimited            unlimited            bytes     
`;

describe('parseSoftLimit', () => {
  it('reads the soft limit of its line', () => {
    expect(parseSoftLimit(LIMITS, 'Max open files')).toBe(1024);
  });

  it('shows a limit that does not limit as the largest number', () => {
    expect(parseSoftLimit(LIMITS, 'Max address space')).toBe(2 ** 64);
  });

  it.each([
    ['a limit that is not there', LIMITS, 'Max fun'],
    ['no text', '', 'Max open files'],
    ['a line cut off', 'Max open files   ', 'Max open files'],
    ['a value that is no number', 'Max open files   -1  -1 files', 'Max open files'],
  ])('knows nothing from %s', (_what, text, name) => {
    expect(parseSoftLimit(text, name)).toBeNull();
  });
});

describe('parseVirtualMemory', () => {
  it('reads kB', () => {
    expect(parseVirtualMemory('Name:\tnode\nVmPeak:\t  99 kB\nVmSize:\t  12 kB\n')).toBe(12_288);
  });

  it('knows nothing from a text without it', () => {
    expect(parseVirtualMemory('Name:\tnode\nVmPeak:\t  99 kB\n')).toBeNull();
  });
});

describe('readProcessUsage', () => {
  it('reads numbers of this process', async () => {
    const usage = await readProcessUsage();
    const nowSeconds = Date.now() / 1000;
    expect(usage.cpuSeconds).toBeGreaterThan(0);
    expect(usage.startTimeSeconds).toBeLessThanOrEqual(nowSeconds);
    expect(usage.startTimeSeconds).toBeGreaterThan(nowSeconds - 86_400);
    expect(usage.residentMemoryBytes).toBeGreaterThan(1e6);
  });

  it.runIf(process.platform === 'linux')('knows files and address space on Linux', async () => {
    const usage = await readProcessUsage();
    expect(usage.openFds).toBeGreaterThan(2);
    expect(usage.maxFds).toBeGreaterThanOrEqual(usage.openFds ?? Number.NaN);
    expect(usage.virtualMemoryBytes).toBeGreaterThan(usage.residentMemoryBytes);
    expect(usage.virtualMemoryMaxBytes).toBeGreaterThan(0);
  });
});
