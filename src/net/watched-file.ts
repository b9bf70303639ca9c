import { readFileSync, statSync } from 'node:fs';

/** A small text file of the system, parsed again when it has changed. */
export class WatchedFile<T> {
  readonly #path: string;
  readonly #parse: (text: string) => T;
  #stamp: string | null = null;
  #content: T;

  /** @param parse - must not throw; gets an empty text while the file cannot be read. */
  constructor(path: string, parse: (text: string) => T) {
    this.#path = path;
    this.#parse = parse;
    this.#content = parse('');
  }

  /** What the file holds now: the same object as before unless it has changed. Never throws. */
  get content(): T {
    const stamp = this.#readStamp();
    if (stamp !== this.#stamp) {
      this.#content = this.#parse(stamp === null ? '' : this.#readText());
      this.#stamp = stamp;
    }
    return this.#content;
  }

  /** Changes when the file does: a replaced file may be older than the one before. */
  #readStamp(): string | null {
    try {
      const { ino, mtimeMs, size } = statSync(this.#path);
      return [ino, mtimeMs, size].join(' ');
    } catch {
      // Not there, or not ours to see: both are as good as empty.
      return null;
    }
  }

  #readText(): string {
    try {
      return readFileSync(this.#path, 'utf8');
    } catch {
      // As above.
      return '';
    }
  }
}
