import net from 'node:net';
import type { BackendKey, WireMessage } from './backend-messages.ts';
import { FakeConnection } from './fake-connection.ts';
import { waitFor } from './wait-for.ts';

/**
 * What a test does differently from a trusting, friendly server. A step that is given replaces the
 * default one; it may call the default's function to go on as usual.
 */
export interface FakeServerScript {
  /** Right after accept, before any byte is read. */
  readonly onConnect?: (connection: FakeConnection) => void | Promise<void>;
  /** SSLRequest; the default answers `N`. */
  readonly onSslRequest?: (connection: FakeConnection) => void | Promise<void>;
  /** CancelRequest, recorded already; the default closes its connection. */
  readonly onCancel?: (connection: FakeConnection) => void | Promise<void>;
  /** StartupMessage; the default is {@link FakeConnection.acceptLogin}. */
  readonly onStartup?: (connection: FakeConnection) => void | Promise<void>;
  /** Any later message; the default is {@link FakeConnection.answer}. */
  readonly onMessage?: (connection: FakeConnection, message: WireMessage) => void | Promise<void>;
}

/** A scripted PostgreSQL server on a free TCP port of the loopback interface. */
export class FakeServer {
  /** All connections that sent a StartupMessage or nothing yet, oldest first. */
  readonly connections: FakeConnection[] = [];
  /** CancelRequest packets in order of arrival. */
  readonly cancels: BackendKey[] = [];
  readonly host = '127.0.0.1';
  /** Steps of connections accepted from now on. */
  script: FakeServerScript;
  readonly #server: net.Server;
  readonly #sockets = new Set<net.Socket>();
  readonly #failures: unknown[] = [];
  #port = 0;
  #nextProcessId = 1000;

  private constructor(script: FakeServerScript) {
    this.script = script;
    this.#server = net.createServer({ allowHalfOpen: true }, (socket) => {
      this.#accept(socket);
    });
  }

  /** Starts listening. */
  static async start(script: FakeServerScript = {}): Promise<FakeServer> {
    const server = new FakeServer(script);
    await server.listen();
    return server;
  }

  get port(): number {
    return this.#port;
  }

  /** Listens again after {@link refuse}, on the same port. */
  async listen(): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(this.#port, this.host, resolve);
    });
    const address = this.#server.address();
    this.#port = typeof address === 'object' && address !== null ? address.port : 0;
  }

  /** Stops listening: connection attempts are refused, connections stay. */
  refuse(): void {
    this.#server.close();
  }

  /** Waits until at least `count` connections have sent their StartupMessage. */
  async waitForConnections(count: number, timeoutMs?: number): Promise<FakeConnection[]> {
    return waitFor(
      `${String(count)} connections to the fake server`,
      () => {
        const started = this.connections.filter(({ startup }) => startup !== null);
        return started.length >= count && started;
      },
      timeoutMs === undefined ? {} : { timeoutMs },
    );
  }

  /** Closes everything. @throws the first error thrown by a step of the script. */
  async stop(): Promise<void> {
    for (const socket of this.#sockets) {
      socket.destroy();
    }
    if (this.#server.listening) {
      await new Promise((resolve) => this.#server.close(resolve));
    }
    if (this.#failures.length > 0) {
      throw new AggregateError(this.#failures, 'a step of the fake server failed');
    }
  }

  #accept(socket: net.Socket): void {
    socket.setNoDelay(true);
    this.#sockets.add(socket);
    socket.once('close', () => this.#sockets.delete(socket));
    this.#nextProcessId += 1;
    const key = { processId: this.#nextProcessId, secretKey: Buffer.from('fake') };
    const connection = new FakeConnection(socket, key);
    this.connections.push(connection);
    this.#serve(connection).catch((error: unknown) => {
      // A peer that goes away is part of most scripts; anything else is a bug in the test.
      if (!connection.hasEnded && !socket.destroyed) {
        this.#failures.push(error);
        socket.destroy();
      }
    });
  }

  async #serve(connection: FakeConnection): Promise<void> {
    await this.script.onConnect?.(connection);
    if (!(await this.#begin(connection))) {
      return;
    }
    for (;;) {
      const received = await connection.receive();
      if (received === null) {
        return;
      }
      if (this.script.onMessage === undefined) {
        connection.answer(received);
      } else {
        await this.script.onMessage(connection, received);
      }
    }
  }

  /** Reads untyped packets up to StartupMessage. @returns `false` for a cancel connection. */
  async #begin(connection: FakeConnection): Promise<boolean> {
    for (;;) {
      const packet = await connection.receiveStartupPacket();
      if (packet === null) {
        return false;
      }
      if (packet.kind === 'cancel') {
        this.cancels.push(packet.key);
        this.connections.splice(this.connections.indexOf(connection), 1);
        if (this.script.onCancel === undefined) {
          connection.destroy();
        } else {
          await this.script.onCancel(connection);
        }
        return false;
      }
      if (packet.kind === 'ssl' && this.script.onSslRequest !== undefined) {
        await this.script.onSslRequest(connection);
      } else if (packet.kind !== 'startup') {
        connection.send(Buffer.from('N'));
      } else if (this.script.onStartup === undefined) {
        connection.acceptLogin();
        return true;
      } else {
        await this.script.onStartup(connection);
        return true;
      }
    }
  }
}
