import { getSystemErrorMap } from 'node:util';
import type { Koffi } from './native.ts';

/** A user as the system's own look-up finds it, whatever directory it is kept in. */
export interface SystemAccount {
  readonly name: string;
  readonly uid: number;
  /** Its primary group. */
  readonly gid: number;
}

/** System calls. Those that fail throw an error with `code` (`EINVAL`) and `syscall`. */
export interface NativeCalls {
  /** Sets an option of a socket that is a whole number. */
  setOption(fd: number, level: number, option: number, value: number): void;
  /**
   * Reads an option of a socket.
   *
   * @param bytes - size of the option.
   * @returns owned, shorter when the system has less to tell.
   */
  getOption(fd: number, level: number, option: number, bytes: number): Buffer;
  /** Opens a socket. @returns its descriptor. */
  socket(domain: number, type: number): number;
  /** @param address - a socket address as the system lays it out. */
  bind(fd: number, address: Buffer): void;
  /** @param address - a socket address as the system lays it out. */
  connect(fd: number, address: Buffer): void;
  /** @returns bytes taken. */
  send(fd: number, bytes: Buffer, flags: number): number;
  close(fd: number): void;
  /** Has the system kill this process when the one that started it ends. */
  dieWithParent(): void;
  /** Finds a user by name; `null` for none. May wait for a directory on the network. */
  findUser(name: string): SystemAccount | null;
  /**
   * Finds the name of a user, off the event loop.
   *
   * @param done - called once, never before this returns; `null` for no such user.
   */
  findUserName(uid: number, done: (error: Error | null, name: string | null) => void): void;
}

/** The structure `passwd` of pwd.h as far as it is read. */
interface Passwd {
  readonly pw_name?: string;
  readonly pw_uid?: number;
  readonly pw_gid?: number;
}

/** Room for the texts of one user: more than getpwuid_r ever asks for on Linux. */
const PASSWD_BYTES = 16_384;

const INT_BYTES = 4;

/** @source prctl(2), signal(7) */
const PR_SET_PDEATHSIG = 1;
const SIGKILL = 9;

/** Binds the system calls. @throws when the C library lacks one. */
export function bindCalls(koffi: Koffi): NativeCalls {
  // The C library that Node.js itself runs with, whichever it is.
  const library = koffi.load(null);
  const setsockopt = library.func('int setsockopt(int, int, int, const void *, uint32_t)');
  const getsockopt = library.func('int getsockopt(int, int, int, void *, _Inout_ uint32_t *)');
  const socket = library.func('int socket(int, int, int)');
  const bind = library.func('int bind(int, const void *, uint32_t)');
  const connect = library.func('int connect(int, const void *, uint32_t)');
  const send = library.func('intptr_t send(int, const void *, size_t, int)');
  const close = library.func('int close(int)');
  const prctl = library.func('int prctl(int, ulong, ulong, ulong, ulong)');
  const accounts = bindAccounts(koffi);

  /** Takes a result for what it is: an error below zero. */
  const check = (syscall: string, result: unknown): number => {
    const value = Number(result);
    if (value < 0) {
      throw systemError(syscall, koffi.errno());
    }
    return value;
  };

  return {
    setOption: (fd, level, option, value) => {
      const bytes = Buffer.alloc(INT_BYTES);
      bytes.writeInt32LE(value);
      check('setsockopt', setsockopt(fd, level, option, bytes, INT_BYTES));
    },
    getOption: (fd, level, option, bytes) => {
      const value = Buffer.alloc(bytes);
      const length = [bytes];
      check('getsockopt', getsockopt(fd, level, option, value, length));
      return value.subarray(0, length[0]);
    },
    socket: (domain, type) => check('socket', socket(domain, type, 0)),
    bind: (fd, address) => {
      check('bind', bind(fd, address, address.length));
    },
    connect: (fd, address) => {
      check('connect', connect(fd, address, address.length));
    },
    send: (fd, bytes, flags) => check('send', send(fd, bytes, bytes.length, flags)),
    close: (fd) => {
      check('close', close(fd));
    },
    dieWithParent: () => {
      check('prctl', prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0));
    },
    ...accounts,
  };
}

/** The look-ups of users. @source getpwnam_r(3), whose structure is the same in glibc and musl. */
function bindAccounts(koffi: Koffi): Pick<NativeCalls, 'findUser' | 'findUserName'> {
  const library = koffi.load(null);
  const passwd = koffi.struct({
    pw_name: 'const char *',
    pw_passwd: 'const char *',
    pw_uid: 'uint32_t',
    pw_gid: 'uint32_t',
    pw_gecos: 'const char *',
    pw_dir: 'const char *',
    pw_shell: 'const char *',
  });
  const rest = [
    koffi.out(koffi.pointer(passwd)),
    'void *',
    'size_t',
    koffi.out(koffi.pointer('void *')),
  ];
  const getpwnam = library.func('getpwnam_r', 'int', ['const char *', ...rest]);
  const getpwuid = library.func('getpwuid_r', 'int', ['uint32_t', ...rest]);
  /** What look-ups under way write to: koffi does not keep it, and the system must find it there. */
  const held = new Set<Buffer>();
  return {
    findUser: (name) => {
      const entry: Passwd = {};
      const result: unknown[] = [null];
      const texts = Buffer.alloc(PASSWD_BYTES);
      const errno = Number(getpwnam(name, entry, texts, PASSWD_BYTES, result));
      throwIfFailed('getpwnam_r', errno);
      const { pw_uid: uid, pw_gid: gid } = entry;
      return result[0] === null || uid === undefined || gid === undefined
        ? null
        : { name, uid, gid };
    },
    findUserName: (uid, done) => {
      const entry: Passwd = {};
      const result: unknown[] = [null];
      const texts = Buffer.alloc(PASSWD_BYTES);
      held.add(texts);
      getpwuid.async(uid, entry, texts, PASSWD_BYTES, result, (error: unknown, errno: number) => {
        held.delete(texts);
        if (error !== null && error !== undefined) {
          done(error instanceof Error ? error : new Error('getpwuid_r failed'), null);
        } else if (errno !== 0 && !NO_SUCH_USER.has(errno)) {
          done(systemError('getpwuid_r', errno), null);
        } else {
          done(null, result[0] === null ? null : (entry.pw_name ?? null));
        }
      });
    },
  };
}

/** Numbers by which some name services say that there is no such user. @source getpwnam(3) */
const NO_SUCH_USER: ReadonlySet<number> = new Set([1, 2, 3, 9]);

function throwIfFailed(syscall: string, errno: number): void {
  if (errno !== 0 && !NO_SUCH_USER.has(errno)) {
    throw systemError(syscall, errno);
  }
}

/** Makes the error that Node.js would have thrown. @param errno - above zero. */
function systemError(syscall: string, errno: number): Error {
  const [code, text] = getSystemErrorMap().get(-errno) ?? [`E${String(errno)}`, 'unknown error'];
  return Object.assign(new Error(`${code}: ${text}, ${syscall}`), { code, syscall, errno: -errno });
}
