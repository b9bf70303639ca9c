import { readdir, readFile, stat } from 'node:fs/promises';
import { performance } from 'node:perf_hooks';

const US_PER_SECOND = 1e6;
const MS_PER_SECOND = 1e3;
const BYTES_PER_KIB = 1024;

/** What a limit that does not limit is shown as: the largest value of 64 bits. */
const UNLIMITED = 2 ** 64;

/** What this process takes of the machine. `null` where the system does not tell. */
export interface ProcessUsage {
  /** User and system time of all threads since the start, in seconds. */
  readonly cpuSeconds: number;
  /** Start of the process in seconds since 1970 UTC. */
  readonly startTimeSeconds: number;
  readonly residentMemoryBytes: number;
  readonly virtualMemoryBytes: number | null;
  readonly virtualMemoryMaxBytes: number | null;
  /** Open file descriptors, count. */
  readonly openFds: number | null;
  /** Soft limit of open file descriptors. */
  readonly maxFds: number | null;
}

/** Reads what this process takes of the machine. Never rejects. @source Linux, proc(5) */
export async function readProcessUsage(): Promise<ProcessUsage> {
  const [status, limits, openFds] = await Promise.all([
    readProcFile('status'),
    readProcFile('limits'),
    countOpenFds(),
  ]);
  const cpu = process.cpuUsage();
  return {
    cpuSeconds: (cpu.user + cpu.system) / US_PER_SECOND,
    startTimeSeconds: performance.timeOrigin / MS_PER_SECOND,
    residentMemoryBytes: process.memoryUsage.rss(),
    virtualMemoryBytes: parseVirtualMemory(status),
    virtualMemoryMaxBytes: parseSoftLimit(limits, 'Max address space'),
    openFds,
    maxFds: parseSoftLimit(limits, 'Max open files'),
  };
}

/**
 * Finds the size of the address space in the text of `/proc/self/status`.
 *
 * @returns bytes, or `null` if the text has none.
 */
export function parseVirtualMemory(status: string): number | null {
  const kib = /^VmSize:\s+(\d+) kB$/m.exec(status)?.[1];
  return kib === undefined ? null : Number(kib) * BYTES_PER_KIB;
}

/**
 * Finds a soft limit in the text of `/proc/self/limits`.
 *
 * @param name - as in the first column, such as `Max open files`.
 * @returns the number in the unit of its line, 2^64 for `unlimited`, `null` if it is not there.
 */
export function parseSoftLimit(limits: string, name: string): number | null {
  const line = limits.split('\n').find((text) => text.startsWith(`${name} `));
  const value = line?.slice(name.length).trim().split(/\s+/)[0];
  if (value === 'unlimited') {
    return UNLIMITED;
  }
  return value === undefined || !/^\d+$/.test(value) ? null : Number(value);
}

async function readProcFile(name: string): Promise<string> {
  try {
    return await readFile(`/proc/self/${name}`, 'utf8');
  } catch {
    // Not Linux: these numbers are then left out.
    return '';
  }
}

async function countOpenFds(): Promise<number | null> {
  try {
    // Linux tells the count as the size since 6.2: with many clients the list would be long.
    const { size } = await stat('/proc/self/fd');
    return size > 0 ? size : (await readdir('/proc/self/fd')).length;
  } catch {
    return null;
  }
}
