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

/** The metrics of one process and the endpoint that serves them. */
export class MetricsService {
  readonly #options: MetricsServiceOptions;
  #endpoint: HttpEndpoint | null = null;
  #eventLoop: EventLoopMonitor | null = null;

  constructor(options: MetricsServiceOptions) {
    this.#options = options;
  }

  /**
   * Opens the endpoint. One that cannot be opened is a warning: clients come first. Never rejects.
   *
   * @param address - its host is empty for no endpoint at all.
   */
  async open(address: HttpAddress): Promise<void> {
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
    try {
      this.#endpoint = await HttpEndpoint.open(address, content, logger);
      this.#eventLoop = eventLoop;
      logger.info('metrics_listening', { address: address.host, port: this.#endpoint.port });
    } catch (error) {
      eventLoop.close();
      const text = error instanceof Error ? error.message : String(error);
      logger.warn('listen_failed', { address: address.host, error: text, metrics: true });
    }
  }

  /** Closes the endpoint, if it is open. */
  close(): void {
    this.#endpoint?.close();
    this.#eventLoop?.close();
    this.#endpoint = null;
    this.#eventLoop = null;
  }
}
