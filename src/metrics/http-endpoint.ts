import net from 'node:net';
import type { Logger } from '../log/logger.ts';
import type { HttpService } from './http-service.ts';

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

/** The metrics of one moment. */
export interface Scrape {
  readonly text: string;
  readonly contentType: string;
}

/** What the endpoint serves. */
export interface HttpContent {
  /** Writes the metrics; a rejection is answered with 500. */
  scrape(): Promise<Scrape>;
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

/**
 * Listens for HTTP. What answers is loaded with the first connection: a process that nobody asks does
 * without the memory that Node.js takes for HTTP.
 */
export class HttpEndpoint {
  readonly #listener: net.Server;
  readonly #logger: Logger;
  readonly #makeService: () => Promise<HttpService>;
  /** Connections that wait for the service. */
  readonly #waiting = new Set<net.Socket>();
  #service: HttpService | null = null;
  #isLoading = false;
  #isClosed = false;

  private constructor(content: HttpContent, logger: Logger, limits: HttpLimits) {
    this.#logger = logger;
    this.#makeService = async () => {
      const { HttpService: Service } = await import('./http-service.ts');
      return new Service(content, limits, (error) => {
        this.#reportFailure(error);
      });
    };
    // As http.Server has them, but that nothing is read before there is somebody to read it.
    const options = { allowHalfOpen: true, noDelay: true, pauseOnConnect: true };
    this.#listener = net.createServer(options, (socket) => {
      this.#accept(socket);
    });
    this.#listener.maxConnections = limits.maxConnections;
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
    const server = endpoint.#listener;
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

  #accept(socket: net.Socket): void {
    if (this.#service !== null) {
      this.#service.serve(socket);
      return;
    }
    this.#waiting.add(socket);
    const forget = (): void => {
      this.#waiting.delete(socket);
    };
    socket.on('error', forget).once('close', forget);
    if (!this.#isLoading) {
      this.#isLoading = true;
      void this.#load();
    }
  }

  /** Never rejects. */
  async #load(): Promise<void> {
    try {
      const service = await this.#makeService();
      if (this.#isClosed) {
        service.close();
      } else {
        this.#service = service;
      }
    } catch (error) {
      this.#reportFailure(error);
    }
    this.#isLoading = false;
    for (const socket of [...this.#waiting]) {
      this.#waiting.delete(socket);
      if (this.#service === null) {
        socket.destroy();
      } else {
        this.#service.serve(socket);
      }
    }
  }

  /** The port it listens on, also where any free one was asked for. */
  get port(): number {
    const address = this.#listener.address();
    return typeof address === 'object' && address !== null ? address.port : 0;
  }

  /** Stops listening and drops all connections. */
  close(): void {
    this.#isClosed = true;
    this.#listener.close();
    for (const socket of this.#waiting) {
      socket.destroy();
    }
    this.#service?.close();
    this.#service = null;
  }

  #reportFailure(error: unknown): void {
    const text = error instanceof Error ? error.message : String(error);
    this.#logger.error('http_request_failed', { error: text });
  }
}
