#!/usr/bin/env node
import { readFileSync, writeSync, statSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { App, EXIT_INVARIANT, logFormatOf, type AppEnvironment } from './app/app.ts';
import { readArguments, USAGE, type RunArguments } from './app/arguments.ts';
import { checkCommand } from './app/check-command.ts';
import type { CommandResult } from './app/command-result.ts';
import { convertCommand } from './app/convert-command.ts';
import { isDaemonChild, reportStart, startDaemon } from './app/daemon.ts';
import { tuneHeap } from './app/heap-tuning.ts';
import { checkUnixSocketFree } from './app/listeners.ts';
import { systemPasswordReader } from './app/password-reader.ts';
import {
  checkPidfile,
  checkPidfileWritable,
  removePidfile,
  replacePidfile,
  restorePidfile,
  writePidfile,
} from './app/pidfile.ts';
import { nameProcess } from './app/process-name.ts';
import { batchedRandomBytes } from './app/random-batches.ts';
import { ServiceNotifier, withStatus } from './app/service-notifier.ts';
import { failLoading, failStart, logStartFailure } from './app/start-failure.ts';
import { findStartProblems } from './app/start-problems.ts';
import { OldProcess } from './app/take-over.ts';
import { findUser, type SystemUser } from './app/system-accounts.ts';
import { asError } from './app/system-error.ts';
import { TlsSetupError } from './app/tls-setup.ts';
import { switchUser } from './app/user-switch.ts';
import { systemClock } from './base/clock.ts';
import { describeFault } from './base/describe-fault.ts';
import { ConfigError } from './config/config-error.ts';
import type { Config, Settings } from './config/config.ts';
import { loadConfig } from './config/load.ts';
import { LogFileError, LogOutput } from './log/log-output.ts';
import { createLogger, type RootLogger } from './log/logger.ts';
import { openStandardError } from './log/standard-error.ts';
import { Syslog, SYSLOG_PATH } from './log/syslog.ts';
import { DatagramSocket } from './net/datagram-socket.ts';
import { systemNative } from './net/native.ts';

const STDOUT = 1;
const STDERR = 2;

const NANOSECONDS_PER_US = 1000n;

function fileStamp(file: string): string | null {
  try {
    const { dev, ino, size, mtimeNs, ctimeNs } = statSync(file, { bigint: true });
    return [dev, ino, size, mtimeNs, ctimeNs].join(' ');
  } catch {
    // Reading it will tell why.
    return null;
  }
}

function readText(file: string): string {
  return readFileSync(file, 'utf8');
}

function packageVersion(): string {
  const text = readFileSync(new URL('../package.json', import.meta.url), 'utf8');
  const { version } = JSON.parse(text) as { version: string };
  return version;
}

function nativeProblem(): string | null {
  return systemNative().problem;
}

/** Loads the configuration; `-v` on the command line adds to `verbose` of the file, `-u` wins. */
function load({ file, verbose, user }: RunArguments): Config {
  const config = loadConfig(file, readText, process.env, nativeProblem);
  const settings = {
    ...config.settings,
    verbose: Math.max(config.settings.verbose, verbose),
    user: user ?? config.settings.user,
  };
  return { ...config, settings };
}

function loadOrFail(args: RunArguments): Config {
  try {
    return load(args);
  } catch (error) {
    if (error instanceof ConfigError) {
      failLoading(args, error);
    }
    throw error;
  }
}

function listenToProcess(app: App, logger: RootLogger, notifier: ServiceNotifier): void {
  const die = (error: unknown): void => {
    const text = describeFault(error);
    logger.fatal('invariant_broken', { error: text });
    app.stop(EXIT_INVARIANT);
  };
  process.on('uncaughtException', die);
  process.on('unhandledRejection', die);
  process.on('SIGHUP', () => {
    notifier.reloading(process.hrtime.bigint() / NANOSECONDS_PER_US);
    app.onReloadSignal();
    notifier.ready();
  });
  process.on('SIGTERM', () => {
    notifier.stopping();
    app.onShutdownSignal('SIGTERM');
  });
  process.on('SIGINT', () => {
    notifier.stopping();
    app.onShutdownSignal('SIGINT');
  });
  process.on('SIGQUIT', () => {
    app.onQuitSignal();
  });
  process.on('SIGUSR1', () => {
    app.onPauseSignal();
  });
  process.on('SIGUSR2', () => {
    app.onResumeSignal();
  });
}

function openLogOutput(args: RunArguments, { logfile }: Settings): LogOutput {
  const output = new LogOutput(args.quiet ? null : openStandardError());
  try {
    output.openFile(logfile);
  } catch (error) {
    if (error instanceof LogFileError) {
      // Nobody would learn of it otherwise.
      failStart({ ...args, quiet: false }, error.message);
    }
    throw error;
  }
  return output;
}

/** Opens syslog as the settings say, which may have changed. */
function openSyslog(output: LogOutput, settings: Settings): void {
  const { calls } = systemNative();
  const { syslog, syslogFacility: facility, syslogIdent: ident } = settings;
  const isWanted = syslog && calls !== null;
  const port = isWanted ? new DatagramSocket(SYSLOG_PATH, calls) : null;
  const { pid } = process;
  output.setSyslog(
    port === null ? null : new Syslog({ port, clock: systemClock, pid, facility, ident }),
  );
}

function reopenLogFile(output: LogOutput, file: string, logger: RootLogger): void {
  try {
    output.openFile(file);
  } catch (error) {
    if (!(error instanceof LogFileError)) {
      throw error;
    }
    logger.error('log_file_failed', { action: 'open', file, error: error.reason });
  }
}

/** Finds a system user: in the file, and then wherever else this system keeps users. */
function findAccount(name: string): SystemUser | null {
  return findUser(readText('/etc/passwd'), name) ?? systemNative().calls?.findUser(name) ?? null;
}

/** Becomes the system user of the settings; before anything is opened, so that it owns all. */
function switchUserOrFail(args: RunArguments, { user }: Settings): void {
  try {
    switchUser(user ?? '', process, findAccount);
  } catch (error) {
    failStart(args, asError(error).message);
  }
}

/** Goes on in the background. The new process does all of the start, so that it can tell of it. */
async function runInBackground(args: RunArguments, { pidfile }: Settings): Promise<void> {
  if (pidfile === '') {
    failStart(args, 'daemon needs pidfile configured');
  }
  const script = fileURLToPath(import.meta.url);
  const report = await startDaemon({ script, args: process.argv.slice(2) });
  if (!report.isUp) {
    failStart(args, report.problem);
  }
  process.exit(0);
}

/** Takes what another process might hold, and begins to work. */
async function start(
  app: App,
  { settings }: Config,
  { reboot }: RunArguments,
  logger: RootLogger,
): Promise<void> {
  const { pidfile } = settings;
  if (process.getuid?.() === 0) {
    const problem = 'running as root: set user, or start with -u';
    logger.warn('config_warning', { problem });
  }
  const old = reboot ? await OldProcess.find(settings, process.versions.node, logger) : null;
  if (old !== null) {
    await replace(app, old, pidfile);
    return;
  }
  await checkUnixSocketFree(settings);
  if (pidfile !== '' && checkPidfile(pidfile)) {
    logger.info('config_warning', { problem: 'stale pidfile, removing', pidfile });
  }
  await app.start({ replaces: false }, () => {
    if (pidfile !== '') {
      writePidfile(pidfile, process.pid);
    }
  });
}

/** Begins to work in place of a process that runs, which then is told to end. */
async function replace(app: App, old: OldProcess, pidfile: string): Promise<void> {
  if (pidfile !== '') {
    checkPidfileWritable(pidfile);
  }
  await app.start({ replaces: true }, () => {
    if (pidfile !== '') {
      replacePidfile(pidfile, process.pid);
    }
  });
  if (old.removesFiles) {
    app.keepFiles(() => {
      if (pidfile !== '') {
        restorePidfile(pidfile, process.pid);
      }
    });
  }
  await old.shutDown();
}

/** Builds everything that can be built before a socket is opened. */
function makeAppOrFail(args: RunArguments, config: Config, environment: AppEnvironment): App {
  try {
    return new App(config, environment);
  } catch (error) {
    if (!(error instanceof TlsSetupError)) {
      throw error;
    }
    logStartFailure(args, environment.logger, `TLS setup failed: ${error.message}`);
    process.exit(1);
  }
}

async function run(args: RunArguments): Promise<void> {
  nameProcess();
  tuneHeap();
  const config = loadOrFail(args);
  const { settings } = config;
  if (args.daemon && !isDaemonChild()) {
    await runInBackground(args, settings);
    return;
  }
  // The other user may not be able to read our own files.
  const version = packageVersion();
  switchUserOrFail(args, settings);
  const output = openLogOutput(args, settings);
  openSyslog(output, settings);
  const logger = createLogger({
    destination: output,
    clock: systemClock,
    format: logFormatOf(config),
    verbose: settings.verbose,
    pid: process.pid,
  });
  output.reportTo(logger);
  const notifier = new ServiceNotifier({
    socket: process.env['NOTIFY_SOCKET'],
    logger,
    nativeCalls: () => systemNative().calls,
  });
  const app = makeAppOrFail(args, config, {
    clock: systemClock,
    logger: withStatus(logger, notifier),
    packageVersion: version,
    nodeVersion: process.version,
    openLogFile: (file) => {
      reopenLogFile(output, file, logger);
    },
    openSyslog: (changed) => {
      openSyslog(output, changed);
    },
    native: systemNative(),
    random: () => Math.random(),
    randomBytes: batchedRandomBytes(),
    readText,
    fileStamp,
    passwordReader: systemPasswordReader(),
    loadConfig: (file) => load({ ...args, file }),
    every: (ms, action) => {
      const timer = setInterval(action, ms);
      return () => {
        clearInterval(timer);
      };
    },
    exit: (code) => {
      removePidfile(settings.pidfile, process.pid);
      process.exit(code);
    },
  });
  listenToProcess(app, logger, notifier);
  try {
    await start(app, config, args, logger);
  } catch (error) {
    logStartFailure(args, logger, asError(error).message);
    app.stop(1);
    return;
  }
  reportStart({ isUp: true });
  notifier.ready();
}

function finish({ stdout, stderr, exitCode }: CommandResult): void {
  process.stdout.write(stdout);
  process.stderr.write(stderr);
  process.exitCode = exitCode;
}

const args = readArguments(process.argv.slice(2));
switch (args.kind) {
  case 'help':
    writeSync(STDOUT, USAGE);
    break;
  case 'version':
    writeSync(STDOUT, `maitred ${packageVersion()}\nNode.js ${process.version}\n`);
    break;
  case 'wrong':
    writeSync(STDERR, `maitred: ${args.problem}\nTry "maitred --help" for more information.\n`);
    process.exitCode = 1;
    break;
  case 'check':
    finish(
      await checkCommand(args.file, { readText, env: process.env, nativeProblem }, (settings) =>
        findStartProblems(settings, {
          env: process.env,
          nodeVersion: process.versions.node,
          uid: process.getuid?.() ?? null,
          findAccount,
        }),
      ),
    );
    break;
  case 'convert':
    finish(convertCommand(args.file, readText));
    break;
  case 'run':
    await run(args);
}
