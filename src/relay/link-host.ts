import type { TrackedParameters } from './parameter-cache.ts';
import { REQUEST_KINDS } from './request-framer.ts';

/** What the links of a process have in common. */
export class LinkHost {
  readonly tracked: TrackedParameters;
  /** Largest message accepted from either side, in bytes. A field, since it is read per message. */
  maxPacketSizeBytes: number;
  /** What the type bytes of clients mean: `RequestKind` by byte. */
  readonly requestKinds: Uint8Array;
  /** Monotonic time in ms. */
  readonly nowMs: () => number;

  constructor(
    tracked: TrackedParameters,
    maxPacketSizeBytes: number,
    nowMs: () => number,
    kinds: Uint8Array = REQUEST_KINDS,
  ) {
    this.tracked = tracked;
    this.maxPacketSizeBytes = maxPacketSizeBytes;
    this.nowMs = nowMs;
    this.requestKinds = kinds;
  }
}
