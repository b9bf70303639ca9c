import dgram from 'node:dgram';
import { isIPv4 } from 'node:net';

/** Record types by number. */
const TYPE_A = 1;
const TYPE_SOA = 6;
const TYPE_AAAA = 28;
const CLASS_IN = 1;
const HEADER_BYTES = 12;
/** Response, recursion desired and available. */
const RESPONSE_FLAGS = 0x8180;
const TTL_S = 60;

const TYPE_NAMES: ReadonlyMap<number, 'A' | 'AAAA' | 'SOA'> = new Map([
  [TYPE_A, 'A'],
  [TYPE_SOA, 'SOA'],
  [TYPE_AAAA, 'AAAA'],
]);

/** Response codes of RFC 1035. */
export const ResponseCode = { NoError: 0, ServerFailure: 2, NoSuchName: 3 } as const;

/** What the server says about a name: addresses, or a response code; `null` for silence. */
export type DnsAnswer = readonly string[] | number | null;

/** One question as it came. */
export interface DnsQuestion {
  readonly name: string;
  readonly type: 'A' | 'AAAA' | 'SOA' | 'other';
}

/** A name server for a handful of names on a free UDP port of 127.0.0.1. */
export class DnsServer {
  /** What it knows, by name; anything else does not exist. May be changed at any time. */
  readonly names = new Map<string, DnsAnswer>();
  /** Serial numbers by zone. */
  readonly serials = new Map<string, number>();
  /** All questions, oldest first. */
  readonly questions: DnsQuestion[] = [];
  readonly #socket = dgram.createSocket('udp4');

  /** Starts it. */
  static async start(names: Readonly<Record<string, DnsAnswer>> = {}): Promise<DnsServer> {
    const server = new DnsServer();
    for (const [name, answer] of Object.entries(names)) {
      server.names.set(name, answer);
    }
    server.#socket.on('message', (query, peer) => {
      const reply = server.#reply(query);
      if (reply !== null) {
        server.#socket.send(reply, peer.port, peer.address);
      }
    });
    await new Promise<void>((resolve, reject) => {
      server.#socket.once('error', reject);
      server.#socket.bind(0, '127.0.0.1', resolve);
    });
    return server;
  }

  /** The text of a resolver file that leads here. */
  get resolverFile(): string {
    return `nameserver 127.0.0.1:${String(this.#socket.address().port)}\noptions timeout:1\n`;
  }

  /** How often a name was asked for, both families together. */
  countOf(name: string): number {
    return this.questions.filter((question) => question.name === name).length;
  }

  /** Ends it. */
  async stop(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#socket.close(resolve);
    });
  }

  #reply(query: Buffer): Buffer | null {
    const labels: string[] = [];
    let offset = HEADER_BYTES;
    for (let length = query.readUInt8(offset); length > 0; length = query.readUInt8(offset)) {
      labels.push(query.toString('latin1', offset + 1, offset + 1 + length));
      offset += 1 + length;
    }
    const type = query.readUInt16BE(offset + 1);
    const question = query.subarray(HEADER_BYTES, offset + 5);
    const name = labels.join('.');
    this.questions.push({
      name,
      type: TYPE_NAMES.get(type) ?? 'other',
    });
    const serial = type === TYPE_SOA ? this.serials.get(name) : undefined;
    if (serial !== undefined) {
      return reply(query, question, ResponseCode.NoError, [record(TYPE_SOA, soaBytes(serial))]);
    }
    const known = this.names.get(name) ?? (this.names.has(name) ? null : ResponseCode.NoSuchName);
    if (known === null) {
      return null;
    }
    const code = typeof known === 'number' ? known : ResponseCode.NoError;
    const addresses = typeof known === 'number' ? [] : known;
    const records = addresses
      .filter((address) => (isIPv4(address) ? TYPE_A : TYPE_AAAA) === type)
      .map((address) => record(type, addressBytes(address)));
    return reply(query, question, code, records);
  }
}

function reply(query: Buffer, question: Buffer, code: number, records: readonly Buffer[]): Buffer {
  const header = Buffer.alloc(HEADER_BYTES);
  header.writeUInt16BE(query.readUInt16BE(0), 0);
  header.writeUInt16BE(RESPONSE_FLAGS | code, 2);
  header.writeUInt16BE(1, 4);
  header.writeUInt16BE(records.length, 6);
  return Buffer.concat([header, question, ...records]);
}

/** Start of authority: both names are the root, and all times a minute. */
function soaBytes(serial: number): Buffer {
  const data = Buffer.alloc(22);
  data.writeUInt32BE(serial, 2);
  for (let offset = 6; offset < data.length; offset += 4) {
    data.writeUInt32BE(TTL_S, offset);
  }
  return data;
}

/** One answer; its name is a pointer to the question. */
function record(type: number, data: Buffer): Buffer {
  const head = Buffer.alloc(12);
  head.writeUInt16BE(0xc000 | HEADER_BYTES, 0);
  head.writeUInt16BE(type, 2);
  head.writeUInt16BE(CLASS_IN, 4);
  head.writeUInt32BE(TTL_S, 6);
  head.writeUInt16BE(data.length, 10);
  return Buffer.concat([head, data]);
}

function addressBytes(address: string): Buffer {
  if (isIPv4(address)) {
    return Buffer.from(address.split('.').map(Number));
  }
  const [front = '', back = ''] = address.split('::');
  const words = (part: string): string[] => (part === '' ? [] : part.split(':'));
  const zeros = Array<string>(8 - words(front).length - words(back).length).fill('0');
  const hex = [...words(front), ...zeros, ...words(back)].map((word) => word.padStart(4, '0'));
  return Buffer.from(hex.join(''), 'hex');
}
