import type { ShutdownMode } from '../admin/control.ts';
import type { ReloadChangeSnapshot } from '../admin/snapshots.ts';
import { describeFault } from '../base/describe-fault.ts';
import { ConfigError } from '../config/config-error.ts';
import type { Config, Settings } from '../config/config.ts';
import { configAfterReload, diffConfigs } from '../config/diff.ts';
import { isYamlFile } from '../config/load.ts';
import type { LogFormat, RootLogger } from '../log/logger.ts';
import { MetricsService } from '../metrics/metrics-service.ts';
import { TICK_MS } from '../pool/janitor.ts';
import { expectedFileCount, readFileLimit } from './file-limit.ts';
import { Listeners, type OpenOptions } from './listeners.ts';
import { PoolerControl } from './pooler-control.ts';
import type { PoolerEnvironment } from './pooler-environment.ts';
import { Pooler } from './pooler.ts';
import { Statistics } from './statistics.ts';
import { planReload } from './reload-plan.ts';
import { runTick } from './tick.ts';
import type { PreparedTls } from './tls-keeper.ts';
import { TlsSetupError } from './tls-setup.ts';

/** What the app needs from the process. */
export interface AppEnvironment extends PoolerEnvironment {
  readonly logger: RootLogger;
  /** Version of this package. */
  readonly packageVersion: string;
  /** Version of Node.js. */
  readonly nodeVersion: string;
  /** Opens the log file by its name, anew if it is open; problems are logged. */
  openLogFile(file: string): void;
  /** Opens syslog, or closes it, as the settings say. */
  openSyslog(settings: Settings): void;
  /** Reads the configuration from `file`. @throws ConfigError when it cannot be used. */
  loadConfig(file: string): Config;
  /** Calls `action` every `ms` until the returned function is called. */
  every(ms: number, action: () => void): () => void;
  /** Ends the process; `code` as in docs/COMPATIBILITY.md. */
  exit(code: number): void;
}

/** How {@link App.stop} goes about it. */
export interface StopOptions {
  /** The way of shutting down that has come to its end. */
  readonly drained?: ShutdownMode | null;
  /** Whether the files of Unix sockets stay behind. */
  readonly keepsSockets?: boolean;
}

/** PgBouncer's version whose console and settings are spoken; tools read it from SHOW VERSION. */
const SPOKEN_VERSION = '1.25.2';

/** Exit code after a broken pool-level invariant, for the supervisor to restart. */
export const EXIT_INVARIANT = 70;

/** How often files are looked for that another process may remove, in ms. */
const FILES_PERIOD_MS = 50;

/** Tells what the lines of the log look like: the setting decides, else the kind of file. */
export function logFormatOf({ file, settings }: Config): LogFormat {
  return settings.logFormat ?? (isYamlFile(file) ? 'json' : 'pgbouncer');
}

/** One running maitred. */
export class App {
  readonly #environment: AppEnvironment;
  readonly #pooler: Pooler;
  readonly #listeners: Listeners;
  readonly #statistics: Statistics;
  readonly #metrics: MetricsService;
  readonly #timers: (() => void)[] = [];
  #isStopped = false;
  /** Period of the timer that runs, in ms; 0 before the first. */
  #statsPeriodMs = 0;
  #stopStats: () => void = () => undefined;

