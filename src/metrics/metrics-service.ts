import { runAfter } from '../base/clock.ts';
import type { Logger } from '../log/logger.ts';
import { EventLoopMonitor } from './event-loop-monitor.ts';
import { HttpEndpoint, type HttpAddress } from './http-endpoint.ts';
import { takeSnapshot } from './metrics-snapshot.ts';
import type { MetricsSource } from './metrics-source.ts';
import { readProcessUsage } from './process-usage.ts';
import type { MetricsRegistry } from './registry.ts';

/** What the service needs from the process. */
export interface MetricsServiceOptions {
  readonly source: MetricsSource;
  /** Whether new clients are accepted, for `/readyz`. Never throws. */
  readonly isReady: () => boolean;
  readonly logger: Logger;
}

/** How often an address that another process has is tried again, in ms. */
const RETRY_MS = 1_000;

/** The metrics of one process and the endpoint that serves them. */
export class MetricsService {
  readonly #options: MetricsServiceOptions;
  #endpoint: HttpEndpoint | null = null;
  #eventLoop: EventLoopMonitor | null = null;
  #isClosed = false;

  constructor(options: MetricsServiceOptions) {
    this.#options = options;
  }

  /**
   * Opens the endpoint. One that cannot be opened is a warning: clients come first. Never rejects.
   *
   * @param address - its host is empty for no endpoint at all.
   * @param isTriedAgain - whether to wait for an address that the process before us still has.
   */
  async open(address: HttpAddress, isTriedAgain: boolean): Promise<void> {
    const { source, isReady, logger } = this.#options;
    if (address.host === '') {
      return;
    }
    const eventLoop = new EventLoopMonitor();
    // Loaded with the first scrape: many do without.
    let registry: Promise<MetricsRegistry> | null = null;
    const load = async (): Promise<MetricsRegistry> => {
      const module = await import('./registry.ts');
      return new module.MetricsRegistry(async () =>
        takeSnapshot(source, await readProcessUsage(), eventLoop.read()),
      );
    };
    const content = {
      scrape: async () => {
        registry ??= load();
        const loaded = await registry;
        return { text: await loaded.scrape(), contentType: loaded.contentType };
      },
      isReady,
    };
    const attempt = async (): Promise<void> => {
      this.#endpoint = await HttpEndpoint.open(address, content, logger);
      this.#eventLoop = eventLoop;
      logger.info('metrics_listening', { address: address.host, port: this.#endpoint.port });
    };
    try {
      await attempt();
    } catch (error) {
      const text = error instanceof Error ? error.message : String(error);
      logger.warn('listen_failed', { address: address.host, error: text, metrics: true });
      if (isTriedAgain) {
        this.#tryAgain(attempt);
      } else {
        eventLoop.close();
      }
    }
  }

  /** Repeats an attempt until it succeeds; the first failure has been told. */
  #tryAgain(attempt: () => Promise<void>): void {
    runAfter(RETRY_MS, () => {
      if (this.#isClosed) {
        return;
      }
      attempt().catch(() => {
        this.#tryAgain(attempt);
      });
    });
  }

  /** Closes the endpoint, if it is open. */
  close(): void {
    this.#isClosed = true;
    this.#endpoint?.close();
    this.#eventLoop?.close();
    this.#endpoint = null;
    this.#eventLoop = null;
  }
}
