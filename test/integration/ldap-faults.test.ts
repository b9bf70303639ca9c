import { randomBytes } from 'node:crypto';
import type { LookupFunction } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { checkLdapPassword } from '../../src/auth/ldap-client.ts';
import type { SystemVerdict } from '../../src/auth/system-login.ts';
import { parseLdapOptions } from '../../src/config/ldap-options.ts';
import { ldapTrust, openLdapSocket } from '../../src/net/ldap-socket.ts';
import { makeAuthority } from '../support/certificates.ts';
import { FakeLdapServer, LdapTag, type FakeLdapScript } from '../support/fake-ldap-server.ts';
import { waitFor } from '../support/wait-for.ts';

/** What LDAP servers may do wrong, and what users may put into their names. */
const authority = makeAuthority();
const identity = authority.issue({ commonName: 'ldap', ipAddresses: ['127.0.0.1'] });
const stranger = makeAuthority().issue({ commonName: 'ldap', ipAddresses: ['127.0.0.1'] });
const elsewhere = authority.issue({ commonName: 'ldap', dnsNames: ['elsewhere.example'] });

const trust = ldapTrust(authority.cert);

const PREFIX = 'ldapprefix="uid=" ldapsuffix=",dc=x"';
const SEARCH = 'ldapbasedn=dc=x ldapbinddn=cn=reader ldapbindpasswd=secret';
const ANN = 'uid=ann,dc=x';
const RIGHT: SystemVerdict = { kind: 'accepted' };

const noNames: LookupFunction = (host, _options, done) => {
  done(new Error(`no address for ${host}`), '');
};

const servers: FakeLdapServer[] = [];

afterEach(async () => {
  for (const server of servers.splice(0)) {
    await server.stop();
  }
});

async function serve(
  script: FakeLdapScript = {},
  certificate: { cert: string; key: string } | null = identity,
): Promise<FakeLdapServer> {
  const { cert, key } = certificate ?? {};
  const server = await FakeLdapServer.start(
    script,
    cert === undefined || key === undefined ? null : { cert, key },
  );
  server.passwords.set(ANN, 'pencil');
  server.passwords.set('cn=reader', 'secret');
  servers.push(server);
  return server;
}

interface Attempt {
  readonly user?: string;
  readonly password?: string;
  readonly signal?: AbortSignal;
}

function check(
  server: FakeLdapServer | null,
  options: string,
  { user = 'ann', password = 'pencil', signal = new AbortController().signal }: Attempt = {},
): Promise<SystemVerdict> {
  const where = server === null ? '' : `ldapserver=127.0.0.1 ldapport=${String(server.port)}`;
  const parsed = parseLdapOptions(`${where} ${options}`);
  if ('wrong' in parsed) {
    throw new Error(parsed.wrong);
  }
  const request = { user, password: Buffer.from(password), host: '' };
  const tools = {
    connect: (target: Parameters<typeof openLdapSocket>[0], aborted: AbortSignal) =>
      openLdapSocket(target, { trust: () => trust, lookup: noNames }, aborted),
    random: randomBytes,
  };
  return checkLdapPassword(parsed, request, tools, signal);
}

async function reasonOf(verdict: Promise<SystemVerdict>): Promise<string> {
  const { kind, ...rest } = await verdict;
  expect(kind).toBe('refused');
  return 'reason' in rest ? rest.reason : '';
}

