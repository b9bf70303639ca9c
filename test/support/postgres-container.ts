import type { PostgresOptions, PostgresServer } from './postgres-fixture.ts';

const HBA_FILE = '/tmp/test_pg_hba.conf';
const TRUST_EVERYBODY = ['local all all trust', 'host all all all trust'];
const STOP_SECONDS = 10;

/**
 * Starts PostgreSQL in a container, for the matrix of server versions. Needs a container engine.
 *
 * @returns A server whose port stays the same over `halt` and `launch`.
 */
export async function startContainer(options: PostgresOptions): Promise<PostgresServer> {
  const image = process.env['TEST_PG_IMAGE'] ?? 'postgres:18';
  const { GenericContainer, Wait } = await import('testcontainers');
  const { freePort } = await import('./embedded-postgres.mjs');
  const port = options.port ?? (await freePort());
  const settings = { fsync: 'off', max_connections: '200', ...options.settings };
  const pairs = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  const container = await new GenericContainer(image)
    .withEnvironment({ POSTGRES_HOST_AUTH_METHOD: 'trust' })
    .withExposedPorts({ container: 5432, host: port })
    .withCopyContentToContainer([{ content: hbaText(options.hba), target: HBA_FILE, mode: 0o644 }])
    .withCommand(['postgres', '-c', `hba_file=${HBA_FILE}`, ...pairs])
    // Once by the server that creates the cluster, once by the real one.
    .withWaitStrategy(Wait.forLogMessage(/ready to accept connections/, 2))
    .start();
  const run = async (command: string[], user = 'postgres'): Promise<void> => {
    const { exitCode, output } = await container.exec(command, { user });
    if (exitCode !== 0) {
      throw new Error(`${command.join(' ')} in the container failed: ${output}`);
    }
  };
  return {
    address: {
      host: container.getHost(),
      port,
      socketDir: null,
      user: 'postgres',
      password: null,
      database: 'postgres',
    },
    halt: async () => {
      await container.stop({ remove: false, timeout: STOP_SECONDS });
    },
    launch: async () => {
      await container.restart();
    },
    reload: async (hba) => {
      if (hba !== undefined) {
        await run(['sh', '-c', `printf %s "$0" > ${HBA_FILE}`, hbaText(hba)], 'root');
      }
      await run(['sh', '-c', 'pg_ctl reload -D "$PGDATA"']);
    },
    stop: async () => {
      await container.stop();
    },
  };
}

function hbaText(lines: readonly string[] = []): string {
  return `${[...lines, ...TRUST_EVERYBODY].join('\n')}\n`;
}
