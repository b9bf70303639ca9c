import { readFileSync, statSync } from 'node:fs';

/**
 * Tells one state of a file from another without reading it: a replaced file may be older than the
 * one before. Symbolic links are followed.
 *
 * @returns null while the file is not there, or not ours to see. Never throws.
 */
export function readFileStamp(path: string): string | null {
  try {
    const { dev, ino, mtimeMs, ctimeMs, size } = statSync(path);
    return [dev, ino, mtimeMs, ctimeMs, size].join(' ');
  } catch {
    // Both are as good as empty.
    return null;
  }
}

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
    const stamp = readFileStamp(this.#path);
    if (stamp !== this.#stamp) {
      this.#content = this.#parse(stamp === null ? '' : this.#readText());
      this.#stamp = stamp;
    }
    return this.#content;
  }

  #readText(): string {
    try {
      return readFileSync(this.#path, 'utf8');
    } catch {
      // As good as empty.
      return '';
    }
  }
}
