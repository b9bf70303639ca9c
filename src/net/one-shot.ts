import type net from 'node:net';
import { openSocket } from './abstract-socket.ts';
import { judgeSslAnswer, SSL_REQUEST } from './ssl-request.ts';
import { beginOpenedTls, judgeOpenedTls, type OpenedTls } from './tls-upgrade.ts';

/** Where a message is sent to. */
export interface OneShotTarget {
  readonly connect: net.NetConnectOpts;
  /** Null to send it in the clear; otherwise it is not sent without TLS. */
  readonly tls: OpenedTls | null;
}

/** Who is told of what becomes of a message. */
export interface OneShotEvents {
  /** Called exactly once; null when the peer has closed after it got the message. */
  readonly onDone: (error: Error | null) => void;
  /** Called once the message is on its way. */
  readonly onSent: () => void;
}

/**
 * One connection that carries one message: it connects, sends it, and waits until the peer closes.
 * That is the whole life of a cancel request.
 */
export class OneShot {
  readonly #tls: OpenedTls | null;
  readonly #message: Buffer;
  readonly #onDone: (error: Error | null) => void;
  readonly #onSent: () => void;
  #socket: net.Socket;
  #failure: Error | null = null;
  #isSent = false;

  /**
   * Begins to connect.
   *
   * @param message - owned by it from now on.
   */
  constructor({ connect, tls }: OneShotTarget, message: Buffer, { onDone, onSent }: OneShotEvents) {
    this.#onSent = onSent;
    this.#tls = tls;
    this.#message = message;
    this.#onDone = onDone;
    this.#socket = openSocket(connect);
    this.#socket.once('connect', () => {
      this.#onConnect();
    });
    this.#watch(this.#socket);
  }

  #watch(socket: net.Socket): void {
    socket.on('error', (error) => {
      this.#failure ??= error;
    });
    socket.once('close', () => {
      if (socket === this.#socket) {
        this.#onClose();
      }
    });
  }

  #onConnect(): void {
    const tls = this.#tls;
    if (tls === null) {
      this.#send();
    } else if (tls.isDirect) {
      this.#secure(tls);
    } else {
      this.#socket.write(SSL_REQUEST);
      this.#socket.once('data', (chunk) => {
        this.#onAnswer(tls, chunk);
      });
    }
  }

  #onAnswer(tls: OpenedTls, chunk: Buffer): void {
    const answer = judgeSslAnswer(chunk, true);
    if (typeof answer === 'string') {
      this.#secure(tls);
    } else {
      this.#fail(answer.refusal);
    }
  }

  #secure(tls: OpenedTls): void {
    const plain = this.#socket;
    plain.pause();
    const secured = beginOpenedTls(plain, tls);
    this.#socket = secured;
    this.#watch(secured);
    secured.once('secureConnect', () => {
      const problem = judgeOpenedTls(secured, tls);
      if (problem === null) {
        this.#send();
      } else {
        this.#fail(problem);
      }
    });
  }

  #send(): void {
    this.#isSent = true;
    this.#socket.write(this.#message);
    this.#onSent();
    // Nothing is expected; read on, so that the end is seen.
    this.#socket.resume();
  }

  #fail(problem: string): void {
    this.#failure ??= new Error(problem);
    this.#socket.destroy();
  }

  #onClose(): void {
    const failure = this.#failure ?? new Error('closed before it was sent');
    this.#onDone(this.#isSent ? null : failure);
  }

  /** Address and port of our end; empty and 0 while there is none, or on a Unix socket. */
  get local(): { readonly address: string; readonly port: number } {
    const { localAddress, localPort } = this.#socket;
    return { address: localAddress ?? '', port: localPort ?? 0 };
  }

  /** Gives up; `onDone` follows. */
  giveUp(): void {
    this.#socket.destroy();
  }
}
