import net from 'node:net';
import tls from 'node:tls';

/** One request as it came. */
export type LdapRequest =
  | { readonly kind: 'bind'; readonly name: string; readonly password: string }
  | {
      readonly kind: 'search';
      readonly base: string;
      /** 0 for base, 1 for one, 2 for sub. */
      readonly scope: number;
      readonly filter: string;
    }
  | { readonly kind: 'start_tls' | 'unbind' | 'other' };

/** An LDAP result code and text. */
export interface LdapResult {
  readonly code: number;
  readonly text?: string;
}

/** What a test does differently from a friendly server; each may write to the socket itself. */
export interface FakeLdapScript {
  /** Right after accept. */
  readonly onConnect?: (connection: FakeLdapConnection) => void;
  /** Before anything is answered; returns whether that was all. */
  readonly onRequest?: (connection: FakeLdapConnection, request: LdapRequest) => boolean;
}

interface Element {
  readonly tag: number;
  readonly content: Buffer;
  readonly end: number;
}

const Tag = {
  Sequence: 0x30,
  Integer: 0x02,
  OctetString: 0x04,
  Enumerated: 0x0a,
  BindRequest: 0x60,
  BindResponse: 0x61,
  UnbindRequest: 0x42,
  SearchRequest: 0x63,
  SearchEntry: 0x64,
  SearchDone: 0x65,
  ExtendedRequest: 0x77,
  ExtendedResponse: 0x78,
} as const;

const INVALID_CREDENTIALS = 49;

/** A scripted LDAP server on a free TCP port of the loopback interface. */
export class FakeLdapServer {
  /** Passwords by distinguished name. */
  readonly passwords = new Map<string, string>();
  /** What every search finds. */
  found: readonly string[] = [];
  /** Requests in order of arrival. */
  readonly requests: LdapRequest[] = [];
  /** Connections accepted, count. */
  connectionCount = 0;
  /** For ldaps, and for what follows StartTLS; none by default. */
  readonly secureContext: tls.SecureContext | null;
  readonly script: FakeLdapScript;
  readonly #server: net.Server;
  readonly #sockets = new Set<net.Socket>();

  private constructor(script: FakeLdapScript, identity: tls.SecureContextOptions | null) {
    this.script = script;
    this.secureContext = identity === null ? null : tls.createSecureContext(identity);
    this.#server = net.createServer((socket) => {
      this.connectionCount++;
      this.#sockets.add(socket);
      socket.once('close', () => this.#sockets.delete(socket));
      new FakeLdapConnection(this, socket).begin();
    });
  }

  /**
   * Starts it.
   *
   * @param identity - Certificate and key for TLS.
   */
  static async start(
    script: FakeLdapScript = {},
    identity: tls.SecureContextOptions | null = null,
  ): Promise<FakeLdapServer> {
    const server = new FakeLdapServer(script, identity);
    await new Promise<void>((resolve, reject) => {
      server.#server.once('error', reject);
      server.#server.listen(0, '127.0.0.1', resolve);
    });
    return server;
  }

  get port(): number {
    const address = this.#server.address();
    return typeof address === 'object' && address !== null ? address.port : 0;
  }

  /** Connections that are open, count. */
  get openCount(): number {
    return this.#sockets.size;
  }

  /** Names and passwords of all binds, in order of arrival. */
  get binds(): string[] {
    return this.requests
      .filter((request) => request.kind === 'bind')
      .map(({ name, password }) => `${name} / ${password}`);
  }

  /** Closes everything. */
  async stop(): Promise<void> {
    for (const socket of this.#sockets) {
      socket.destroy();
    }
    await new Promise<void>((resolve) => {
      this.#server.close(() => {
        resolve();
      });
    });
  }
}

/** One connection to a {@link FakeLdapServer}. */
export class FakeLdapConnection {
  readonly #server: FakeLdapServer;
  #socket: net.Socket;
  #bytes: Buffer = Buffer.alloc(0);
  /** Message number of the request that is looked at. */
  messageId = 0;

  constructor(server: FakeLdapServer, socket: net.Socket) {
    this.#server = server;
    this.#socket = socket;
  }

  begin(): void {
    this.#read();
    this.#server.script.onConnect?.(this);
  }

  /** Writes bytes as they are. */
  write(bytes: Buffer): void {
    this.#socket.write(bytes);
  }

  /** Ends the connection at once. */
  destroy(): void {
    this.#socket.destroy();
  }

  /** Goes on with TLS, as after StartTLS. */
  startTls(): void {
    const { secureContext } = this.#server;
    if (secureContext === null) {
      throw new Error('this server has no certificate');
    }
    this.#socket.removeAllListeners('data');
    this.#socket = new tls.TLSSocket(this.#socket, { isServer: true, secureContext });
    this.#read();
  }