  constructor(config: Config, environment: AppEnvironment) {
    this.#environment = environment;
    this.#pooler = new Pooler(config, environment);
    this.#statistics = new Statistics(this.#pooler);
    this.#listeners = new Listeners(environment.logger, this.#pooler.tuner, (socket, unixPath) => {
      this.#pooler.accept(socket, unixPath);
    });
    const control = new PoolerControl(this.#pooler, this.#statistics, {
      version: `PgBouncer ${SPOKEN_VERSION} (maitred ${environment.packageVersion})`,
      reload: () => this.reload(),
      planReload: () => this.#planReload(),
      shutdown: (mode) => {
        this.shutdown(mode);
      },
      listening: () => this.#listeners.descriptors,
      onSettingsChanged: () => {
        this.#onSettingsChanged();
      },
    });
    this.#pooler.admissions.setControl(control);
    this.#metrics = new MetricsService({
      source: control,
      isReady: () => this.#pooler.modes.shutdown === null,
      logger: environment.logger,
    });
    this.#pooler.modes.onDrained = () => {
      // The last connection is about to log its end.
      setImmediate(() => {
        this.stop(0, { drained: this.#pooler.modes.shutdown });
      });
    };
  }

  /**
   * Opens the listening sockets and begins to work.
   *
   * @param onListening - Called once the sockets are open; what it throws ends the start.
   * @throws when there is nothing to listen on.
   */
  async start(options: OpenOptions, onListening: () => void): Promise<void> {
    const { logger } = this.#environment;
    for (const warning of this.#pooler.config.warnings) {
      logger.warn('config_warning', { problem: warning });
    }
    this.#logFileLimit();
    this.#pooler.tls.tellExpiries();
    const { settings } = this.#pooler;
    await this.#listeners.open(settings, options);
    onListening();
    const { metricsListenAddr: host, metricsListenPort: port } = settings;
    await this.#metrics.open({ host, port }, options.replaces);
    this.#timers.push(
      this.#environment.every(TICK_MS, () => {
        this.#guard(() => {
          runTick(this.#pooler);
        });
      }),
      () => {
        this.#stopStats();
      },
    );
    this.#startStats();
    const { packageVersion: version, nodeVersion: node } = this.#environment;
    logger.info('process_up', { version, speaks: SPOKEN_VERSION, node });
  }

  /**
   * From now on puts files back that the process before this one removes at its end by their names,
   * although they are no longer its own.
   *
   * @param restorePidfile - does that for the pidfile.
   */
  keepFiles(restorePidfile: () => void): void {
    const restore = (): void => {
      this.#listeners.restoreFiles();
      restorePidfile();
    };
    restore();
    this.#timers.push(this.#environment.every(FILES_PERIOD_MS, restore));
  }

  #logFileLimit(): void {
    const limit = readFileLimit();
    if (limit !== null) {
      const { config, credentials, settings } = this.#pooler;
      this.#environment.logger.info('file_limit_known', {
        ...limit,
        maxClientConn: settings.maxClientConn,
        expected: expectedFileCount(config, credentials.userNames.length),
      });
    }
  }

  /** A broken invariant outside of one connection: nothing can be trusted any more. */
  #guard(action: () => void): void {
    try {
      action();
    } catch (error) {
      const text = describeFault(error);
      this.#environment.logger.fatal('invariant_broken', { error: text });
      this.stop(EXIT_INVARIANT);
    }
  }

  #logStats(): void {
    const averages = this.#statistics.sample();
    if (this.#pooler.settings.logStats) {
      this.#environment.logger.info('stats', averages);
    }
  }

  /** The lines of statistics, in the period that is set now. */
  #startStats(): void {
    const { statsPeriodMs } = this.#pooler.settings;
    if (statsPeriodMs !== this.#statsPeriodMs) {
      this.#stopStats();
      this.#statsPeriodMs = statsPeriodMs;
      this.#stopStats = this.#environment.every(statsPeriodMs, () => {
        this.#logStats();
      });
    }
  }

  #onSettingsChanged(): void {
    const { logger } = this.#environment;
    this.#startStats();
    const { config, settings } = this.#pooler;
    logger.setVerbose(settings.verbose);
    logger.setFormat(logFormatOf(config));
    // Also when its name is the same: it may have been renamed.
    this.#environment.openLogFile(settings.logfile);
    this.#environment.openSyslog(settings);
    this.#listeners.retune(settings);
  }

  /** Reads the configuration anew; problems are logged. @returns it, or the first problem. */
  #readConfig(): Config | string {
    const { logger } = this.#environment;
    try {
      const { settings, file } = this.#pooler.config;
      return this.#environment.loadConfig(settings.conffile ?? file);
    } catch (error) {
      if (!(error instanceof ConfigError)) {
        throw error;
      }
      for (const problem of error.problems) {
        logger.error('config_reload_failed', { problem: problem.message, file: problem.file });
      }
      logger.warn('config_reload_failed', { problems: error.problems.length });
      return error.message.split('\n')[0] ?? '';
    }
  }

  /**
   * Reads the configuration again. With an error, everything stays as it was.
   *
   * @returns what is wrong, for the console, or null.
   */
  reload(): string | null {
    const { logger } = this.#environment;
    const next = this.#readConfig();
    if (typeof next === 'string') {
      this.#environment.openLogFile(this.#pooler.settings.logfile);
      return next;
    }
    const { changedSettings, needsRestart } = diffConfigs(this.#pooler.config, next);
    const reloaded = configAfterReload(this.#pooler.config, next);
    const tls = this.#prepareTls(reloaded);
    if ('problem' in tls) {
      return tls.problem;
    }
    this.#pooler.applyConfig(reloaded);
    tls.use();
    this.#onSettingsChanged();
    for (const warning of next.warnings) {
      logger.warn('config_warning', { problem: warning });
    }
    if (needsRestart.length > 0) {
      logger.warn('config_warning', { problem: 'these settings need a restart', needsRestart });
    }
    logger.info('config_reloaded', { changedSettings });
    return null;
  }

  /** Tells what {@link reload} would do, or what it would fail with. */
  #planReload(): readonly ReloadChangeSnapshot[] | string {
    const next = this.#readConfig();
    if (typeof next === 'string') {
      return next;
    }
    const tls = this.#prepareTls(configAfterReload(this.#pooler.config, next));
    return 'problem' in tls ? tls.problem : planReload(this.#pooler, next, tls);
  }

  /** Builds what TLS needs, before anything else is changed. */
  #prepareTls({ settings }: Config): PreparedTls | { readonly problem: string } {
    try {
      return this.#pooler.tls.prepare(settings);
    } catch (error) {
      if (!(error instanceof TlsSetupError)) {
        throw error;
      }
      this.#environment.logger.error('tls_reload_failed', { problem: error.message });
      this.#environment.logger.warn('config_reload_failed', { problems: 1 });
      return { problem: error.message };
    }
  }

  /** SIGHUP. */
  onReloadSignal(): void {
    this.#environment.logger.info('signal_received', { signal: 'SIGHUP' });
    this.#guard(() => {
      this.reload();
    });
  }

  /** SIGTERM and SIGINT: a second one while shutting down ends the process at once. */
  onShutdownSignal(signal: 'SIGTERM' | 'SIGINT'): void {
    const { logger } = this.#environment;
    if (this.#pooler.modes.suspension.isOn) {
      const text = 'suspend was in progress, going down immediately';
      logger.fatal('signal_received', { signal }, text);
      this.stop(1, { keepsSockets: true });
      return;
    }
    if (this.#pooler.modes.shutdown !== null) {
      logger.info('signal_received', { signal }, `got ${signal} while shutting down, fast exit`);
      this.stop(0);
      return;
    }
    logger.info('signal_received', { signal });
    this.shutdown(signal === 'SIGTERM' ? 'wait_for_clients' : 'wait_for_servers');
  }

  /** SIGQUIT: ends the process at once. */
  onQuitSignal(): void {
    this.#environment.logger.info('signal_received', { signal: 'SIGQUIT' });
    this.stop(0);
  }

  /** SIGUSR1: PAUSE. */
  onPauseSignal(): void {
    const { modes } = this.#pooler;
    const ignored = modes.isHeld ? 'got SIGUSR1, but already paused/suspended' : undefined;
    this.#environment.logger.info('signal_received', { signal: 'SIGUSR1' }, ignored);
    if (!modes.isHeld) {
      this.#guard(() => {
        modes.pause(null);
      });
    }
  }

  /** SIGUSR2: RESUME. */
  onResumeSignal(): void {
    const { modes } = this.#pooler;
    const from = modes.suspension.isOn ? 'SUSPEND' : 'PAUSE';
    let text = `got SIGUSR2, continuing from ${from}`;
    if (modes.shutdown !== null) {
      text = 'got SIGUSR2 while shutting down, ignoring';
    } else if (!modes.isHeld) {
      text = 'got SIGUSR2, but not paused/suspended';
    }
    this.#environment.logger.info('signal_received', { signal: 'SIGUSR2' }, text);
    if (modes.isHeld && modes.shutdown === null) {
      this.#guard(() => {
        modes.resume(null);
      });
    }
  }

  /** Begins a shutdown. */
  shutdown(mode: ShutdownMode): void {
    this.#environment.logger.info('shutdown_started', { mode });
    if (mode === 'immediate') {
      this.stop(0);
      return;
    }
    // The unix socket stays, so that the console can still be reached.
    const { modes, settings } = this.#pooler;
    const takesDeferred =
      mode === 'wait_for_clients' && settings.soReuseport && settings.tcpDeferAccept;
    modes.isAccepting = true;
    this.#listeners.closeTcpWhenQuiet(takesDeferred, () => {
      modes.isAccepting = false;
      modes.checkWaiting();
    });
    this.#guard(() => {
      modes.beginShutdown(mode, this.#listeners.isUnixReplaced);
    });
  }

  /** Ends the process; clients see their sockets close. */
  stop(code: number, { drained = null, keepsSockets = false }: StopOptions = {}): void {
    if (this.#isStopped) {
      return;
    }
    this.#isStopped = true;
    for (const cancel of this.#timers) {
      cancel();
    }
    if (!keepsSockets) {
      this.#listeners.closeAll();
    }
    this.#metrics.close();
    const how = drained === null ? {} : { drained };
    this.#environment.logger.info('process_stopped', { code, ...how });
    this.#environment.exit(code);
  }
}
