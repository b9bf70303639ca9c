import net from 'node:net';
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterEach, describe, expect, it } from 'vitest';
import { abstractToListenOn, openSocket, unixAddress } from '../../../src/net/abstract-socket.ts';
import { DatagramSocket } from '../../../src/net/datagram-socket.ts';
import { bindCalls, type NativeCalls } from '../../../src/net/native-calls.ts';
import { findNative, loadKoffi, systemNative } from '../../../src/net/native.ts';
import { peerCredentialOf } from '../../../src/net/peer-credential.ts';
import { descriptorOf } from '../../../src/net/raw-handle.ts';
import { tuneConnection } from '../../../src/net/socket-options.ts';
import { DatagramReceiver } from '../../support/datagram-receiver.ts';

const isLinux = process.platform === 'linux';

const SETTINGS = {
  tcpKeepalive: true,
  tcpKeepidleMs: 0,
  tcpKeepintvlMs: 0,
  tcpKeepcnt: 0,
  tcpUserTimeout: 0,
  tcpSocketBufferBytes: 0,
};

/** Everything that a test has opened. */
const opened: (() => void)[] = [];
afterEach(() => {
  for (const close of opened.splice(0)) {
    close();
  }
});

/** Calls that fail a test that makes any it has not named. */
function fakeCalls(calls: Partial<NativeCalls>): NativeCalls {
  return calls as NativeCalls;
}

/** The two ends of a connection. */
async function connect(where: net.ListenOptions): Promise<readonly [net.Socket, net.Socket]> {
  const server = net.createServer();
  opened.push(() => server.close());
  await new Promise<void>((resolve) => server.listen(where, resolve));
  const address = server.address();
  const target = typeof address === 'string' ? { path: address } : { port: address?.port ?? 0 };
  const accepted = new Promise<net.Socket>((resolve) => server.once('connection', resolve));
  const ours = net.connect(target);
  const theirs = await accepted;
  opened.push(() => {
    ours.destroy();
    theirs.destroy();
  });
  return [ours, theirs];
}

describe('findNative', () => {
  it.each([
    ['darwin', 'arm64'],
    ['linux', 'ppc64'],
    ['win32', 'x64'],
  ])('says that system calls are not known for %s on %s', (platform, arch) => {
    const native = findNative({ load: loadKoffi, platform, arch });
    expect(native.calls).toBeNull();
    expect(native.problem).toContain(`this is ${platform} on ${arch}`);
  });

  it('says in one line that koffi is missing', () => {
    const load = () => {
      throw new Error("Cannot find module 'koffi'\nRequire stack:\n- /somewhere");
    };
    expect(findNative({ load, platform: 'linux', arch: 'x64' })).toEqual({
      calls: null,
      problem:
        "it needs the optional package koffi, which cannot be loaded: Cannot find module 'koffi'",
    });
  });
});

describe.runIf(isLinux)('system calls', () => {
  const calls = bindCalls(loadKoffi());

  it('are found on this system', () => {
    expect(systemNative().problem).toBeNull();
    expect(systemNative()).toBe(systemNative());
  });

  it('throw what the system says', () => {
    expect(() => {
      calls.setOption(-1, 6, 18, 1);
    }).toThrow(expect.objectContaining({ code: 'EBADF', syscall: 'setsockopt' }) as Error);
  });

  it('find users by name', () => {
    expect(calls.findUser('root')).toEqual({ name: 'root', uid: 0, gid: 0 });
    expect(calls.findUser('no such user')).toBeNull();
  });

  it('find names of users, later', async () => {
    const find = (uid: number): Promise<string | null> => {
      let isReturned = false;
      const found = new Promise<string | null>((resolve, reject) => {
        calls.findUserName(uid, (error, name) => {
          expect(isReturned).toBe(true);
          if (error === null) {
            resolve(name);
          } else {
            reject(error);
          }
        });
      });
      isReturned = true;
      return found;
    };
    expect(await Promise.all([find(0), find(4_000_000), find(0)])).toEqual(['root', null, 'root']);
  });
});

