import net from 'node:net';
import tls from 'node:tls';
import { ScramExchange } from './scram.mjs';

/**
 * @typedef {object} Target
 * @property {string} host
 * @property {number} port
 * @property {string} user
 * @property {string} database
 * @property {string} [password] - for SCRAM; without one, trust is expected
 * @property {boolean} [hasTls] - whether to ask for TLS first; no certificate is checked
 */

/** Type bytes of the backend messages that matter to a load client. */
const Code = /** @type {const} */ ({
  Authentication: 0x52,
  CommandComplete: 0x43,
  CopyData: 0x64,
  CopyInResponse: 0x47,
  DataRow: 0x44,
  ErrorResponse: 0x45,
  ReadyForQuery: 0x5a,
});

const HEADER_BYTES = 5;
const DEFAULT_READ_BUFFER_BYTES = 64 * 1024;
const PROTOCOL_VERSION_3_0 = 0x00030000;
const SSL_REQUEST = Buffer.from([0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f]);

/**
 * @typedef {object} Reply
 * @property {string} commandTag - of the last CommandComplete; empty if there was none
 * @property {number} rowCount - DataRow messages
 * @property {number} copyBytes - payload bytes of CopyData messages
 * @property {string | null} firstValue - first column of the first row; null for none or NULL
 */

/**
 * A minimal PostgreSQL client on a raw socket: trust and SCRAM, simple queries, COPY.
 *
 * It reads into one reused buffer and opens no row, so that it takes as little as possible of the
 * CPU that the poolers compete for.
 */
export class WireClient {
  /** @type {net.Socket} */
  #socket;
  /** @type {Error | null} */
  #failure = null;
  #header = Buffer.alloc(HEADER_BYTES);
  #headerFilled = 0;
  #code = 0;
  #bodyRemaining = 0;
  /** @type {Buffer[]} */
  #kept = [];
  /** @type {Reply} */
  #reply = emptyReply();
  /** @type {((error: Error | null) => void) | null} */
  #onReady = null;
  /** @type {(() => void) | null} */
  #onCopyIn = null;
  /** @type {(() => void) | null} */
  #onRow = null;
  /** @type {ScramExchange | null} */
  #scram;

