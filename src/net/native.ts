import { createRequire } from 'node:module';
import type * as koffi from 'koffi';
import { bindCalls, type NativeCalls } from './native-calls.ts';

/** The package through which system calls are made; an optional dependency. */
export type Koffi = typeof koffi;

/** System calls that Node.js has no function for, or why they cannot be made. */
export type Native =
  | { readonly calls: NativeCalls; readonly problem: null }
  | {
      readonly calls: null;
      /** A clause, to follow the name of a setting and a colon. */
      readonly problem: string;
    };

/** Where {@link findNative} looks; the defaults are what this process has. */
export interface NativePlace {
  /** Loads the package. @throws when it is missing or has no binary for this system. */
  readonly load: () => Koffi;
  readonly platform: string;
  readonly arch: string;
}

/**
 * Architectures on which Linux has the numbers of socket options that are used here.
 *
 * @source Linux, include/uapi/asm-generic/socket.h; others, such as ppc64, have files of their own.
 */
const KNOWN_ARCHITECTURES: readonly string[] = ['x64', 'arm64', 'riscv64', 'loong64'];

/**
 * Loads koffi. The one place that does: who needs more of it than {@link NativeCalls} has, calls
 * this.
 *
 * @throws when it is missing or has no binary for this system.
 */
export function loadKoffi(): Koffi {
  return createRequire(import.meta.url)('koffi') as Koffi;
}

const THIS_PROCESS: NativePlace = {
  load: loadKoffi,
  platform: process.platform,
  arch: process.arch,
};

/** Finds out whether system calls can be made. Never throws. */
export function findNative(place: NativePlace = THIS_PROCESS): Native {
  const { load, platform, arch } = place;
  if (platform !== 'linux' || !KNOWN_ARCHITECTURES.includes(arch)) {
    const known = KNOWN_ARCHITECTURES.join(', ');
    const problem = `it needs system calls that are known for Linux on ${known} only; this is ${platform} on ${arch}`;
    return { calls: null, problem };
  }
  try {
    return { calls: bindCalls(load()), problem: null };
  } catch (error) {
    const why = (error instanceof Error ? error.message : String(error)).split('\n')[0] ?? '';
    const problem = `it needs the optional package koffi, which cannot be loaded: ${why}`;
    return { calls: null, problem };
  }
}

let found: Native | null = null;

/** The system calls of this process, looked for when first asked. */
export function systemNative(): Native {
  found ??= findNative();
  return found;
}