  #read(): void {
    // What goes wrong on this side shows on the other one.
    this.#socket.on('error', () => undefined);
    this.#socket.on('data', (chunk: Buffer) => {
      this.#bytes = Buffer.concat([this.#bytes, chunk]);
      for (let message = readElement(this.#bytes); message !== null;) {
        this.#bytes = this.#bytes.subarray(message.end);
        this.#onMessage(message.content);
        message = readElement(this.#bytes);
      }
    });
  }

  #onMessage(content: Buffer): void {
    const [id, operation] = readElements(content);
    if (id === undefined || operation === undefined) {
      throw new Error('the client does not speak LDAP');
    }
    this.messageId = id.content.readUIntBE(0, id.content.length);
    const request = readRequest(operation);
    this.#server.requests.push(request);
    if (this.#server.script.onRequest?.(this, request) !== true) {
      this.#answer(request);
    }
  }

  #answer(request: LdapRequest): void {
    switch (request.kind) {
      case 'bind': {
        const { name, password } = request;
        const isAnonymous = name === '' || password === '';
        const isRight = isAnonymous || this.#server.passwords.get(name) === password;
        this.reply(Tag.BindResponse, { code: isRight ? 0 : INVALID_CREDENTIALS });
        return;
      }
      case 'search':
        for (const name of this.#server.found) {
          this.write(this.message(element(Tag.SearchEntry, [octets(name), sequence([])])));
        }
        this.reply(Tag.SearchDone, { code: 0 });
        return;
      case 'start_tls':
        this.reply(Tag.ExtendedResponse, { code: this.#server.secureContext === null ? 2 : 0 });
        if (this.#server.secureContext !== null) {
          this.startTls();
        }
        return;
      case 'unbind':
      case 'other':
        this.#socket.end();
    }
  }

  /** Answers the request that is looked at. */
  reply(tag: number, { code, text = '' }: LdapResult): void {
    this.write(this.message(this.result(tag, { code, text })));
  }

  /** An operation that is nothing but a result. */
  result(tag: number, { code, text = '' }: LdapResult): Buffer {
    const number = tlv(Tag.Enumerated, Buffer.from([code]));
    return element(tag, [number, octets(''), octets(text)]);
  }

  /** Puts an operation into a message with the number of the request, or another one. */
  message(operation: Buffer, id = this.messageId): Buffer {
    return sequence([tlv(Tag.Integer, Buffer.from([id])), operation]);
  }
}

/** Tags for {@link FakeLdapConnection.reply}. */
export const LdapTag = Tag;

function readRequest({ tag, content }: Element): LdapRequest {
  const parts = readElements(content);
  const text = (index: number): string => parts[index]?.content.toString('utf8') ?? '';
  switch (tag) {
    case Tag.BindRequest:
      return parts[2]?.tag === 0x80
        ? { kind: 'bind', name: text(1), password: text(2) }
        : { kind: 'other' };
    case Tag.SearchRequest: {
      const filter = parts[6];
      return {
        kind: 'search',
        base: text(0),
        scope: parts[1]?.content[0] ?? -1,
        filter: filter === undefined ? '' : describeFilter(filter),
      };
    }
    case Tag.ExtendedRequest:
      return { kind: text(0) === '1.3.6.1.4.1.1466.20037' ? 'start_tls' : 'other' };
    case Tag.UnbindRequest:
      return { kind: 'unbind' };
    default:
      return { kind: 'other' };
  }
}

/** Prints a filter so that values cannot be mistaken for syntax. */
function describeFilter({ tag, content }: Element): string {
  const quoted = (part: Element | undefined): string =>
    JSON.stringify(part?.content.toString('utf8') ?? '');
  const parts = tag === 0x87 ? [] : readElements(content);
  switch (tag) {
    case 0xa0:
      return `and(${parts.map(describeFilter).join(' ')})`;
    case 0xa1:
      return `or(${parts.map(describeFilter).join(' ')})`;
    case 0xa3:
      return `${quoted(parts[0])}=${quoted(parts[1])}`;
    case 0x87:
      return `present(${content.toString('utf8')})`;
    default:
      return `filter ${tag.toString(16)} ${content.toString('latin1')}`;
  }
}

function readElements(bytes: Buffer): Element[] {
  const elements: Element[] = [];
  let rest = bytes;
  for (let next = readElement(rest); next !== null; next = readElement(rest)) {
    elements.push(next);
    rest = rest.subarray(next.end);
  }
  return elements;
}

function readElement(bytes: Buffer): Element | null {
  const [tag, first] = bytes;
  if (tag === undefined || first === undefined) {
    return null;
  }
  const lengthBytes = first < 0x80 ? 0 : first & 0x7f;
  if (bytes.length < 2 + lengthBytes) {
    return null;
  }
  const length = lengthBytes === 0 ? first : bytes.readUIntBE(2, lengthBytes);
  const start = 2 + lengthBytes;
  const end = start + length;
  return bytes.length < end ? null : { tag, content: bytes.subarray(start, end), end };
}

function tlv(tag: number, content: Buffer): Buffer {
  const { length } = content;
  const size =
    length < 0x80 ? Buffer.from([length]) : Buffer.from([0x82, length >> 8, length & 0xff]);
  return Buffer.concat([Buffer.from([tag]), size, content]);
}

function element(tag: number, parts: readonly Buffer[]): Buffer {
  return tlv(tag, Buffer.concat(parts));
}

function sequence(parts: readonly Buffer[]): Buffer {
  return element(Tag.Sequence, parts);
}

function octets(text: string): Buffer {
  return tlv(Tag.OctetString, Buffer.from(text, 'utf8'));
}