  /**
   * @param {Target} target
   * @param {number} readBufferBytes - what one read takes at most
   * @param {(error: Error | null) => void} onConnected
   */
  constructor(target, readBufferBytes, onConnected) {
    this.#onReady = onConnected;
    this.#scram = target.password === undefined ? null : new ScramExchange(target.password);
    const buffer = Buffer.allocUnsafeSlow(readBufferBytes);
    const onread = {
      buffer,
      callback: (/** @type {number} */ count) => {
        this.#read(buffer, count);
        return true;
      },
    };
    const place = { host: target.host, port: target.port, noDelay: true };
    this.#socket = net.connect(target.hasTls === true ? place : { ...place, onread });
    this.#watch();
    if (target.hasTls === true) {
      this.#socket.write(SSL_REQUEST);
      this.#socket.once('data', () => {
        this.#startTls(target);
      });
    } else {
      this.#socket.write(startupPacket(target.user, target.database));
    }
  }

  #watch() {
    this.#socket.on('error', (error) => {
      this.#fail(error);
    });
    this.#socket.on('close', () => {
      this.#fail(new Error('connection closed by the server'));
    });
  }

  /** @param {Target} target */
  #startTls(target) {
    this.#socket = tls.connect({ socket: this.#socket, rejectUnauthorized: false });
    this.#watch();
    this.#socket.on('data', (chunk) => {
      this.#read(chunk, chunk.length);
    });
    this.#socket.write(startupPacket(target.user, target.database));
  }

  /**
   * Connects and logs in.
   *
   * @param {Target} target
   * @param {number} [readBufferBytes] - what one read takes at most
   * @returns {Promise<WireClient>}
   */
  static connect(target, readBufferBytes = DEFAULT_READ_BUFFER_BYTES) {
    return new Promise((resolve, reject) => {
      const client = new WireClient(target, readBufferBytes, (error) => {
        if (error === null) {
          resolve(client);
        } else {
          client.destroy();
          reject(error);
        }
      });
    });
  }

  /**
   * Runs one simple query to its end.
   *
   * @param {string} sql
   * @returns {Promise<Reply>}
   */
  query(sql) {
    return new Promise((resolve, reject) => {
      this.#start((error) => {
        if (error === null) {
          resolve(this.#reply);
        } else {
          reject(error);
        }
      });
      this.#socket.write(queryMessage(sql));
    });
  }

  /**
   * Starts a query, reads until the first row has come, then stops reading.
   *
   * @param {string} sql
   * @returns {Promise<void>} resolved when a row has come and reading has stopped
   */
  stallAfterFirstRow(sql) {
    return new Promise((resolve, reject) => {
      this.#start((error) => {
        reject(error ?? new Error('the result ended before reading stopped'));
      });
      this.#onRow = () => {
        this.#onRow = null;
        this.#socket.pause();
        resolve();
      };
      this.#socket.write(queryMessage(sql));
    });
  }

  /**
   * Runs `COPY ... FROM STDIN`, sending one block of CopyData messages over and over.
   *
   * @param {string} sql
   * @param {Buffer} block - whole CopyData messages, not changed until the copy has ended
   * @param {number} repetitions - times to send the block
   * @returns {Promise<Reply>}
   */
  copyIn(sql, block, repetitions) {
    return new Promise((resolve, reject) => {
      this.#start((error) => {
        if (error === null) {
          resolve(this.#reply);
        } else {
          reject(error);
        }
      });
      let remaining = repetitions;
      const pump = () => {
        while (remaining > 0 && this.#failure === null) {
          remaining -= 1;
          if (!this.#socket.write(block)) {
            this.#socket.once('drain', pump);
            return;
          }
        }
        this.#socket.write(COPY_DONE);
      };
      this.#onCopyIn = pump;
      this.#socket.write(queryMessage(sql));
    });
  }

  /** Ends the connection politely. */
  close() {
    this.#failure ??= new Error('client closed');
    this.#socket.end(TERMINATE);
  }

  /** Drops the connection at once. */
  destroy() {
    this.#failure ??= new Error('client destroyed');
    this.#socket.destroy();
  }

  /** @param {(error: Error | null) => void} onReady */
  #start(onReady) {
    if (this.#failure !== null) {
      onReady(this.#failure);
      return;
    }
    this.#reply = emptyReply();
    this.#onReady = onReady;
  }

  /** @param {Error} error */
  #fail(error) {
    this.#failure ??= error;
    this.#finish(this.#failure);
  }

  /** @param {Error | null} error */
  #finish(error) {
    const onReady = this.#onReady;
    this.#onReady = null;
    onReady?.(error);
  }

  /**
   * @param {Buffer} buffer
   * @param {number} end - bytes of the buffer that are filled
   */
  #read(buffer, end) {
    let offset = 0;
    while (offset < end) {
      if (this.#headerFilled < HEADER_BYTES) {
        offset = this.#readHeader(buffer, offset, end);
        if (this.#headerFilled < HEADER_BYTES) {
          return;
        }
      }
      const take = Math.min(this.#bodyRemaining, end - offset);
      if (this.#isKept() && take > 0) {
        this.#kept.push(Buffer.from(buffer.subarray(offset, offset + take)));
      }
      offset += take;
      this.#bodyRemaining -= take;
      if (this.#bodyRemaining === 0) {
        this.#headerFilled = 0;
        this.#onMessageEnd();
      }
    }
  }

  /**
   * @param {Buffer} buffer
   * @param {number} start
   * @param {number} end
   * @returns {number} offset of the first byte after what was taken
   */
  #readHeader(buffer, start, end) {
    const take = Math.min(HEADER_BYTES - this.#headerFilled, end - start);
    buffer.copy(this.#header, this.#headerFilled, start, start + take);
    this.#headerFilled += take;
    if (this.#headerFilled === HEADER_BYTES) {
      this.#code = this.#header[0] ?? 0;
      this.#bodyRemaining = this.#header.readUInt32BE(1) - 4;
      if (this.#code === Code.CopyData) {
        this.#reply.copyBytes += this.#bodyRemaining;
      }
      if (this.#code === Code.DataRow) {
        this.#reply.rowCount += 1;
        this.#onRow?.();
      }
    }
    return start + take;
  }

  /** Only short answers are looked into: rows of a large result are counted, not kept. */
  #isKept() {
    return (
      this.#code === Code.Authentication ||
      this.#code === Code.CommandComplete ||
      this.#code === Code.ErrorResponse ||
      (this.#code === Code.DataRow && this.#reply.rowCount === 1)
    );
  }

  /** @param {Buffer} body - of an Authentication message */
  #authenticate(body) {
    const code = body.readInt32BE(0);
    if (code === 0 || (code === 12 && this.#scram !== null)) {
      return;
    }
    if (code === 10 && this.#scram !== null) {
      const mechanism = Buffer.from('SCRAM-SHA-256\0');
      const first = Buffer.concat([mechanism, lengthAndText(this.#scram.first())]);
      this.#socket.write(message('p', first));
    } else if (code === 11 && this.#scram !== null) {
      const final = this.#scram.final(body.toString('latin1', 4));
      this.#socket.write(message('p', Buffer.from(final, 'latin1')));
    } else {
      this.#fail(new Error(`the server asks for authentication ${String(code)}`));
    }
  }

  #onMessageEnd() {
    const body = this.#kept.length === 0 ? null : Buffer.concat(this.#kept);
    this.#kept = [];
    switch (this.#code) {
      case Code.Authentication:
        this.#authenticate(body ?? Buffer.alloc(4, 0xff));
        break;
      case Code.CommandComplete:
        this.#reply.commandTag = body?.toString('utf8', 0, body.length - 1) ?? '';
        break;
      case Code.DataRow:
        if (body !== null) {
          this.#reply.firstValue = firstColumn(body);
        }
        break;
      case Code.CopyInResponse:
        this.#onCopyIn?.();
        this.#onCopyIn = null;
        break;
      case Code.ErrorResponse:
        this.#fail(new Error(`server: ${errorText(body ?? Buffer.alloc(0))}`));
        break;
      case Code.ReadyForQuery:
        this.#finish(this.#failure);
        break;
      default:
        break;
    }
  }
}

/** @param {string} text */
function lengthAndText(text) {
  const bytes = Buffer.alloc(4 + text.length);
  bytes.writeInt32BE(text.length, 0);
  bytes.write(text, 4, 'latin1');
  return bytes;
}

/** @returns {Reply} */
function emptyReply() {
  return { commandTag: '', rowCount: 0, copyBytes: 0, firstValue: null };
}

/**
 * Builds one CopyData message.
 *
 * @param {Buffer} payload
 * @returns {Buffer} type byte 'd', length, payload
 * @source PostgreSQL, "Message Formats": CopyData
 */
export function copyDataMessage(payload) {
  return message('d', payload);
}

/**
 * @param {string} user
 * @param {string} database
 */
function startupPacket(user, database) {
  const parameters = Buffer.from(`user\0${user}\0database\0${database}\0\0`);
  const packet = Buffer.alloc(8 + parameters.length);
  packet.writeInt32BE(packet.length, 0);
  packet.writeInt32BE(PROTOCOL_VERSION_3_0, 4);
  parameters.copy(packet, 8);
  return packet;
}

/**
 * @param {string} code
 * @param {Buffer} payload
 */
function message(code, payload) {
  const header = Buffer.alloc(HEADER_BYTES);
  header.write(code, 0, 'latin1');
  header.writeInt32BE(payload.length + 4, 1);
  return Buffer.concat([header, payload]);
}

/** @param {string} sql */
function queryMessage(sql) {
  return message('Q', Buffer.from(`${sql}\0`));
}

const COPY_DONE = message('c', Buffer.alloc(0));
const TERMINATE = message('X', Buffer.alloc(0));

/**
 * @param {Buffer} body - of a DataRow
 * @returns {string | null}
 */
function firstColumn(body) {
  const valueBytes = body.length < 6 ? -1 : body.readInt32BE(2);
  return valueBytes < 0 ? null : body.toString('utf8', 6, 6 + valueBytes);
}

/**
 * @param {Buffer} body - of an ErrorResponse
 * @returns {string} SQLSTATE and message
 */
function errorText(body) {
  const fields = body.toString('utf8').split('\0');
  const field = (/** @type {string} */ code) =>
    fields.find((text) => text.startsWith(code))?.slice(1) ?? '?';
  return `${field('C')} ${field('M')}`;
}
