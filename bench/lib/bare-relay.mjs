import { readFileSync } from 'node:fs';
import net from 'node:net';
import tls from 'node:tls';
import { parse } from 'yaml';

/**
 * What any pooler on Node.js costs at least: copies bytes between a client and a connection to
 * PostgreSQL of its own, by the handles of the sockets, and does nothing else. It looks at no message,
 * so it pools nothing and knows no limits. Its one argument is a configuration of maitred.
 *
 * @typedef {object} Handle - of a socket, as `src/net/raw-handle.ts` has it
 * @property {(this: Handle) => void} onread
 * @property {boolean} reading
 * @property {(buffer: Buffer) => void} useUserBuffer
 * @property {() => void} readStart
 * @property {(request: object, chunk: Buffer) => number} writeBuffer
 */

const BUFFER_BYTES = 65_536;
const ENCRYPTION = 'S';

/** @type {{ WriteWrap: new () => object, streamBaseState: Int32Array, kReadBytesOrError: number }} */
const { WriteWrap, streamBaseState, kReadBytesOrError } = /** @type {any} */ (process).binding(
  'stream_wrap',
);

const { maitred: settings, databases } = parse(readFileSync(process.argv[2] ?? '', 'utf8'));
/** @type {any} */
const [database] = Object.values(databases);
const secureContext =
  settings.client_tls_sslmode === 'require'
    ? tls.createSecureContext({
        cert: readFileSync(settings.client_tls_cert_file),
        key: readFileSync(settings.client_tls_key_file),
      })
    : null;

/**
 * @param {net.Socket} socket
 * @returns {Handle}
 */
const handleOf = (socket) => /** @type {any} */ (socket)._handle;

/**
 * One direction; kept at the handle that is read, so that one function serves all.
 *
 * @typedef {object} Way
 * @property {Handle} target
 * @property {Buffer} buffer
 * @property {Buffer[]} views - of the buffer, by length
 * @property {object} request
 * @property {object} otherRequest - a write through TLS is done with its request in the next turn of the
 *   event loop: they take turns
 * @property {() => void} close
 */

/** @this {Handle & { way: Way }} */
function onRead() {
  const { way } = this;
  const bytes = streamBaseState[kReadBytesOrError] ?? 0;
  if (bytes <= 0) {
    way.close();
    return;
  }
  const { request } = way;
  way.request = way.otherRequest;
  way.otherRequest = request;
  way.target.writeBuffer(request, (way.views[bytes] ??= way.buffer.subarray(0, bytes)));
}

/**
 * Passes on what comes from one socket to another one, until either has ended.
 *
 * @param {net.Socket} from
 * @param {net.Socket} to
 */
function pass(from, to) {
  const source = /** @type {Handle & { way: Way }} */ (handleOf(from));
  const buffer = Buffer.alloc(BUFFER_BYTES);
  source.way = {
    target: handleOf(to),
    buffer,
    views: [],
    request: new WriteWrap(),
    otherRequest: new WriteWrap(),
    close: () => {
      from.destroy();
      to.destroy();
    },
  };
  from.pause();
  source.onread = onRead;
  source.useUserBuffer(buffer);
  source.reading = true;
  source.readStart();
}

/** @param {net.Socket} client */
function accept(client) {
  const server = net.connect({ host: database.host, port: database.port, noDelay: true });
  const close = () => {
    client.destroy();
    server.destroy();
  };
  client.on('error', close);
  server.on('error', close);
  server.once('connect', () => {
    if (secureContext === null) {
      pass(server, client);
      pass(client, server);
      return;
    }
    // The first packet of a client asks for encryption.
    client.once('data', () => {
      client.pause();
      client.write(ENCRYPTION, () => {
        const secured = new tls.TLSSocket(client, { isServer: true, secureContext });
        secured.on('error', close);
        pass(server, secured);
        pass(secured, server);
      });
    });
    client.resume();
  });
}

net
  .createServer({ pauseOnConnect: true, noDelay: true }, accept)
  .listen(settings.listen_port, settings.listen_addr);