describe('a simple bind', () => {
  it('admits by the right password alone', async () => {
    const server = await serve();
    expect(await check(server, PREFIX)).toEqual(RIGHT);
    expect(await reasonOf(check(server, PREFIX, { password: 'pen' }))).toBe(
      'LDAP refused the password',
    );
    expect(server.binds).toEqual([`${ANN} / pencil`, `${ANN} / pen`]);
    await waitFor('the connections to be closed', () => server.openCount === 0);
    expect(server.connectionCount).toBe(2);
  });

  it('sends no empty password: that bind would succeed', async () => {
    const server = await serve();
    expect(await reasonOf(check(server, PREFIX, { password: '' }))).toBe('empty password');
    expect(server.connectionCount).toBe(0);
  });

  it.each([
    ['ann,dc=y', 'uid=ann\\,dc\\=y,dc=x'],
    ['ann+cn=admin', 'uid=ann\\+cn\\=admin,dc=x'],
    ['ann\\', 'uid=ann\\\\,dc=x'],
    ['#1', 'uid=\\#1,dc=x'],
    ['*', 'uid=*,dc=x'],
    ['$&', 'uid=$&,dc=x'],
  ])('keeps user %j inside of its value', async (user, name) => {
    const server = await serve();
    server.passwords.set('uid=ann,dc=y,dc=x', 'pencil');
    expect(await reasonOf(check(server, PREFIX, { user }))).toBe('LDAP refused the password');
    expect(server.binds).toEqual([`${name} / pencil`]);
  });

  it('takes no name for another way to log in', async () => {
    const server = await serve();
    const reason = await reasonOf(check(server, 'ldapprefix=EXTER', { user: 'NAL' }));
    expect(reason).toBe('cannot bind to LDAP with the name "EXTERNAL"');
    expect(server.requests).toEqual([]);
  });

  it('hands on passwords with every character', async () => {
    const server = await serve();
    const password = 'ä " \\ * ( ) , = 𝄞';
    server.passwords.set(ANN, password);
    expect(await check(server, PREFIX, { password })).toEqual(RIGHT);
  });
});

describe('search+bind', () => {
  it('logs in as the reader, searches, and logs in as what was found', async () => {
    const server = await serve();
    server.found = [ANN];
    expect(await check(server, SEARCH)).toEqual(RIGHT);
    expect(server.requests.slice(0, 3)).toEqual([
      { kind: 'bind', name: 'cn=reader', password: 'secret' },
      { kind: 'search', base: 'dc=x', scope: 2, filter: '"uid"="ann"' },
      { kind: 'bind', name: ANN, password: 'pencil' },
    ]);
    expect(await reasonOf(check(server, SEARCH, { password: 'pen' }))).toBe(
      'LDAP refused the password',
    );
  });

  it('searches as nobody where no reader is named', async () => {
    const server = await serve();
    server.found = [ANN];
    expect(await check(server, 'ldapbasedn=dc=x')).toEqual(RIGHT);
    expect(server.requests[0]).toMatchObject({ kind: 'search' });
  });

  it.each([
    ['nobody', [], 'LDAP user does not exist'],
    ['too many', [ANN, 'uid=ann,ou=y,dc=x'], 'LDAP user is not unique'],
  ])('that finds %s fails, and binds all the same', async (_what, found, reason) => {
    const server = await serve();
    server.found = found;
    expect(await reasonOf(check(server, SEARCH))).toBe(reason);
    expect(server.binds).toEqual([
      'cn=reader / secret',
      expect.stringMatching(/^cn=[0-9a-f]{32},dc=x \/ pencil$/) as string,
    ]);
  });

  it('fails where nobody is found, even when the server lets everybody bind', async () => {
    const server = await serve({
      onRequest: (connection, { kind }) => {
        if (kind === 'bind') {
          connection.reply(LdapTag.BindResponse, { code: 0 });
        }
        return kind === 'bind';
      },
    });
    expect(await reasonOf(check(server, SEARCH))).toBe('LDAP user does not exist');
  });

  it('takes no entry without a name', async () => {
    const server = await serve();
    server.found = [''];
    expect(await reasonOf(check(server, SEARCH))).toBe('cannot bind to LDAP with the name ""');
  });

  it.each([
    ['*', '"uid"="*"'],
    ['ann)(uid=*', '"uid"="ann)(uid=*"'],
    ['a\\2a', '"uid"="a\\\\2a"'],
    ['änn', '"uid"="änn"'],
  ])('keeps user %j inside of its value', async (user, filter) => {
    const server = await serve();
    await check(server, SEARCH, { user });
    await check(server, `${SEARCH} ldapsearchfilter=(uid=$username)`, { user });
    const filters = server.requests.flatMap((request) =>
      request.kind === 'search' ? [request.filter] : [],
    );
    expect(filters).toEqual([filter, filter]);
  });

  it('puts the user into each place of a filter', async () => {
    const server = await serve();
    await check(server, `${SEARCH} ldapsearchfilter="(|(uid=$username)(&(mail=$username)(o=*)))"`);
    expect(server.requests[1]).toMatchObject({
      filter: 'or("uid"="ann" and("mail"="ann" present(o)))',
    });
  });

  it('fails by a reader who is refused', async () => {
    const server = await serve();
    server.passwords.set('cn=reader', 'other');
    const reason = await reasonOf(check(server, SEARCH));
    expect(reason).toContain('could not bind to LDAP as ldapbinddn: ');
    expect(reason).not.toContain('secret');
  });

  it('fails by a search that is refused', async () => {
    const server = await serve({
      onRequest: (connection, { kind }) => {
        if (kind === 'search') {
          connection.reply(LdapTag.SearchDone, { code: 32, text: 'no such object' });
        }
        return kind === 'search';
      },
    });
    expect(await reasonOf(check(server, SEARCH))).toContain('could not search LDAP: ');
  });

  it('fails by a filter that is none', async () => {
    const server = await serve();
    const reason = await reasonOf(check(server, `${SEARCH} ldapsearchfilter=(&$username)`));
    expect(reason).toBe('ldapsearchfilter is not a filter');
  });
});