describe.runIf(isLinux)('the names of users', () => {
  it('are right while memory is collected in the middle of many look-ups', async () => {
    const calls = bindCalls(loadKoffi());
    const wrong: unknown[] = [];
    const lookUp = (): Promise<void> =>
      new Promise((resolve) => {
        calls.findUserName(0, (error, name) => {
          if (error !== null || name !== 'root') {
            wrong.push(error ?? name);
          }
          resolve();
        });
      });
    setFlagsFromString('--expose-gc');
    const collect = runInNewContext('gc') as () => void;
    for (let round = 0; round < 40; round++) {
      const lookUps = Array.from({ length: 50 }, lookUp);
      collect();
      // Of the same size, so that what has been freed is taken at once.
      Array.from({ length: 200 }, () => Buffer.alloc(16_384, 0x78));
      await Promise.all(lookUps);
    }
    expect(wrong).toEqual([]);
  });
});

describe.runIf(isLinux)('peerCredentialOf', () => {
  const calls = bindCalls(loadKoffi());

  it('tells the process at the other end of a unix socket', async () => {
    const directory = mkdtempSync(path.join(os.tmpdir(), 'mtr-'));
    opened.push(() => {
      rmSync(directory, { recursive: true });
    });
    const [, theirs] = await connect({ path: path.join(directory, 's') });
    expect(peerCredentialOf(theirs, calls)).toEqual({
      pid: process.pid,
      uid: process.getuid?.(),
      gid: process.getgid?.(),
    });
    theirs.destroy();
    expect(peerCredentialOf(theirs, calls)).toBeNull();
  });

  it('tells nothing of TCP', async () => {
    const [, theirs] = await connect({ host: '127.0.0.1', port: 0 });
    expect(peerCredentialOf(theirs, calls)).toBeNull();
  });

  it('tells nothing when the system does not', () => {
    const socket = { _handle: { fd: 5 } };
    const short = fakeCalls({ getOption: () => Buffer.alloc(4) });
    expect(peerCredentialOf(socket, short)).toBeNull();
    const failing = fakeCalls({
      getOption: () => {
        throw new Error('EINVAL');
      },
    });
    expect(peerCredentialOf(socket, failing)).toBeNull();
    const nobody = fakeCalls({ getOption: () => Buffer.from('00000000ffffffffffffffff', 'hex') });
    expect(peerCredentialOf(socket, nobody)).toBeNull();
  });
});

describe('descriptorOf', () => {
  it.each([
    [{}, -1],
    [{ _handle: null }, -1],
    [{ _handle: {} }, -1],
    [{ _handle: { fd: '3' } }, -1],
    [{ _handle: { fd: 3 } }, 3],
  ])('of %j', (socket, fd) => {
    expect(descriptorOf(socket)).toBe(fd);
  });
});

describe('tuneConnection', () => {
  /** Notes what is asked of a socket. */
  function tune(settings: Partial<typeof SETTINGS>, hasCalls = true) {
    const asked: unknown[] = [];
    const socket = {
      _handle: { fd: 7 },
      setKeepAlive: (isOn: boolean, delayMs: number) => asked.push(['keepalive', isOn, delayMs]),
    };
    const calls = fakeCalls({
      setOption: (fd, level, option, value) => {
        asked.push([fd, level, option, value]);
      },
    });
    const given = { ...SETTINGS, ...settings };
    tuneConnection(socket as unknown as net.Socket, given, hasCalls ? calls : null);
    return asked;
  }

  it('sets nothing that is 0', () => {
    expect(tune({})).toEqual([['keepalive', true, 0]]);
  });

  it('sets each option with its number', () => {
    const all = {
      tcpKeepidleMs: 60_000,
      tcpKeepintvlMs: 5_000,
      tcpKeepcnt: 4,
      tcpUserTimeout: 9,
      tcpSocketBufferBytes: 8192,
    };
    expect(tune(all)).toEqual([
      ['keepalive', true, 0],
      [7, 1, 8, 8192],
      [7, 1, 7, 8192],
      [7, 6, 4, 60],
      [7, 6, 5, 5],
      [7, 6, 6, 4],
      [7, 6, 18, 9],
    ]);
    const off = tune({ ...all, tcpKeepalive: false });
    expect(off).toEqual([
      ['keepalive', false, 0],
      [7, 1, 8, 8192],
      [7, 1, 7, 8192],
      [7, 6, 18, 9],
    ]);
  });

  it('leaves the idle time to Node.js without system calls', () => {
    expect(tune({ tcpKeepidleMs: 60_000 }, false)).toEqual([['keepalive', true, 60_000]]);
  });
});

