import { mkdtempSync, rmSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { Listener, type ListenTarget } from '../../src/net/listener.ts';
import type * as RawHandles from '../../src/net/raw-handle.ts';
import { RawSocket, type AcceptedSocket } from '../../src/net/raw-socket.ts';
import { SocketStream } from '../../src/net/socket-stream.ts';
import { StreamWitness } from '../support/stream-witness.ts';
import { waitFor, withDeadline } from '../support/wait-for.ts';

const hidden = vi.hoisted(() => ({ handles: false }));

vi.mock('../../src/net/raw-handle.ts', async (importOriginal) => {
  const original = await importOriginal<typeof RawHandles>();
  return {
    ...original,
    rawHandleOf: (socket: object) => (hidden.handles ? null : original.rawHandleOf(socket)),
  };
});

const closers: (() => void)[] = [];
afterEach(() => {
  hidden.handles = false;
  for (const close of closers.splice(0).reverse()) {
    close();
  }
});

const TCP: ListenTarget = { kind: 'tcp', host: '127.0.0.1', port: 0, reusePort: false };

interface Pair {
  readonly accepted: AcceptedSocket;
  readonly peer: net.Socket;
}

async function connectTo(target: ListenTarget): Promise<Pair> {
  const sockets: AcceptedSocket[] = [];
  const listener = await Listener.open(target, {
    backlog: 8,
    onAccept: (socket) => {
      sockets.push(socket);
    },
    onAcceptError: () => undefined,
  });
  closers.push(() => {
    listener.close();
  });
  const peer =
    target.kind === 'unix'
      ? net.connect({ path: target.path, allowHalfOpen: true })
      : net.connect({ port: listener.port, host: '127.0.0.1', allowHalfOpen: true });
  closers.push(() => {
    peer.destroy();
  });
  await waitFor('a connection', () => sockets.length > 0);
  const [accepted] = sockets;
  if (accepted === undefined) {
    throw new Error('nothing was accepted');
  }
  closers.push(() => {
    accepted.destroy();
  });
  return { accepted, peer };
}

function unixTarget(): ListenTarget {
  const folder = mkdtempSync(path.join(tmpdir(), 'mtr-'));
  closers.push(() => {
    rmSync(folder, { recursive: true });
  });
  const file = path.join(folder, 'socket');
  return { kind: 'unix', path: file, port: 1, replaces: false, mode: 0o777, gid: null };
}

describe('An accepted connection', () => {
  it('comes by its handle alone, with its addresses', async () => {
    const { accepted, peer } = await connectTo(TCP);
    expect(accepted).toBeInstanceOf(RawSocket);
    expect(accepted.remoteAddress).toBe('127.0.0.1');
    expect(accepted.remotePort).toBe(peer.localPort);
    expect(accepted.remoteFamily).toBe('IPv4');
    expect(accepted.localAddress).toBe('127.0.0.1');
    expect(accepted.localPort).toBe(peer.remotePort);
  });

  it('keeps the address of the peer when it is closed', async () => {
    const { accepted, peer } = await connectTo(TCP);
    const { remotePort } = accepted;
    accepted.destroy();
    expect(accepted.remotePort).toBe(remotePort);
    expect(accepted.localPort).toBeUndefined();
    peer.resume();
    await withDeadline('the end', new Promise((resolve) => peer.once('end', resolve)));
  });

  it('of a unix socket has no address', async () => {
    const { accepted } = await connectTo(unixTarget());
    expect(accepted).toBeInstanceOf(RawSocket);
    expect([accepted.remoteAddress, accepted.remotePort, accepted.localAddress]).toEqual([
      undefined,
      undefined,
      undefined,
    ]);
    expect(() => {
      accepted.setKeepAlive(true, 1000);
    }, 'which TCP alone has').not.toThrow();
  });

  it.each([
    ['TCP', (): ListenTarget => TCP],
    ['a unix socket', unixTarget],
  ])('over %s moves bytes both ways, and its end after all of them', async (_name, target) => {
    const { accepted, peer } = await connectTo(target());
    const witness = new StreamWitness();
    const stream = SocketStream.adopt(accepted, witness);
    peer.write('hello');
    await waitFor('the bytes', () => witness.text === 'hello');
    const sent = Buffer.alloc(8_000_000, 'x');
    let received = 0;
    // Much more than the kernel takes at once, and a peer that reads late.
    stream.output.write(sent);
    stream.end();
    stream.end();
    await new Promise((resolve) => setImmediate(resolve));
    peer.on('data', (chunk) => {
      received += chunk.length;
    });
    await withDeadline('the end', new Promise((resolve) => peer.once('end', resolve)));
    expect(received).toBe(sent.length);
    peer.end('late');
    await waitFor('the end of the peer', () => witness.events.includes('end'));
    expect(witness.text).toBe('hellolate');
    stream.destroy();
    stream.destroy();
    await waitFor('the close', () => witness.events.includes('closed'));
    expect(witness.events.filter((event) => event === 'closed')).toHaveLength(1);
    expect(witness.events.filter((event) => event.startsWith('fault'))).toEqual([]);
  });

  it('tells of a connection that breaks', async () => {
    const { accepted, peer } = await connectTo(TCP);
    const witness = new StreamWitness();
    SocketStream.adopt(accepted, witness);
    peer.resetAndDestroy();
    await waitFor('the close', () => witness.events.length > 0);
    expect(witness.events).toEqual(['closed by ECONNRESET']);
  });

  it('that has broken already is ended and closed like any other', async () => {
    const { accepted, peer } = await connectTo(TCP);
    peer.resetAndDestroy();
    await withDeadline('the close', new Promise((resolve) => peer.once('close', resolve)));
    const witness = new StreamWitness();
    const stream = SocketStream.adopt(accepted, witness);
    stream.end();
    await waitFor('the close', () => witness.events.length > 0);
    expect(witness.events).toHaveLength(1);
    expect(witness.events[0]).toMatch(/^closed by E(CONNRESET|PIPE|NOTCONN)$/);
    expect(accepted.destroyed).toBe(true);
  });

  it('comes as a socket of Node.js where its handle cannot be used', async () => {
    hidden.handles = true;
    const { accepted, peer } = await connectTo(TCP);
    expect(accepted).toBeInstanceOf(net.Socket);
    expect(accepted.remotePort).toBe(peer.localPort);
    const witness = new StreamWitness();
    const stream = SocketStream.adopt(accepted, witness);
    peer.write('hello');
    await waitFor('the bytes', () => witness.text === 'hello');
    stream.output.write(Buffer.from('good bye'));
    stream.end();
    const answer = new Promise<string>((resolve) =>
      peer.once('data', (data) => {
        resolve(data.toString());
      }),
    );
    expect(await withDeadline('the answer', answer)).toBe('good bye');
  });
});
