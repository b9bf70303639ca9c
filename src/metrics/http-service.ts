import http from 'node:http';
import type { Socket } from 'node:net';
import type { HttpContent, HttpLimits } from './http-endpoint.ts';

const TEXT = 'text/plain; charset=utf-8';

interface Answer {
  readonly status: number;
  readonly body: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/**
 * Answers HTTP on connections that somebody else accepts: `/metrics`, `/healthz` (the process answers)
 * and `/readyz` (clients are accepted). Whether a database can be reached is deliberately told by none
 * of them: a failover of one database must not take every pooler out of service.
 */
export class HttpService {
  readonly #server: http.Server;
  readonly #content: HttpContent;
  readonly #onError: (error: unknown) => void;

  constructor(content: HttpContent, limits: HttpLimits, onError: (error: unknown) => void) {
    this.#content = content;
    this.#onError = onError;
    this.#server = http.createServer(
      {
        maxHeaderSize: limits.maxHeaderBytes,
        requestTimeout: limits.requestTimeoutMs,
        headersTimeout: limits.headersTimeoutMs,
        keepAliveTimeout: limits.keepAliveMs,
        connectionsCheckingInterval: limits.timeoutCheckMs,
      },
      (request, response) => {
        void this.#respond(request, response);
      },
    );
    // Also for a reader that does not take its answer.
    this.#server.timeout = limits.requestTimeoutMs;
    // It never listens itself, and watches its timeouts only from then on.
    this.#server.emit('listening');
  }

  /** Takes over a connection from which nothing has been read. */
  serve(socket: Socket): void {
    this.#server.emit('connection', socket);
    socket.resume();
  }

  /** Drops all connections. */
  close(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }

  /** Never rejects. */
  async #respond(request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
    const isRead = request.method === 'GET' || request.method === 'HEAD';
    let answer: Answer;
    try {
      answer = await this.#answer(pathOf(request), isRead);
    } catch (error) {
      this.#onError(error);
      answer = { status: 500, body: 'internal error\n' };
    }
    response.writeHead(answer.status, {
      'Content-Type': TEXT,
      'Content-Length': Buffer.byteLength(answer.body),
      'Cache-Control': 'no-store',
      // What follows a request with a body is not worth reading for.
      ...(isRead ? {} : { Connection: 'close' }),
      ...answer.headers,
    });
    response.end(answer.body);
  }

  async #answer(path: string, isRead: boolean): Promise<Answer> {
    if (!['/metrics', '/healthz', '/readyz'].includes(path)) {
      return { status: 404, body: 'not found\n' };
    }
    if (!isRead) {
      return { status: 405, body: 'method not allowed\n', headers: { Allow: 'GET, HEAD' } };
    }
    if (path === '/metrics') {
      const { text, contentType } = await this.#content.scrape();
      return { status: 200, body: text, headers: { 'Content-Type': contentType } };
    }
    if (path === '/readyz' && !this.#content.isReady()) {
      return { status: 503, body: 'not accepting clients\n' };
    }
    return { status: 200, body: 'ok\n' };
  }
}

/** The path of a request without its query; proxies may name the whole address. */
function pathOf(request: http.IncomingMessage): string {
  return request.url?.replace(/^https?:\/\/[^/]*/i, '').split('?', 1)[0] ?? '';
}
