#!/usr/bin/env node
import { randomBytes } from 'node:crypto';
import { readFileSync, writeSync } from 'node:fs';
import { App, EXIT_INVARIANT } from './app/app.ts';
import { readArguments, USAGE } from './app/arguments.ts';
import { checkCommand } from './app/check-command.ts';
import type { CommandResult } from './app/command-result.ts';
import { convertCommand } from './app/convert-command.ts';
import { removePidfile, writePidfile } from './app/pidfile.ts';
import { systemClock } from './base/clock.ts';
import { ConfigError } from './config/config-error.ts';
import type { Config } from './config/config.ts';
import { loadConfig } from './config/load.ts';
import { createLogger, type RootLogger } from './log/logger.ts';

const STDOUT = 1;
const STDERR = 2;

function readText(file: string): string {
  return readFileSync(file, 'utf8');
}

/** Bytes asked of the system at a time: each call costs as much as a thousand bytes. */
const RANDOM_BATCH_BYTES = 4096;

/** Hands out random bytes from batches; each byte is handed out once. */
function batchedRandomBytes(): (bytes: number) => Buffer {
  let batch = randomBytes(RANDOM_BATCH_BYTES);
  let used = 0;
  return (bytes) => {
    if (bytes > RANDOM_BATCH_BYTES) {
      return randomBytes(bytes);
    }
    if (used + bytes > batch.length) {
      batch = randomBytes(RANDOM_BATCH_BYTES);
      used = 0;
    }
    const taken = Buffer.from(batch.subarray(used, used + bytes));
    // What was handed out must not be found in memory a second time.
    batch.fill(0, used, used + bytes);
    used += bytes;
    return taken;
  };
}

function packageVersion(): string {
  const text = readFileSync(new URL('../package.json', import.meta.url), 'utf8');
  const { version } = JSON.parse(text) as { version: string };
  return version;
}

function fail(problem: string): never {
  writeSync(STDERR, `maitred: ${problem}\n`);
  process.exit(1);
}

/** Loads the configuration; `-v` on the command line adds to `verbose` of the file. */
function load(file: string, verbose: number): Config {
  const config = loadConfig(file, readText, process.env);
  const settings = { ...config.settings, verbose: Math.max(config.settings.verbose, verbose) };
  return { ...config, settings };
}

function loadOrFail(file: string, verbose: number): Config {
  try {
    return load(file, verbose);
  } catch (error) {
    if (error instanceof ConfigError) {
      fail(`cannot load config file\n${error.message}`);
    }
    throw error;
  }
}

function listenToProcess(app: App, logger: RootLogger): void {
  const die = (error: unknown): void => {
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    logger.fatal('invariant_broken', { error: text });
    app.stop(EXIT_INVARIANT);
  };
  process.on('uncaughtException', die);
  process.on('unhandledRejection', die);
  process.on('SIGHUP', () => {
    app.onReloadSignal();
  });
  process.on('SIGTERM', () => {
    app.onShutdownSignal('SIGTERM');
  });
  process.on('SIGINT', () => {
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

async function run(file: string, verbose: number, quiet: boolean): Promise<void> {
  const config = loadOrFail(file, verbose);
  const logger = createLogger({
    destination: {
      write: (line) => {
        if (!quiet) {
          writeSync(STDERR, line);
        }
      },
    },
    clock: systemClock,
    verbose: config.settings.verbose,
    pid: process.pid,
  });
  const { pidfile } = config.settings;
  const app = new App(config, {
    clock: systemClock,
    logger,
    packageVersion: packageVersion(),
    random: () => Math.random(),
    randomBytes: batchedRandomBytes(),
    readText,
    loadConfig: () => load(file, verbose),
    every: (ms, action) => {
      const timer = setInterval(action, ms);
      return () => {
        clearInterval(timer);
      };
    },
    exit: (code) => {
      if (pidfile !== '') {
        removePidfile(pidfile);
      }
      process.exit(code);
    },
  });
  listenToProcess(app, logger);
  try {
    await app.start();
    if (pidfile !== '') {
      writePidfile(pidfile, process.pid);
    }
  } catch (error) {
    fail(error instanceof Error ? error.message : String(error));
  }
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
    finish(checkCommand(args.file, { readText, env: process.env }));
    break;
  case 'convert':
    finish(convertCommand(args.file, readText));
    break;
  case 'run':
    await run(args.file, args.verbose, args.quiet);
}
