import { FrontendCode } from '../protocol/codes.ts';
import { BINARY_FORMAT, TEXT_FORMAT } from './format-codes.ts';

/** A message of a console client, decoded and owned. */
export type ConsoleRequest =
  | { readonly kind: 'query'; readonly sql: string }
  | {
      readonly kind: 'parse';
      readonly statement: string;
      readonly sql: string;
      readonly parameterCount: number;
    }
  | {
      readonly kind: 'bind';
      readonly portal: string;
      readonly statement: string;
      readonly valueCount: number;
      readonly formats: readonly number[];
    }
  | {
      readonly kind: 'describe' | 'close';
      readonly target: 'statement' | 'portal';
      readonly name: string;
    }
  | {
      readonly kind: 'execute';
      readonly portal: string;
      /** Most rows wanted, 0 for all. */
      readonly maxRows: number;
    }
  | { readonly kind: 'sync' }
  | { readonly kind: 'function_call' }
  | {
      readonly kind: 'malformed';
      readonly problem: string;
      /** Whether it is a simple query, so that no Sync follows it. */
      readonly isQuery: boolean;
    };

/** Leaves the decoder at once; never leaves this file. */
class Malformed extends Error {
  override readonly name = 'Malformed';
}

/** Reads a body field by field. @throws Malformed beyond its end. */
class Body {
  readonly #bytes: Buffer;
  #offset = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  #skip(bytes: number): number {
    const start = this.#offset;
    if (bytes > this.#bytes.length - start) {
      throw new Malformed('insufficient data left in message');
    }
    this.#offset += bytes;
    return start;
  }

  text(): string {
    const end = this.#bytes.indexOf(0, this.#offset);
    if (end === -1) {
      throw new Malformed('invalid string in message');
    }
    const text = this.#bytes.toString('utf8', this.#offset, end);
    this.#offset = end + 1;
    return text;
  }

  uint8(): number {
    return this.#bytes.readUInt8(this.#skip(1));
  }

  uint16(): number {
    return this.#bytes.readUInt16BE(this.#skip(2));
  }

  int32(): number {
    return this.#bytes.readInt32BE(this.#skip(4));
  }

  /** Reads a count and as many 16-bit numbers. */
  uint16s(): number[] {
    const count = this.uint16();
    const start = this.#skip(2 * count);
    return Array.from({ length: count }, (_unused, index) =>
      this.#bytes.readUInt16BE(start + 2 * index),
    );
  }

  /** Skips a count and as many 32-bit numbers. @returns the count. */
  skipInt32s(): number {
    const count = this.uint16();
    this.#skip(4 * count);
    return count;
  }

  /** Skips a count and as many values, each behind its length. @returns the count. */
  skipValues(): number {
    const count = this.uint16();
    for (let index = 0; index < count; index += 1) {
      this.#skip(Math.max(this.int32(), 0));
    }
    return count;
  }

  end(): void {
    if (this.#offset !== this.#bytes.length) {
      throw new Malformed('invalid message format');
    }
  }
}

function decodeBind(body: Body): ConsoleRequest {
  const portal = body.text();
  const statement = body.text();
  const parameterFormats = body.uint16s();
  const valueCount = body.skipValues();
  const formats = body.uint16s();
  if (parameterFormats.length > 1 && parameterFormats.length !== valueCount) {
    throw new Malformed(
      `bind message has ${String(parameterFormats.length)} parameter formats but ${String(valueCount)} parameters`,
    );
  }
  const unknown = formats.find((format) => format !== TEXT_FORMAT && format !== BINARY_FORMAT);
  if (unknown !== undefined) {
    throw new Malformed(`unsupported format code: ${String(unknown)}`);
  }
  return { kind: 'bind', portal, statement, valueCount, formats };
}

function decodeNamed(kind: 'describe' | 'close', body: Body): ConsoleRequest {
  const letter = String.fromCharCode(body.uint8());
  if (letter !== 'S' && letter !== 'P') {
    throw new Malformed(
      `invalid ${kind.toUpperCase()} message subtype ${letter.charCodeAt(0).toString()}`,
    );
  }
  const name = body.text();
  return { kind, target: letter === 'S' ? 'statement' : 'portal', name };
}

function decodeBody(code: number, body: Body): ConsoleRequest | null {
  switch (code) {
    case FrontendCode.Query:
      return { kind: 'query', sql: body.text() };
    case FrontendCode.Parse: {
      const statement = body.text();
      const sql = body.text();
      return { kind: 'parse', statement, sql, parameterCount: body.skipInt32s() };
    }
    case FrontendCode.Bind:
      return decodeBind(body);
    case FrontendCode.Describe:
      return decodeNamed('describe', body);
    case FrontendCode.Close:
      return decodeNamed('close', body);
    case FrontendCode.Execute: {
      const portal = body.text();
      return { kind: 'execute', portal, maxRows: Math.max(body.int32(), 0) };
    }
    case FrontendCode.Sync:
      return { kind: 'sync' };
    default:
      return null;
  }
}

/**
 * Decodes the body of a message.
 *
 * @param bytes - borrowed: nothing of it is kept.
 * @returns `null` for a type that is none of the console's; `malformed` for a body that is wrong.
 */
export function decodeRequest(code: number, bytes: Buffer): ConsoleRequest | null {
  if (code === FrontendCode.FunctionCall) {
    return { kind: 'function_call' };
  }
  const body = new Body(bytes);
  try {
    const request = decodeBody(code, body);
    if (request !== null) {
      body.end();
    }
    return request;
  } catch (error) {
    if (error instanceof Malformed) {
      return { kind: 'malformed', problem: error.message, isQuery: code === FrontendCode.Query };
    }
    throw error;
  }
}
