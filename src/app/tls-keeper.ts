import type { Settings } from '../config/config.ts';
import type { Logger } from '../log/logger.ts';
import { readFileStamp } from '../net/watched-file.ts';
import { setUpTls, TlsSetupError, type CertificateExpiry, type TlsSetup } from './tls-setup.ts';

/** What the keeper needs from around it. */
export interface TlsKeeperHost {
  readonly logger: Logger;
  readonly settings: Settings;
  readonly environment: {
    /** @throws the error of the system. */
    readText(file: string): string;
  };
  nowMs(): number;
  wallMs(): number;
  /** Server connections were opened with a setup that is no longer the one to use. */
  onServerTlsChanged(): void;
}

/** A setup that has been built and is not in use. */
export interface PreparedTls {
  /** Whether server connections would have been opened with another one. */
  readonly isNewForServers: boolean;
  /** Puts it to use for new connections. */
  use(): void;
}

/** How often files are looked at, in ms. */
const WATCH_EVERY_MS = 1000;
/** How often certificates about to expire are told, in ms. */
const TELL_EXPIRY_EVERY_MS = 24 * 3600 * 1000;
/** How long before its end a certificate is told to expire, in days. */
const EXPIRY_WARNING_DAYS = 30;

const DAY_MS = 24 * 3600 * 1000;

/**
 * Keeps the TLS setup of the process up to date: at start, on reload, and when a file has changed on
 * disk. A setup that cannot be built leaves the one before in place.
 */
export class TlsKeeper {
  readonly #host: TlsKeeperHost;
  #setup: TlsSetup;
  #stamps: readonly (string | null)[];
  #watchedAtMs: number;
  #toldAtMs = -Infinity;

  /** @throws TlsSetupError when the settings or their files cannot be used. */
  constructor(host: TlsKeeperHost) {
    this.#host = host;
    const { settings } = host;
    this.#stamps = stampsOf(settings);
    this.#setup = this.#build(settings);
    this.#watchedAtMs = host.nowMs();
  }

  /** What to use for new connections. */
  get current(): TlsSetup {
    return this.#setup;
  }

  /** When the certificates that we show expire. */
  get expiries(): readonly CertificateExpiry[] {
    return this.#setup.expiries;
  }

  /**
   * Builds the setup of other settings, without using it yet.
   *
   * @throws TlsSetupError when the settings or their files cannot be used.
   */
  prepare(settings: Settings): PreparedTls {
    const stamps = stampsOf(settings);
    const next = this.#build(settings);
    return {
      isNewForServers: next.serverFingerprint !== this.#setup.serverFingerprint,
      use: () => {
        this.#stamps = stamps;
        this.#use(next);
      },
    };
  }

  /** Once per tick: looks at the files, and tells what expires. */
  onTick(): void {
    const nowMs = this.#host.nowMs();
    if (nowMs - this.#watchedAtMs < WATCH_EVERY_MS) {
      return;
    }
    this.#watchedAtMs = nowMs;
    this.#watch();
    if (nowMs - this.#toldAtMs >= TELL_EXPIRY_EVERY_MS) {
      this.tellExpiries();
    }
  }

  /** @throws TlsSetupError when the settings or their files cannot be used. */
  #build(settings: Settings): TlsSetup {
    return setUpTls(settings, (file) => this.#host.environment.readText(file));
  }

  /** Stamps are taken before the files are read, so that no change between the two is missed. */
  #watch(): void {
    const stamps = stampsOf(this.#host.settings);
    const isSame =
      stamps.length === this.#stamps.length &&
      stamps.every((stamp, index) => stamp === this.#stamps[index]);
    if (isSame) {
      return;
    }
    this.#stamps = stamps;
    const { settings, logger } = this.#host;
    try {
      const next = this.#build(settings);
      if (isEqual(next, this.#setup)) {
        return;
      }
      this.#use(next);
      logger.info('tls_reloaded', { files: next.files });
    } catch (error) {
      if (!(error instanceof TlsSetupError)) {
        throw error;
      }
      logger.error('tls_reload_failed', { problem: error.message });
    }
  }

  #use(next: TlsSetup): void {
    const before = this.#setup;
    if (isEqual(next, before)) {
      // The tickets of sessions are bound to their context.
      return;
    }
    this.#setup = {
      ...next,
      client: next.clientFingerprint === before.clientFingerprint ? before.client : next.client,
      server: next.serverFingerprint === before.serverFingerprint ? before.server : next.server,
    };
    this.tellExpiries();
    if (next.serverFingerprint !== before.serverFingerprint) {
      this.#host.onServerTlsChanged();
    }
  }

  /** Logs certificates that have expired or soon will. */
  tellExpiries(): void {
    const { logger } = this.#host;
    this.#toldAtMs = this.#host.nowMs();
    for (const { setting, file, expiresAtMs } of this.expiries) {
      const days = Math.floor((expiresAtMs - this.#host.wallMs()) / DAY_MS);
      if (days < EXPIRY_WARNING_DAYS) {
        const expiresAt = new Date(expiresAtMs).toISOString();
        logger.warn('tls_certificate_expiring', { setting, file, expiresAt, days });
      }
    }
  }
}

/** Tells whether a server connection is of a kind that TLS is for: not over a Unix socket. */
export function canHaveTls({ remote }: { readonly remote: { readonly address: string } }): boolean {
  return remote.address !== 'unix';
}

function isEqual(a: TlsSetup, b: TlsSetup): boolean {
  return a.clientFingerprint === b.clientFingerprint && a.serverFingerprint === b.serverFingerprint;
}

function stampsOf(settings: Settings): readonly (string | null)[] {
  const { clientTlsSslmode, clientTlsCaFile, clientTlsCertFile, clientTlsKeyFile } = settings;
  const { serverTlsSslmode, serverTlsCaFile, serverTlsCertFile, serverTlsKeyFile } = settings;
  const client = [clientTlsCaFile, clientTlsCertFile, clientTlsKeyFile];
  const server = [serverTlsCaFile, serverTlsCertFile, serverTlsKeyFile];
  return [
    ...(clientTlsSslmode === 'disable' ? [] : client),
    ...(serverTlsSslmode === 'disable' ? [] : server),
  ].map((file) => (file === '' ? null : readFileStamp(file)));
}
