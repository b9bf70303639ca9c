import type { Clock } from '../base/clock.ts';
import type { Logger } from '../log/logger.ts';
import type { Native } from '../net/native.ts';
import type { PasswordReader } from './password-reader.ts';

/** What a pooler needs from the process it runs in. */
export interface PoolerEnvironment {
  readonly clock: Clock;
  readonly logger: Logger;
  /** At least 0 and below 1. */
  random(): number;
  /** Cryptographically strong random bytes. */
  randomBytes(bytes: number): Buffer;
  /** System calls that Node.js has no function for, or why there are none. */
  readonly native: Native;
  /** @throws the error of the system. */
  readText(file: string): string;
  /** Tells states of a file apart without reading it; null when it cannot be looked at. */
  fileStamp(file: string): string | null;
  readonly passwordReader: PasswordReader;
}
