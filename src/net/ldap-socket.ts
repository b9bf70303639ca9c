import net from 'node:net';
import tls from 'node:tls';

/** Which LDAP server to connect to, and how the connection is encrypted. */
export interface LdapTarget {
  /** Name or address. */
  readonly host: string;
  readonly port: number;
  /** From its first byte. */
  readonly isLdaps: boolean;
  /** By StartTLS. */
  readonly isStartTls: boolean;
}

/** How to connect. */
export interface LdapSocketOptions {
  /**
   * What the server's certificate must be signed by, asked for where TLS is used only. Making one
   * from hundreds of certificates takes tens of ms: to be kept. @throws Error saying why there is none.
   */
  readonly trust: () => tls.SecureContext;
  /** For names; it answers with all addresses. */
  readonly lookup: net.LookupFunction;
}

/**
 * Makes the trust of {@link LdapSocketOptions}.
 *
 * @param ca - Certificates in PEM; `null` for those that Node.js trusts.
 */
export function ldapTrust(ca: string | null): tls.SecureContext {
  return tls.createSecureContext(ca === null ? {} : { ca });
}

/** How long a server may be silent while the connection is opened, in ms. */
const SILENCE_MS = 3000;

/**
 * The request for StartTLS: message 1, an extended request with the name 1.3.6.1.4.1.1466.20037.
 *
 * @source RFC 4511, "StartTLS Operation"
 */
const START_TLS_REQUEST = Buffer.concat([
  Buffer.from([0x30, 0x1d, 0x02, 0x01, 0x01, 0x77, 0x18, 0x80, 0x16]),
  Buffer.from('1.3.6.1.4.1.1466.20037', 'latin1'),
]);

/** Longest answer to it that is read, in bytes. */
const MAX_ANSWER_BYTES = 4096;

const LDAP_MESSAGE_TAG = 0x30;
const INTEGER_TAG = 0x02;
const ENUMERATED_TAG = 0x0a;
const EXTENDED_RESPONSE_TAG = 0x78;

/**
 * Connects to an LDAP server, and encrypts the connection where that is asked for. The server must
 * show a certificate for its name.
 *
 * @param signal - Ends it early.
 * @returns An open socket that does not read yet; the caller owns it.
 * @throws Error saying why not, also when `signal` is aborted.
 */
export async function openLdapSocket(
  target: LdapTarget,
  { trust, lookup }: LdapSocketOptions,
  signal: AbortSignal,
): Promise<net.Socket> {
  const { host, port } = target;
  const socket = net.connect({ host, port, noDelay: true, lookup, autoSelectFamily: true });
  socket.setTimeout(SILENCE_MS, () => {
    socket.destroy(new Error(`no answer within ${String(SILENCE_MS / 1000)} s`));
  });
  const abort = (): void => {
    socket.destroy(new Error('given up'));
  };
  signal.addEventListener('abort', abort, { once: true });
  try {
    if (signal.aborted) {
      throw new Error('given up');
    }
    await settled(socket, 'connect');
    if (target.isStartTls) {
      await startTls(socket);
    }
    const isEncrypted = target.isLdaps || target.isStartTls;
    const open = isEncrypted ? await secure(socket, target, trust()) : socket;
    socket.setTimeout(0);
    return open;
  } catch (error) {
    socket.destroy();
    throw error;
  } finally {
    signal.removeEventListener('abort', abort);
  }
}

/** Waits for an event of a socket. @throws its error, or that it was closed. */
function settled(socket: net.Socket, event: 'connect' | 'secureConnect'): Promise<void> {
  return new Promise((resolve, reject) => {
    // It stays: an error that comes later must find a listener.
    socket.on('error', reject);
    socket.once('close', () => {
      reject(new Error('the connection was closed'));
    });
    socket.once(event, resolve);
  });
}

async function secure(
  socket: net.Socket,
  { host }: LdapTarget,
  secureContext: tls.SecureContext,
): Promise<tls.TLSSocket> {
  const secured = tls.connect({
    socket,
    host,
    secureContext,
    ...(net.isIP(host) === 0 ? { servername: host } : {}),
  });
  await settled(secured, 'secureConnect');
  return secured;
}

/**
 * Asks for StartTLS. Bytes behind the answer came in clear text and may be anybody's: they end the
 * connection, instead of being read as if they had been encrypted.
 */
function startTls(socket: net.Socket): Promise<void> {
  return new Promise((resolve, reject) => {
    let answer: Buffer = Buffer.alloc(0);
    const onData = (chunk: Buffer): void => {
      answer = Buffer.concat([answer, chunk]);
      const message = readElement(answer, LDAP_MESSAGE_TAG);
      if (message === 'incomplete' && answer.length <= MAX_ANSWER_BYTES) {
        return;
      }
      socket.off('data', onData);
      socket.pause();
      const problem = judgeAnswer(answer, message);
      if (problem === null) {
        resolve();
      } else {
        reject(new Error(problem));
      }
    };
    socket.once('close', () => {
      reject(new Error('the server closed the connection instead of StartTLS'));
    });
    socket.on('data', onData);
    socket.write(START_TLS_REQUEST);
  });
}

/** What is wrong with an answer to StartTLS; `null` for nothing. */
function judgeAnswer(answer: Buffer, message: ReturnType<typeof readElement>): string | null {
  if (message === 'incomplete') {
    return 'the answer to StartTLS is too long';
  }
  if (message === null) {
    return 'the answer to StartTLS is not LDAP';
  }
  if (message.end < answer.length) {
    return 'the server sent more in clear text behind its answer to StartTLS';
  }
  const id = readElement(message.content, INTEGER_TAG);
  const operation = after(message.content, id, EXTENDED_RESPONSE_TAG);
  const code = operation === null ? null : readElement(operation, ENUMERATED_TAG);
  if (code === null || code === 'incomplete') {
    return 'the answer to StartTLS is not LDAP';
  }
  const isSuccess = code.content.length === 1 && code.content[0] === 0;
  return isSuccess
    ? null
    : `the server refused StartTLS with result ${code.content.toString('hex')}`;
}

interface Element {
  readonly content: Buffer;
  /** Offset behind it. */
  readonly end: number;
}

/** Content of the element with `tag` that follows another one; `null` when there is none. */
function after(bytes: Buffer, first: ReturnType<typeof readElement>, tag: number): Buffer | null {
  if (first === null || first === 'incomplete') {
    return null;
  }
  const second = readElement(bytes.subarray(first.end), tag);
  return second === null || second === 'incomplete' ? null : second.content;
}

/**
 * Reads one element of BER with a definite length.
 *
 * @returns `null` when the bytes do not begin with `tag` or the length cannot be right.
 */
function readElement(bytes: Buffer, tag: number): Element | 'incomplete' | null {
  if (bytes.length > 0 && bytes[0] !== tag) {
    return null;
  }
  const first = bytes[1];
  if (first === undefined) {
    return 'incomplete';
  }
  const lengthBytes = first < 0x80 ? 0 : first & 0x7f;
  if (first === 0x80 || lengthBytes > 3) {
    return null;
  }
  const start = 2 + lengthBytes;
  if (bytes.length < start) {
    return 'incomplete';
  }
  const length = lengthBytes === 0 ? first : bytes.readUIntBE(2, lengthBytes);
  const end = start + length;
  return bytes.length < end ? 'incomplete' : { content: bytes.subarray(start, end), end };
}
