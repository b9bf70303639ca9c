import { execFileSync } from 'node:child_process';
import { readFileSync, readdirSync } from 'node:fs';

/**
 * @typedef {object} CpuCounters
 * @property {number} scheduledUs - µs on a CPU since the process started; 0 where not counted
 * @property {number} userTicksUs - µs in user mode, in whole clock ticks
 * @property {number} systemTicksUs - µs in the kernel, in whole clock ticks
 */

/**
 * @typedef {object} CpuTime
 * @property {number} totalUs
 * @property {number} userUs
 * @property {number} systemUs
 */

/** @type {number | undefined} */
let clockTicksPerSecond;

/**
 * Reads the CPU time used so far by a process and its descendants, all threads counted.
 *
 * @param {number} pid
 * @returns {CpuCounters}
 * @source proc(5): /proc/pid/stat (utime, stime); kernel documentation "Scheduler Statistics"
 */
export function readCpuCounters(pid) {
  const tickUs = 1e6 / ticksPerSecond();
  const sum = { scheduledUs: 0, userTicksUs: 0, systemTicksUs: 0 };
  for (const member of processTree(pid)) {
    const { userTicks, systemTicks } = readStat(member);
    sum.scheduledUs += readScheduledUs(member);
    sum.userTicksUs += userTicks * tickUs;
    sum.systemTicksUs += systemTicks * tickUs;
  }
  return sum;
}

/**
 * Computes the CPU time between two readings.
 *
 * The total is exact to the nanosecond where the kernel keeps scheduler statistics; only its split
 * into user and system time rests on clock ticks, commonly of 10 ms.
 *
 * @param {CpuCounters} before
 * @param {CpuCounters} after
 * @returns {CpuTime}
 */
export function cpuTimeBetween(before, after) {
  const userUs = after.userTicksUs - before.userTicksUs;
  const systemUs = after.systemTicksUs - before.systemTicksUs;
  const tickedUs = userUs + systemUs;
  const scheduledUs = after.scheduledUs - before.scheduledUs;
  if (scheduledUs <= 0 || tickedUs === 0) {
    return { totalUs: tickedUs, userUs, systemUs };
  }
  const scale = scheduledUs / tickedUs;
  return { totalUs: scheduledUs, userUs: userUs * scale, systemUs: systemUs * scale };
}

/**
 * Reads the resident memory of a process and its descendants.
 *
 * @param {number} pid
 * @returns {number} kB; pages shared between several processes are counted for each
 */
export function readRssKb(pid) {
  let sumKb = 0;
  for (const member of processTree(pid)) {
    const match = /^VmRSS:\s+(\d+) kB$/m.exec(
      readFileSync(`/proc/${String(member)}/status`, 'utf8'),
    );
    sumKb += Number(match?.[1] ?? 0);
  }
  return sumKb;
}

/**
 * @param {number} pid
 * @returns {number} µs on a CPU, summed over the threads; 0 where the kernel does not count it
 */
function readScheduledUs(pid) {
  let sumNs = 0;
  try {
    for (const task of readdirSync(`/proc/${String(pid)}/task`)) {
      const text = readFileSync(`/proc/${String(pid)}/task/${task}/schedstat`, 'utf8');
      sumNs += Number(text.split(' ', 1)[0]);
    }
  } catch {
    // No scheduler statistics in this kernel, or a thread ended meanwhile: clock ticks serve.
    return 0;
  }
  return sumNs / 1000;
}

/**
 * @param {number} pid
 * @returns {{ parentPid: number, userTicks: number, systemTicks: number }}
 */
function readStat(pid) {
  const text = readFileSync(`/proc/${String(pid)}/stat`, 'utf8');
  // The second field, the command's name, may hold spaces and parentheses: count after its end.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return {
    parentPid: Number(fields[1]),
    userTicks: Number(fields[11]),
    systemTicks: Number(fields[12]),
  };
}

/**
 * @param {number} rootPid
 * @returns {number[]} the process and all its descendants that run now
 */
function processTree(rootPid) {
  /** @type {Map<number, number[]>} */
  const childrenOf = new Map();
  for (const name of readdirSync('/proc')) {
    const pid = Number(name);
    if (!Number.isInteger(pid)) {
      continue;
    }
    try {
      const { parentPid } = readStat(pid);
      childrenOf.set(parentPid, [...(childrenOf.get(parentPid) ?? []), pid]);
    } catch {
      // The process ended between the listing and the reading.
    }
  }
  const tree = [rootPid];
  for (const pid of tree) {
    tree.push(...(childrenOf.get(pid) ?? []));
  }
  return tree;
}

function ticksPerSecond() {
  clockTicksPerSecond ??= Number(execFileSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }));
  return clockTicksPerSecond;
}