describe('a server that', () => {
  it('cannot be reached is passed over', async () => {
    const gone = await serve();
    const { port } = gone;
    await gone.stop();
    expect(
      await reasonOf(check(null, `ldapserver=127.0.0.1 ldapport=${String(port)} ${PREFIX}`)),
    ).toContain(`could not connect to LDAP server 127.0.0.1:${String(port)}: connect ECONNREFUSED`);
    const server = await serve();
    const both = `ldapserver="nowhere.example 127.0.0.1" ldapport=${String(server.port)} ${PREFIX}`;
    expect(await check(null, both)).toEqual(RIGHT);
    expect(await reasonOf(check(null, both, { password: 'pen' }))).toBe(
      'LDAP refused the password',
    );
  });

  it('closes the connection ends the check, without a second one in clear text', async () => {
    const server = await serve({
      onRequest: (connection, { kind }) => {
        if (kind === 'search') {
          connection.reply(LdapTag.SearchDone, { code: 0 });
          connection.destroy();
        }
        return kind === 'search';
      },
    });
    server.found = [ANN];
    await reasonOf(check(server, `${SEARCH} ldaptls=1`));
    expect(server.connectionCount).toBe(1);
    expect(server.binds).toEqual(['cn=reader / secret']);
  });

  it('says nothing is given up when the deadline comes', async () => {
    const server = await serve({ onRequest: () => true });
    const abort = new AbortController();
    const verdict = check(server, PREFIX, { signal: abort.signal });
    await waitFor('the request', () => server.requests.length > 0);
    abort.abort();
    await reasonOf(verdict);
  });

  it('is given up before it is connected to', async () => {
    const server = await serve();
    const reason = await reasonOf(check(server, PREFIX, { signal: AbortSignal.abort() }));
    expect(reason).toContain('could not connect');
    expect(server.requests).toEqual([]);
  });

  it('sends without end is given up', async () => {
    const server = await serve({
      onRequest: (connection, { kind }) => {
        if (kind === 'search') {
          connection.write(Buffer.from([0x30, 0x84, 0x7f, 0xff, 0xff, 0xff]));
          for (let index = 0; index < 32; index++) {
            connection.write(Buffer.alloc(65_536, 0x30));
          }
        }
        return kind === 'search';
      },
    });
    await reasonOf(check(server, SEARCH));
  });

  it('answers with the number of another request is not believed', async () => {
    const server = await serve({
      onRequest: (connection, { kind }) => {
        const isBind = kind === 'bind';
        if (isBind) {
          const success = connection.result(LdapTag.BindResponse, { code: 0 });
          connection.write(connection.message(success, connection.messageId + 1));
          connection.reply(LdapTag.BindResponse, { code: 49 });
        }
        return isBind;
      },
    });
    expect(await reasonOf(check(server, PREFIX))).toBe('LDAP refused the password');
  });

  it.each(['not LDAP at all', '\x30\x05\x02\x01'])('does not speak LDAP (%j)', async (text) => {
    const server = await serve({
      onRequest: (connection) => {
        connection.write(Buffer.from(text, 'latin1'));
        connection.destroy();
        return true;
      },
    });
    await reasonOf(check(server, PREFIX));
  });
});

