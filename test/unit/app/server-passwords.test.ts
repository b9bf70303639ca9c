import { describe, expect, it } from 'vitest';
import type { ServerCredential } from '../../../src/auth/credentials.ts';
import type { PasswordOutcome } from '../../../src/app/password-reader.ts';
import {
  passwordSourceOf,
  REFRESH_RETRY_MS,
  RETRY_INTERVAL_MS,
  ServerPasswords,
  type CredentialOutcome,
  type PasswordSource,
} from '../../../src/app/server-passwords.ts';
import { databaseConfig } from '../../../src/config/config.ts';
import type { DatabaseConfig } from '../../../src/config/config.ts';
import { nullLogger } from '../../../src/log/logger.ts';
import { VirtualClock } from '../../support/virtual-clock.ts';

function sourceOf(name: string, keys: Partial<DatabaseConfig> = {}): PasswordSource {
  const config = { ...databaseConfig(name), user: 'u', passwordCommand: 'print "a b"', ...keys };
  const source = passwordSourceOf(config);
  if (source === null) {
    throw new Error('no source');
  }
  return source;
}

/** Passwords whose programs the test ends itself. */
class Scene {
  readonly clock = new VirtualClock();
  readonly runs: { readonly words: readonly string[]; end(outcome: PasswordOutcome): void }[] = [];
  readonly variables: unknown[] = [];
  readonly events: string[] = [];
  runCount = 0;
  intervalMs = 0;
  isInUse = true;
  readonly source = sourceOf('app');
  readonly passwords: ServerPasswords;

  constructor() {
    const run = (words: readonly string[]): Promise<PasswordOutcome> =>
      new Promise((resolve) => {
        this.runCount += 1;
        this.runs.push({ words, end: resolve });
      });
    this.passwords = new ServerPasswords({
      reader: {
        runCommand: (words, variables) => {
          this.variables.push(variables);
          return run(words);
        },
        readFile: (file) => run([file]),
      },
      logger: {
        ...nullLogger,
        error: (event, fields) => this.events.push(`${event} ${JSON.stringify(fields)}`),
        info: (event) => this.events.push(event),
      },
      settings: () => ({ passwordRefreshIntervalMs: this.intervalMs }),
      nowMs: () => this.clock.nowMs(),
      isInUse: () => this.isInUse,
    });
  }

  get(source = this.source): CredentialOutcome[] {
    const outcomes: CredentialOutcome[] = [];
    this.passwords.get(source, (outcome) => outcomes.push(outcome));
    return outcomes;
  }

  async end(outcome: PasswordOutcome | string): Promise<void> {
    this.runs.shift()?.end(typeof outcome === 'string' ? { password: outcome } : outcome);
    await new Promise((resolve) => setImmediate(resolve));
  }

  /** Has a password fetched. */
  async learn(password: string): Promise<ServerCredential> {
    const outcomes = this.get();
    await this.end(password);
    const [outcome] = outcomes;
    if (outcome === undefined || 'problem' in outcome) {
      throw new Error('no password');
    }
    return outcome;
  }
}

function plain(password: string): ServerCredential {
  return { secret: { kind: 'plain', password }, keys: null };
}

