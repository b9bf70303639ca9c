import http from 'node:http';
import type { Logger } from '../log/logger.ts';

/** What one endpoint bears. */
export interface HttpLimits {
  /** Request line and headers together. */
  readonly maxHeaderBytes: number;
  /** Connections at a time; more are closed at once. */
  readonly maxConnections: number;
  /** For the head of a request to arrive. */
  readonly headersTimeoutMs: number;
  /** For the whole request to arrive, and for a connection on which nothing moves. */
  readonly requestTimeoutMs: number;
  /** For an idle connection to be used again. */
  readonly keepAliveMs: number;
  /** How often the timeouts of requests are looked at. */
  readonly timeoutCheckMs: number;
}

/** Enough for a few Prometheus servers and probes, and no more. */
export const HTTP_LIMITS: HttpLimits = {
  maxHeaderBytes: 8_192,
  maxConnections: 64,
  headersTimeoutMs: 5_000,
  requestTimeoutMs: 10_000,
  keepAliveMs: 5_000,
  timeoutCheckMs: 5_000,
};

const TEXT = 'text/plain; charset=utf-8';

/** What the endpoint serves. */
export interface HttpContent {
  /** Writes the metrics; a rejection is answered with 500. */
  scrape(): Promise<string>;
  /** Media type of the metrics. */
  readonly contentType: string;
  /** Whether new clients are accepted. Never throws. */
  isReady(): boolean;
}

/** Where the endpoint listens. */
export interface HttpAddress {
  /** `*` for every address of the machine. */
  readonly host: string;
  /** 0 for any free one. */
  readonly port: number;
}

interface Answer {
  readonly status: number;
  readonly body: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/**
 * Serves metrics and health over HTTP: `/metrics`, `/healthz` (the process answers) and `/readyz`
 * (clients are accepted). Whether a database can be reached is deliberately told by none of them:
 * a failover of one database must not take every pooler out of service.
 */
export class HttpEndpoint {
  readonly #server: http.Server;
  readonly #content: HttpContent;
  readonly #logger: Logger;

  private constructor(content: HttpContent, logger: Logger, limits: HttpLimits) {
    this.#content = content;
    this.#logger = logger;
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
    this.#server.maxConnections = limits.maxConnections;
    // Also for a reader that does not take its answer.
    this.#server.timeout = limits.requestTimeoutMs;
  }

  /**
   * Opens the endpoint.
   *
   * @throws the error of the system, for example EADDRINUSE.
   */
  static async open(
    address: HttpAddress,
    content: HttpContent,
    logger: Logger,
    limits: HttpLimits = HTTP_LIMITS,
  ): Promise<HttpEndpoint> {
    const endpoint = new HttpEndpoint(content, logger, limits);
    const server = endpoint.#server;
    const where = address.host === '*' ? {} : { host: address.host };
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen({ ...where, port: address.port }, () => {
        server.off('error', reject);
        server.on('error', (error) => {
          endpoint.#reportFailure(error);
        });
        resolve();
      });
    });
    return endpoint;
  }

  /** The port it listens on, also where any free one was asked for. */
  get port(): number {
    const address = this.#server.address();
    return typeof address === 'object' && address !== null ? address.port : 0;
  }

  /** Stops listening and drops all connections. */
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
      this.#reportFailure(error);
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
      const body = await this.#content.scrape();
      return { status: 200, body, headers: { 'Content-Type': this.#content.contentType } };
    }
    if (path === '/readyz' && !this.#content.isReady()) {
      return { status: 503, body: 'not accepting clients\n' };
    }
    return { status: 200, body: 'ok\n' };
  }

  #reportFailure(error: unknown): void {
    const text = error instanceof Error ? error.message : String(error);
    this.#logger.error('http_request_failed', { error: text });
  }
}

/** The path of a request without its query. */
function pathOf(request: http.IncomingMessage): string {
  return request.url?.split('?', 1)[0] ?? '';
}
