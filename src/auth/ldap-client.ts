import type { Socket } from 'node:net';
import { Client, EqualityFilter, FilterParser, ResultCodeError, SASL_MECHANISMS } from 'ldapts';
import type { Filter } from 'ldapts';
import type { LdapMode, LdapOptions } from '../config/ldap-options.ts';
import type { LdapTarget } from '../net/ldap-socket.ts';
import type { PasswordRequest } from './external-method.ts';
import { escapeFilterValue, simpleBindName } from './ldap-names.ts';
import type { SystemVerdict } from './system-login.ts';

/** What a check needs from outside. */
export interface LdapCheckTools {
  /** Opens a connection, or throws an Error saying why not. */
  readonly connect: (target: LdapTarget, signal: AbortSignal) => Promise<Socket>;
  /** Cryptographically strong random bytes. */
  readonly random: (bytes: number) => Buffer;
}

type SearchMode = Extract<LdapMode, { kind: 'search' }>;

/** Most bytes that a server may send during one check. */
const MAX_ANSWER_BYTES = 1024 * 1024;

/** More than one entry is an error, so two are enough to see it. */
const MAX_ENTRIES = 2;

const INVALID_CREDENTIALS = 49;

/** Says why a check came to nothing, as a clause for the log. */
class CheckError extends Error {}

/**
 * Checks a password by logging in to an LDAP server with it: either with a name made from that of the
 * user, or with the name of the one entry that a search finds. Servers are tried in their order until
 * one can be reached; what that one says counts.
 *
 * Where no entry is found, a bind that must fail is made all the same, so that the time does not tell
 * which users there are.
 *
 * @param signal - Ends it early.
 * @returns What came out. Never rejects.
 * @source PostgreSQL manual, "LDAP Authentication"
 */
export async function checkLdapPassword(
  options: LdapOptions,
  request: PasswordRequest,
  tools: LdapCheckTools,
  signal: AbortSignal,
): Promise<SystemVerdict> {
  // RFC 4513: a bind with a name and no password is an anonymous one, and succeeds.
  if (request.password.length === 0) {
    return { kind: 'refused', reason: 'empty password' };
  }
  try {
    const socket = await connect(options, tools, signal);
    const abort = (): void => {
      socket.destroy();
    };
    signal.addEventListener('abort', abort, { once: true });
    try {
      await login(socket, options.mode, request, tools);
      return { kind: 'accepted' };
    } finally {
      signal.removeEventListener('abort', abort);
      socket.destroy();
    }
  } catch (error) {
    return { kind: 'refused', reason: error instanceof Error ? error.message : String(error) };
  }
}

async function connect(
  { servers, port, isLdaps, isStartTls }: LdapOptions,
  tools: LdapCheckTools,
  signal: AbortSignal,
): Promise<Socket> {
  const failures: string[] = [];
  for (const host of servers) {
    if (signal.aborted) {
      break;
    }
    try {
      return await tools.connect({ host, port, isLdaps, isStartTls }, signal);
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      failures.push(`${host}:${String(port)}: ${why}`);
    }
  }
  throw new CheckError(`could not connect to LDAP server ${failures.join('; ')}`);
}

async function login(
  socket: Socket,
  mode: LdapMode,
  { user, password }: PasswordRequest,
  tools: LdapCheckTools,
): Promise<void> {
  const client = clientOn(socket);
  const text = password.toString('utf8');
  if (mode.kind === 'simple') {
    await bindAsUser(client, simpleBindName(mode.prefix, user, mode.suffix), text);
    return;
  }
  if (mode.bindDn !== '') {
    await bindToSearch(client, mode);
  }
  const names = await findEntries(client, mode, user);
  const [name] = names;
  if (names.length === 1 && name !== undefined) {
    await bindAsUser(client, name, text);
    return;
  }
  const mock = `cn=${tools.random(16).toString('hex')},${mode.baseDn}`;
  await client.bind(mock, text).catch(() => {
    // As it should.
  });
  throw new CheckError(names.length === 0 ? 'LDAP user does not exist' : 'LDAP user is not unique');
}

/** Speaks LDAP on an open connection, and on no other: a second one would not be encrypted. */
function clientOn(socket: Socket): Client {
  let isTaken = false;
  let received = 0;
  return new Client({
    // The socket is there already; what stands here is not looked at.
    url: 'ldap://localhost',
    createConnection: () => {
      if (isTaken || socket.destroyed) {
        throw new CheckError('the LDAP server closed the connection');
      }
      isTaken = true;
      socket.on('data', (chunk: Buffer) => {
        received += chunk.length;
        if (received > MAX_ANSWER_BYTES) {
          socket.destroy(new Error('the answer is too long'));
        }
      });
      return socket;
    },
  });
}

async function bindToSearch(client: Client, { bindDn, bindPassword }: SearchMode): Promise<void> {
  refuseUnusable(bindDn);
  try {
    await client.bind(bindDn, bindPassword);
  } catch (cause) {
    throw new CheckError(`could not bind to LDAP as ldapbinddn: ${explain(cause)}`, { cause });
  }
}

async function findEntries(client: Client, mode: SearchMode, user: string): Promise<string[]> {
  const filter = filterFor(mode, user);
  try {
    const { searchEntries } = await client.search(mode.baseDn, {
      scope: mode.scope,
      filter,
      // None: their names are enough.
      attributes: ['1.1'],
      sizeLimit: MAX_ENTRIES,
    });
    return searchEntries.map((entry) => entry.dn);
  } catch (cause) {
    throw new CheckError(`could not search LDAP: ${explain(cause)}`, { cause });
  }
}

function filterFor({ filter }: SearchMode, user: string): Filter {
  if (filter.kind === 'attribute') {
    return new EqualityFilter({ attribute: filter.attribute, value: user });
  }
  const text = filter.template.replaceAll('$username', () => escapeFilterValue(user));
  try {
    return FilterParser.parseString(text);
  } catch (cause) {
    throw new CheckError('ldapsearchfilter is not a filter', { cause });
  }
}

/**
 * Tells what is wrong with the filter of a search, before somebody logs in by it.
 *
 * @returns A clause, or `null`. Never throws.
 */
export function findFilterProblem({ mode }: LdapOptions): string | null {
  try {
    if (mode.kind === 'search') {
      filterFor(mode, 'x');
    }
    return null;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

async function bindAsUser(client: Client, name: string, password: string): Promise<void> {
  refuseUnusable(name);
  try {
    await client.bind(name, password);
  } catch (cause) {
    const isWrong = cause instanceof ResultCodeError && cause.code === INVALID_CREDENTIALS;
    throw new CheckError(
      isWrong ? 'LDAP refused the password' : `LDAP login failed: ${explain(cause)}`,
      { cause },
    );
  }
}

/** A bind without a name is an anonymous one, and some words ask for another way to log in. */
function refuseUnusable(name: string): void {
  if (name === '' || SASL_MECHANISMS.some((mechanism) => mechanism === name)) {
    throw new CheckError(`cannot bind to LDAP with the name ${JSON.stringify(name)}`);
  }
}

function explain(error: unknown): string {
  // The package puts more on a second line.
  return (error instanceof Error ? error.message : String(error)).replaceAll('\n', ' ');
}
