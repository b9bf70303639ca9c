import { FakeServer } from './fake-server.ts';
import { PoolerFixture } from './pooler-fixture.ts';
import type { PoolerOptions } from './pooler-fixture.ts';
import { RawClient } from './raw-client.ts';
import type { LoginOptions } from './raw-client.ts';
import { waitFor } from './wait-for.ts';

/** What the lines look like. */
export type LogFormat = 'json' | 'pgbouncer';

/** The line that tells the port, in either format. */
export const LISTENING = /listening on 127\.0\.0\.1:(\d+)|"address":"127\.0\.0\.1","port":(\d+)/;

/** A pooler whose log is read as text, in either format. */
export class LogScene {
  readonly pooler: PoolerFixture;
  port = 0;

  constructor(pooler: PoolerFixture) {
    this.pooler = pooler;
  }

  /** The log so far: as it was for the text format, the same as JSON again for the other one. */
  get lines(): string[] {
    return this.pooler.logs.map((line) => line.raw ?? JSON.stringify(line));
  }

  async waitUntilUp(): Promise<void> {
    await this.waitFor(/process[_ ]up/);
    const found = LISTENING.exec(this.matching(LISTENING)[0] ?? '');
    this.port = Number(found?.[1] ?? found?.[2]);
  }

  waitFor(pattern: RegExp): Promise<string> {
    return waitFor(`log line ${String(pattern)}`, () => this.matching(pattern)[0]);
  }

  matching(pattern: RegExp): string[] {
    return this.lines.filter((line) => pattern.test(line));
  }

  connect(): Promise<RawClient> {
    return RawClient.connect({ host: '127.0.0.1', port: this.port });
  }

  login(options: Partial<LoginOptions> = {}): Promise<RawClient> {
    const target = { host: '127.0.0.1', port: this.port };
    return RawClient.login(target, { user: 'bob', database: 'app', ...options });
  }

  /** Logs in, asks a query and leaves; refusals are what the caller wants. */
  async visit(options: Partial<LoginOptions> = {}): Promise<void> {
    const client = await this.login(options).catch(() => null);
    await client?.query('SELECT 1').catch(() => null);
    await client?.close();
  }

  async console(sql: string): Promise<Readonly<Record<string, string | null>>[]> {
    const client = await this.login({ user: 'postgres', database: 'pgbouncer' });
    try {
      return await client.query(sql);
    } finally {
      await client.close();
    }
  }
}

/** What a log scene changes in the fixture. */
export interface LogSceneOptions extends Partial<PoolerOptions> {
  readonly settings?: Readonly<Record<string, unknown>>;
  readonly databases?: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
}

/** Runs a pooler in front of a scripted server; the process must end in good order. */
export async function withLog(
  format: LogFormat,
  options: LogSceneOptions,
  body: (scene: LogScene, server: FakeServer) => Promise<void>,
): Promise<void> {
  const { settings, databases, ...rest } = options;
  const server = await FakeServer.start();
  const scene = new LogScene(
    PoolerFixture.spawn({
      config: {
        maitred: { log_format: format, ...settings },
        databases: { app: { host: server.host, port: server.port }, ...databases },
      },
      users: { postgres: '', bob: '' },
      ...rest,
    }),
  );
  try {
    await scene.waitUntilUp();
    await body(scene, server);
    await scene.pooler.stop();
  } finally {
    await scene.pooler.kill();
    await server.stop();
  }
}