describe('unixAddress', () => {
  it('has the family, then the path', () => {
    expect(unixAddress('/a')).toEqual(Buffer.from([1, 0, 0x2f, 0x61]));
    expect(unixAddress('\0é')).toEqual(Buffer.from([1, 0, 0, 0xc3, 0xa9]));
  });
});

describe.runIf(isLinux).each([
  ['of Node.js where it can, else by system calls', undefined],
  ['by system calls', { areNamesExact: () => false, calls: () => bindCalls(loadKoffi()) }],
])('an abstract unix socket, %s', (_how, means) => {
  const name = `maitred-test-${String(process.pid)}-${means === undefined ? 'a' : 'b'}`;

  it('has the very name that others look for, and can be connected to', async () => {
    const server = net.createServer((socket) => {
      // The first one leaves at once.
      socket.on('error', () => {}).end('hello');
    });
    opened.push(() => server.close());
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(abstractToListenOn(`\0${name}`, means), resolve);
    });
    // By a system call of its own: only the exact name is found.
    const calls = bindCalls(loadKoffi());
    const fd = calls.socket(1, 1);
    calls.connect(fd, unixAddress(`\0${name}`));
    calls.close(fd);
    const socket = openSocket({ path: `\0${name}` }, means);
    const text = await new Promise<string>((resolve, reject) => {
      let received = '';
      socket.on('data', (data: Buffer) => {
        received += data.toString();
      });
      socket.once('error', reject);
      socket.once('close', () => {
        resolve(received);
      });
    });
    expect(text).toBe('hello');
  });

  it('that nobody listens on gives an error later', async () => {
    const socket = openSocket({ path: `\0${name}-nobody` }, means);
    const code = await new Promise((resolve) => {
      socket.once('error', (error: NodeJS.ErrnoException) => {
        resolve(error.code);
      });
    });
    expect(code).toBe('ECONNREFUSED');
  });
});

describe('an abstract unix socket without any means', () => {
  const means = { areNamesExact: () => false, calls: () => null };

  it('is refused with what it needs', async () => {
    expect(() => abstractToListenOn('\0x', means)).toThrow('a newer Node.js, or the optional');
    const socket = openSocket({ path: '\0x' }, means);
    const message = await new Promise((resolve) => {
      socket.once('error', (error) => {
        resolve(error.message);
      });
    });
    expect(message).toContain('a newer Node.js, or the optional package koffi');
  });
});

describe.runIf(isLinux)('DatagramSocket', () => {
  const calls = bindCalls(loadKoffi());

  function makePath(): string {
    const directory = mkdtempSync(path.join(os.tmpdir(), 'mtr-'));
    opened.push(() => {
      rmSync(directory, { recursive: true });
    });
    return path.join(directory, 'log');
  }

  it('sends, and finds a reader that has been replaced', () => {
    const file = makePath();
    const socket = new DatagramSocket(file, calls);
    expect(() => {
      socket.send(Buffer.from('nobody'));
    }).toThrow(expect.objectContaining({ code: 'ENOENT' }) as Error);
    const first = new DatagramReceiver(file);
    socket.send(Buffer.from('one'));
    socket.send(Buffer.from('two'));
    expect(first.read()).toEqual(['one', 'two']);
    first.close();
    const second = new DatagramReceiver(file);
    socket.send(Buffer.from('three'));
    expect(second.read()).toEqual(['three']);
    second.close();
    socket.close();
  });

  it('never waits for a reader that does not read', () => {
    const file = makePath();
    const receiver = new DatagramReceiver(file);
    const socket = new DatagramSocket(file, calls);
    let sent = 0;
    const fill = (): void => {
      for (; sent < 100_000; sent++) {
        socket.send(Buffer.alloc(1000));
      }
    };
    expect(fill).toThrow(expect.objectContaining({ code: 'EAGAIN' }) as Error);
    expect(receiver.read()).toHaveLength(sent);
    socket.send(Buffer.from('again'));
    expect(receiver.read().at(-1)).toBe('again');
    receiver.close();
    socket.close();
  });
});
