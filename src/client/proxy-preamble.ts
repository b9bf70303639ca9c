import { looksLikeProxyHeader, readProxyHeader, type ProxiedSource } from '../net/proxy-header.ts';

/** What came of the first bytes of a connection. */
export type PreambleResult =
  | { readonly kind: 'incomplete' }
  /** The header is read; `rest` is what came behind it, borrowed or owned, perhaps empty. */
  | { readonly kind: 'done'; readonly source: ProxiedSource | null; readonly rest: Buffer }
  | { readonly kind: 'refused'; readonly problem: string };

const INCOMPLETE: PreambleResult = { kind: 'incomplete' };

/** The first bytes of a connection where PROXY headers are in use. */
export class ProxyPreamble {
  readonly #isRequired: boolean;
  #held: Buffer | null = null;

  /** @param rule - whether a header must, or must not, be there. */
  constructor(rule: 'required' | 'forbidden') {
    this.#isRequired = rule === 'required';
  }

  /** Bytes kept of a header that is not complete. */
  get heldBytes(): number {
    return this.#held?.length ?? 0;
  }

  /** Takes bytes of the connection. Not to be called again once `done` or `refused`. @param chunk - borrowed. */
  onData(chunk: Buffer): PreambleResult {
    if (!this.#isRequired) {
      // Cut off or not, a header can be no startup packet: the login refuses its begin as well.
      return looksLikeProxyHeader(chunk)
        ? { kind: 'refused', problem: 'PROXY header from an address that is not trusted' }
        : { kind: 'done', source: null, rest: chunk };
    }
    const bytes = this.#held === null ? chunk : Buffer.concat([this.#held, chunk]);
    const result = readProxyHeader(bytes);
    switch (result.kind) {
      case 'incomplete':
        this.#held = Buffer.from(bytes);
        return INCOMPLETE;
      case 'bad':
        return { kind: 'refused', problem: result.problem };
      case 'header':
        return { kind: 'done', source: result.source, rest: bytes.subarray(result.bytes) };
    }
  }
}
