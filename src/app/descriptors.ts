import type { DescriptorSnapshot, SessionValues } from '../admin/snapshots.ts';
import type { ClientConnection } from '../client/client-connection.ts';
import type { ParameterValues } from '../relay/parameter-cache.ts';
import { ServerConnection } from '../server/server-connection.ts';
import type { Pooler } from './pooler.ts';

/** A listening socket. */
export interface ListeningDescriptor {
  readonly fd: number;
  readonly addr: string;
  readonly port: number;
}

const NO_VALUES: SessionValues = {
  clientEncoding: null,
  standardConformingStrings: null,
  dateStyle: null,
  timeZone: null,
};

/** Bytes of the secret of a key that fits the column. */
const SHORT_SECRET_BYTES = 4;

/** A cancel key as one signed number; 0 for one that is too long for it. */
function keyNumber(processId: number, secret: Buffer | null): string {
  if (secret?.length !== SHORT_SECRET_BYTES) {
    return '0';
  }
  const number = (BigInt(processId) << 32n) | BigInt(secret.readUInt32BE(0));
  return BigInt.asIntN(64, number).toString();
}

/** Lists the open sockets of a pooler for SHOW FDS. */
export class Descriptors {
  readonly #pooler: Pooler;

  constructor(pooler: Pooler) {
    this.#pooler = pooler;
  }

  /** Listening sockets, then clients that are logged in, then servers; consoles are left out. */
  rows(listening: readonly ListeningDescriptor[]): DescriptorSnapshot[] {
    const { clients, registry } = this.#pooler;
    return [
      ...listening.map((socket) => ({
        ...socket,
        task: 'pooler' as const,
        user: null,
        database: null,
        cancelKey: '0',
        linkFd: 0,
        parameters: NO_VALUES,
      })),
      ...[...clients.values()]
        .filter(({ pool }) => pool !== null)
        .map((client) => this.#client(client)),
      ...registry.pools.flatMap((pool) =>
        this.#pooler.serversOf(pool).map((server) => this.#server(server)),
      ),
    ];
  }

  #client(client: ClientConnection): DescriptorSnapshot {
    const { server } = client.link ?? {};
    return {
      fd: client.fd,
      task: 'client',
      user: client.identity?.user.name ?? null,
      database: client.identity?.databaseName ?? null,
      addr: client.remote.address,
      port: client.unixPath === null ? client.remote.port : this.#pooler.settings.listenPort,
      cancelKey: keyNumber(client.keyProcessId, this.#pooler.keys.secretOf(client)),
      linkFd: server instanceof ServerConnection ? server.fd : 0,
      parameters: this.#values(client.parameters),
    };
  }

  #server(server: ServerConnection): DescriptorSnapshot {
    const client = this.#pooler.admissions.clientOf(server.link.client);
    return {
      fd: server.fd,
      task: 'server',
      user: server.pool.user.name,
      database: server.pool.database.name,
      addr: server.remote.address,
      port: server.remote.port,
      cancelKey: keyNumber(server.processId, server.cancelKey?.secret ?? null),
      linkFd: client?.fd ?? 0,
      parameters: this.#values(server.parameters),
    };
  }

  #values(parameters: ParameterValues): SessionValues {
    const of = (name: string): string | null =>
      parameters[this.#pooler.tracked.indexOf(name)] ?? null;
    return {
      clientEncoding: of('client_encoding'),
      standardConformingStrings: of('standard_conforming_strings'),
      dateStyle: of('DateStyle'),
      timeZone: of('TimeZone'),
    };
  }
}