describe('ServerPasswords', () => {
  it('fetches a password once for all who ask, and keeps it', async () => {
    const scene = new Scene();
    const all = [scene.get(), scene.get()];
    expect(all).toEqual([[], []]);
    expect(scene.passwords.known(scene.source).secret.kind).toBe('none');
    await scene.end('token');
    expect(all).toEqual([[plain('token')], [plain('token')]]);
    expect(scene.get()).toEqual([plain('token')]);
    expect(scene.runCount).toBe(1);
    expect(scene.variables).toEqual([{ PGUSER: 'u', PGPORT: '5432', PGDATABASE: 'app' }]);
    expect(scene.events).toEqual(['server_password_fetched']);
  });

  it('takes what looks like a hash for a password', async () => {
    const scene = new Scene();
    const hash = `md5${'0'.repeat(32)}`;
    expect(await scene.learn(hash)).toEqual(plain(hash));
  });

  it('tells of a failure, and tries again after a moment', async () => {
    const scene = new Scene();
    const first = scene.get();
    await scene.end({ problem: 'ended with exit code 1' });
    expect(first).toEqual([{ problem: 'password_command failed' }]);
    expect(scene.events[0]).toContain('ended with exit code 1');
    expect(scene.get()).toEqual([{ problem: 'password_command failed' }]);
    expect(scene.runCount).toBe(1);
    scene.clock.advance(RETRY_INTERVAL_MS);
    const second = scene.get();
    await scene.end('token');
    expect(second).toEqual([plain('token')]);
  });

  it('fetches anew what the server has refused, at once if it was right before', async () => {
    const scene = new Scene();
    const { secret } = await scene.learn('old');
    scene.passwords.onAccepted(scene.source, secret);
    expect(scene.passwords.onRefused(scene.source, secret)).toBe(true);
    const outcomes = scene.get();
    await scene.end('new');
    expect(outcomes).toEqual([plain('new')]);
    // A connection that still tried the old one may try again with what is known by now.
    expect(scene.passwords.onRefused(scene.source, secret)).toBe(true);
    expect(scene.get()).toEqual([plain('new')]);
  });

  it('does not run in circles when the server refuses what was just fetched', async () => {
    const scene = new Scene();
    const { secret } = await scene.learn('wrong');
    expect(scene.passwords.onRefused(scene.source, secret)).toBe(false);
    const outcomes = scene.get();
    await scene.end('wrong');
    expect(outcomes).toEqual([plain('wrong')]);
    expect(scene.passwords.onRefused(scene.source, secret)).toBe(false);
    scene.get();
    await scene.end('wrong');
    scene.clock.advance(RETRY_INTERVAL_MS);
    expect(scene.passwords.onRefused(scene.source, secret)).toBe(true);
  });

  it('renews a password on schedule while the database is in use, and serves the old one', async () => {
    const scene = new Scene();
    scene.intervalMs = 60_000;
    await scene.learn('old');
    scene.clock.advance(59_999);
    scene.passwords.onTick();
    expect(scene.runs).toHaveLength(0);
    scene.clock.advance(1);
    scene.passwords.onTick();
    scene.passwords.onTick();
    expect(scene.runs).toHaveLength(1);
    expect(scene.get()).toEqual([plain('old')]);
    await scene.end('new');
    expect(scene.get()).toEqual([plain('new')]);
  });

  it('keeps the old password when a scheduled run fails, and tries again later', async () => {
    const scene = new Scene();
    scene.intervalMs = 60_000;
    await scene.learn('old');
    scene.clock.advance(60_000);
    scene.passwords.onTick();
    await scene.end({ problem: 'ended with exit code 1' });
    expect(scene.get()).toEqual([plain('old')]);
    scene.clock.advance(REFRESH_RETRY_MS - 1);
    scene.passwords.onTick();
    expect(scene.runs).toHaveLength(0);
    scene.clock.advance(1);
    scene.passwords.onTick();
    expect(scene.runs).toHaveLength(1);
  });

  it('runs nothing for a database that nobody uses: the next one to come waits for it', async () => {
    const scene = new Scene();
    scene.intervalMs = 60_000;
    await scene.learn('old');
    scene.isInUse = false;
    scene.clock.advance(60_000);
    scene.passwords.onTick();
    expect(scene.runs).toHaveLength(0);
    const outcomes = scene.get();
    await scene.end('new');
    expect(outcomes).toEqual([plain('new')]);
  });

  it('goes by the interval of the database before the global one, and 0 is never', async () => {
    for (const [own, global, expected] of [
      [1000, 60_000, 1],
      [0, 1000, 0],
      [null, 0, 0],
      [null, 1000, 1],
    ] as const) {
      const scene = new Scene();
      scene.intervalMs = global;
      const source = sourceOf('app', { passwordRefreshIntervalMs: own });
      scene.get(source);
      await scene.end('old');
      scene.clock.advance(1000);
      scene.passwords.onTick();
      expect(scene.runs, String(own)).toHaveLength(expected);
    }
  });

  it('runs few programs at a time', async () => {
    const scene = new Scene();
    const all = Array.from({ length: 6 }, (_, i) => scene.get(sourceOf(`db${String(i)}`)));
    expect(scene.runCount).toBe(4);
    await scene.end('token');
    expect(scene.runCount).toBe(5);
    await scene.end({ problem: 'x' });
    expect(scene.runCount).toBe(6);
    expect(all[0]).toEqual([plain('token')]);
  });

  it('forgets what a reload has changed, and keeps the rest', async () => {
    const scene = new Scene();
    await scene.learn('token');
    const same = { config: { ...scene.source.config, poolSize: 7 } };
    scene.passwords.retain(new Map([['app', same]]));
    expect(scene.passwords.known(sourceOf('app'))).toEqual(plain('token'));
    for (const keys of [{ user: 'v' }, { host: 'h' }, { passwordCommand: 'other' }]) {
      expect(scene.passwords.known(sourceOf('app', keys)).secret.kind).toBe('none');
      await scene.learn('token');
    }
    scene.passwords.retain(new Map());
    expect(scene.passwords.known(scene.source).secret.kind).toBe('none');
  });

  it('reads a file in the same way', async () => {
    const scene = new Scene();
    const source = sourceOf('app', { passwordCommand: null, passwordFile: '/run/token' });
    const outcomes = scene.get(source);
    expect(scene.runs[0]?.words).toEqual(['/run/token']);
    await scene.end({ problem: 'is empty' });
    expect(outcomes).toEqual([{ problem: 'password_file failed' }]);
  });
});
