/** A column as RowDescription tells it. */
export interface DecodedColumn {
  readonly name: string;
  readonly typeOid: number;
  readonly typeSize: number;
  readonly tableOid: number;
  readonly columnNumber: number;
  readonly typeModifier: number;
  readonly format: number;
}

/** A message from the console, decoded from the manual's layouts and not from the writer's. */
export type Decoded =
  | { readonly type: 'RowDescription'; readonly columns: readonly DecodedColumn[] }
  | { readonly type: 'DataRow'; readonly values: readonly (string | null)[] }
  | { readonly type: 'CommandComplete'; readonly tag: string }
  | { readonly type: 'ParameterDescription'; readonly count: number }
  | { readonly type: 'Bare'; readonly name: string }
  | { readonly type: 'ReadyForQuery'; readonly status: string }
  | {
      readonly type: 'ErrorResponse' | 'NoticeResponse';
      readonly severity: string;
      readonly sqlstate: string;
      readonly message: string;
      readonly detail: string | null;
    };

class Reader {
  readonly #body: Buffer;
  #offset = 0;

  constructor(body: Buffer) {
    this.#body = body;
  }

  get isAtEnd(): boolean {
    return this.#offset === this.#body.length;
  }

  int16(): number {
    this.#offset += 2;
    return this.#body.readInt16BE(this.#offset - 2);
  }

  int32(): number {
    this.#offset += 4;
    return this.#body.readInt32BE(this.#offset - 4);
  }

  /** Text, or hexadecimal digits behind `\\x` where the bytes cannot be text of the console. */
  value(bytes: number): string {
    const start = this.#offset;
    const text = this.text(bytes);
    // eslint-disable-next-line no-control-regex -- these are what tells binary values apart
    const isText = !/[\x00-\x08\ufffd]/.test(text);
    return isText ? text : `\\x${this.#body.toString('hex', start, this.#offset)}`;
  }

  text(bytes: number): string {
    const start = this.#offset;
    if (bytes < 0 || bytes > this.#body.length - start) {
      throw new RangeError(`${bytes} bytes do not fit into the message`);
    }
    this.#offset += bytes;
    return this.#body.toString('utf8', start, this.#offset);
  }

  cstring(): string {
    const end = this.#body.indexOf(0, this.#offset);
    if (end < 0) {
      throw new RangeError('string without a final zero byte');
    }
    const text = this.text(end - this.#offset);
    this.#offset += 1;
    return text;
  }
}

function decodeColumn(reader: Reader): DecodedColumn {
  const name = reader.cstring();
  const tableOid = reader.int32();
  const columnNumber = reader.int16();
  const typeOid = reader.int32();
  const typeSize = reader.int16();
  const typeModifier = reader.int32();
  const format = reader.int16();
  return { name, typeOid, typeSize, tableOid, columnNumber, typeModifier, format };
}

function decodeValue(reader: Reader): string | null {
  const bytes = reader.int32();
  return bytes === -1 ? null : reader.value(bytes);
}

function decodeReport(type: 'ErrorResponse' | 'NoticeResponse', reader: Reader): Decoded {
  const fields = new Map<string, string>();
  for (;;) {
    const code = reader.text(1);
    if (code === '\0') {
      break;
    }
    fields.set(code, reader.cstring());
  }
  return {
    type,
    severity: fields.get('S') ?? '',
    sqlstate: fields.get('C') ?? '',
    message: fields.get('M') ?? '',
    detail: fields.get('D') ?? null,
  };
}

function times<T>(count: number, take: () => T): T[] {
  return Array.from({ length: count }, take);
}

const BARE_NAMES: Readonly<Record<string, string>> = {
  '1': 'ParseComplete',
  '2': 'BindComplete',
  '3': 'CloseComplete',
  I: 'EmptyQueryResponse',
  n: 'NoData',
  s: 'PortalSuspended',
};

function decodeMessage(code: string, reader: Reader): Decoded {
  const bare = BARE_NAMES[code];
  if (bare !== undefined) {
    return { type: 'Bare', name: bare };
  }
  switch (code) {
    case 'T':
      return {
        type: 'RowDescription',
        columns: times(reader.int16(), () => decodeColumn(reader)),
      };
    case 'D':
      return { type: 'DataRow', values: times(reader.int16(), () => decodeValue(reader)) };
    case 'C':
      return { type: 'CommandComplete', tag: reader.cstring() };
    case 't': {
      const count = reader.int16();
      return { type: 'ParameterDescription', count };
    }
    case 'Z':
      return { type: 'ReadyForQuery', status: reader.text(1) };
    case 'E':
      return decodeReport('ErrorResponse', reader);
    case 'N':
      return decodeReport('NoticeResponse', reader);
    default:
      throw new Error(`unexpected message type ${JSON.stringify(code)}`);
  }
}

/** Decodes a run of whole messages. @throws if a length is wrong or bytes are left over. */
export function decode(bytes: Buffer): Decoded[] {
  const messages: Decoded[] = [];
  let offset = 0;
  while (offset < bytes.length) {
    const end = offset + 1 + bytes.readInt32BE(offset + 1);
    if (end > bytes.length) {
      throw new RangeError('the last message is cut off');
    }
    const reader = new Reader(bytes.subarray(offset + 5, end));
    messages.push(decodeMessage(bytes.toString('latin1', offset, offset + 1), reader));
    if (!reader.isAtEnd) {
      throw new RangeError('a message has bytes left over');
    }
    offset = end;
  }
  return messages;
}