describe('StartTLS', () => {
  it('comes before any name or password', async () => {
    const server = await serve();
    expect(await check(server, `${PREFIX} ldaptls=1`)).toEqual(RIGHT);
    expect(server.requests.map(({ kind }) => kind)).toEqual(['start_tls', 'bind']);
  });

  it.each([
    ['is not offered', null, 'refused StartTLS with result 02'],
    ['has a certificate of a stranger', stranger, 'certificate'],
    ['has a certificate for another name', elsewhere, "IP: 127.0.0.1 is not in the cert's list"],
  ])('that %s ends the check', async (_what, certificate, reason) => {
    const server = await serve({}, certificate);
    expect(await reasonOf(check(server, `${PREFIX} ldaptls=1`))).toContain(reason);
    expect(server.binds).toEqual([]);
  });

  it('that is answered with more in clear text ends the check', async () => {
    const server = await serve({
      onRequest: (connection, { kind }) => {
        if (kind === 'start_tls') {
          const forged = connection.result(LdapTag.BindResponse, { code: 0 });
          connection.write(
            Buffer.concat([
              connection.message(connection.result(LdapTag.ExtendedResponse, { code: 0 })),
              connection.message(forged, 2).subarray(0, -1),
            ]),
          );
          connection.startTls();
        }
        return kind === 'start_tls';
      },
    });
    expect(await reasonOf(check(server, `${PREFIX} ldaptls=1`, { password: 'pen' }))).toContain(
      'the server sent more in clear text behind its answer to StartTLS',
    );
    expect(server.binds).toEqual([]);
  });

  it.each([
    ['nonsense', Buffer.from('HTTP/1.1 400 Bad Request\r\n')],
    ['a length that cannot be', Buffer.from([0x30, 0x80])],
    ['a huge length', Buffer.from([0x30, 0x84, 0xff, 0xff, 0xff, 0xff])],
    ['another operation', Buffer.from([0x30, 0x0c, 2, 1, 1, 0x61, 7, 10, 1, 0, 4, 0, 4, 0])],
    ['no operation', Buffer.from([0x30, 0x03, 2, 1, 1])],
    [
      'a message without end',
      Buffer.concat([Buffer.from([0x30, 0x82, 0x7f, 0xff]), Buffer.alloc(5000)]),
    ],
  ])('that is answered with %s ends the check', async (_what, answer) => {
    const server = await serve({
      onRequest: (connection) => {
        connection.write(answer);
        return true;
      },
    });
    expect(await reasonOf(check(server, `${PREFIX} ldaptls=1`))).toMatch(
      /the answer to StartTLS is (not LDAP|too long)/,
    );
    expect(server.binds).toEqual([]);
  });
});

describe('ldaps', () => {
  it('encrypts from the first byte', async () => {
    const server = await serve({
      onConnect: (connection) => {
        connection.startTls();
      },
    });
    expect(await check(server, `${PREFIX} ldapscheme=ldaps`)).toEqual(RIGHT);
    expect(server.requests.map(({ kind }) => kind)).toEqual(['bind']);
  });

  it('does not fall back to clear text', async () => {
    const server = await serve({
      onConnect: (connection) => {
        connection.write(Buffer.from('no TLS here'));
      },
    });
    await reasonOf(check(server, `${PREFIX} ldapscheme=ldaps`));
    expect(server.binds).toEqual([]);
  });
});
