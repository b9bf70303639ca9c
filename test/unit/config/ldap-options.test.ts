import { describe, expect, it } from 'vitest';
import { checkLdapOptions, parseLdapOptions } from '../../../src/config/ldap-options.ts';

const BASE = 'ldapserver=ldap.example ldapbasedn="dc=example,dc=net"';

describe('LDAP options for a simple bind', () => {
  it.each([
    ['ldapserver=h ldapprefix=cn= ldapsuffix=@x', 'cn=', '@x'],
    ['ldapserver=h,ldapprefix="cn=",ldapsuffix=", dc=x"', 'cn=', ', dc=x'],
    ['ldapserver=h "ldapprefix=cn=" "ldapsuffix=, dc=x"', 'cn=', ', dc=x'],
    ['ldapserver=h ldapsuffix="""x"""', '', '"x"'],
    ['ldapserver=h ldapprefix="" ldapsuffix=@x', '', '@x'],
    ['ldapserver=h ldapprefix=A\\', 'A\\', ''],
    ['  ldapserver=h ,, ldapprefix=a # ldapprefix=b', 'a', ''],
    ['ldapserver=h ldapprefix=a ldapprefix=b', 'b', ''],
  ])('%s', (text, prefix, suffix) => {
    expect(parseLdapOptions(text)).toEqual({
      servers: ['h'],
      port: 389,
      isLdaps: false,
      isStartTls: false,
      mode: { kind: 'simple', prefix, suffix },
    });
  });
});

describe('LDAP options for search+bind', () => {
  it('have defaults as in PostgreSQL', () => {
    expect(parseLdapOptions(BASE)).toEqual({
      servers: ['ldap.example'],
      port: 389,
      isLdaps: false,
      isStartTls: false,
      mode: {
        kind: 'search',
        baseDn: 'dc=example,dc=net',
        bindDn: '',
        bindPassword: '',
        scope: 'sub',
        filter: { kind: 'attribute', attribute: 'uid' },
      },
    });
  });

  it.each([
    ['ldapscheme=ldaps', { isLdaps: true, port: 636 }],
    ['ldapscheme=ldaps ldapport=1636', { isLdaps: true, port: 1636 }],
    ['ldapscheme=ldap ldaptls=1', { isLdaps: false, isStartTls: true, port: 389 }],
    ['ldaptls=0', { isStartTls: false }],
    [
      'ldapserver="a.example b.example 10.0.0.1 ::1"',
      { servers: ['a.example', 'b.example', '10.0.0.1', '::1'] },
    ],
    ['ldapsearchattribute=mail', { mode: { filter: { kind: 'attribute', attribute: 'mail' } } }],
    [
      'ldapsearchfilter="(|(uid=$username)(mail=$username))"',
      { mode: { filter: { kind: 'template', template: '(|(uid=$username)(mail=$username))' } } },
    ],
    ['ldapsearchfilter=uid=$username', { mode: { filter: { template: '(uid=$username)' } } }],
    [
      'ldapbinddn="cn=reader,dc=x" ldapbindpasswd="p w"',
      { mode: { bindDn: 'cn=reader,dc=x', bindPassword: 'p w' } },
    ],
  ])('%s', (text, expected) => {
    expect(parseLdapOptions(`${BASE} ${text}`)).toMatchObject(expected);
  });

  it.each([
    ['ldap://h/dc=x', { servers: ['h'], port: 389, mode: { baseDn: 'dc=x', scope: 'base' } }],
    ['LDAPS://h:1/dc=x', { isLdaps: true, port: 1 }],
    ['ldaps://h/dc=x', { isLdaps: true, port: 636 }],
    ['ldap://[::1]:1389/dc=x', { servers: ['::1'], port: 1389 }],
    [
      'ldap://h/ou=p%2Cq,dc=x?cn,mail?one',
      { mode: { baseDn: 'ou=p,q,dc=x', scope: 'one', filter: { attribute: 'cn' } } },
    ],
    ['ldap://h/dc=x?uid?sub', { mode: { scope: 'sub', filter: { attribute: 'uid' } } }],
    [
      'ldap://h/dc=x??SUB?(cn=$username)',
      { mode: { scope: 'sub', filter: { template: '(cn=$username)' } } },
    ],
  ])('from the URL %s', (url, expected) => {
    expect(parseLdapOptions(`ldapurl="${url}"`)).toMatchObject(expected);
  });

  it('from a URL go with single ones', () => {
    const text = 'ldapurl="ldap://h/dc=x?uid?sub" ldaptls=1 ldapbinddn=cn=r ldapbindpasswd=s';
    expect(parseLdapOptions(text)).toMatchObject({
      isStartTls: true,
      mode: { bindDn: 'cn=r', bindPassword: 's', filter: { attribute: 'uid' } },
    });
  });
});

describe('LDAP options that cannot be used', () => {
  it.each([
    ['ldapserver=', 'ldapserver is missing'],
    ['ldapserver=h', 'one of ldapbasedn, ldapprefix and ldapsuffix is needed'],
    ['ldapserver=h ldapprefix="" ldapsuffix=""', 'one of ldapbasedn, ldapprefix and ldapsuffix'],
    ['ldapserver=h:389 ldapprefix=a', 'ports go to ldapport'],
    ['ldapserver=ldap://h ldapprefix=a', 'ports go to ldapport'],
    ['ldapserver=h/x ldapprefix=a', 'ldapserver must be'],
    [`${BASE} ldapscheme=http`, 'ldapscheme must be ldap or ldaps'],
    [`${BASE} ldapscheme=ldaps ldaptls=1`, 'StartTLS) cannot be used on top of ldaps'],
    [`${BASE} ldaptls=yes`, 'ldaptls must be 0 or 1'],
    [`${BASE} ldapport=0`, 'invalid LDAP port number'],
    [`${BASE} ldapport=65536`, 'invalid LDAP port number'],
    [`${BASE} ldapport=x`, 'invalid LDAP port number'],
    [
      `${BASE} ldapprefix=a`,
      'cannot mix options for simple bind (ldapprefix, ldapsuffix) and search+bind (ldapbasedn)',
    ],
    ['ldapserver=h ldapsuffix=a ldapsearchfilter=b', 'cannot mix'],
    [`${BASE} ldapsearchattribute=a ldapsearchfilter=(b=$username)`, 'cannot be used together'],
    [`${BASE} ldapsearchattribute="a)(b"`, 'must be the name of an attribute'],
    [`${BASE} ldapsearchfilter=(objectClass=*)`, 'must have $username in it'],
    [`${BASE} ldapsearchfilter=(uid=$username`, 'parentheses that do not fit'],
    [`${BASE} ldapsearchfilter=(uid=$username))`, 'parentheses that do not fit'],
    [`${BASE} ldapsearchfilter=(uid=$username)(a=b)`, 'parentheses that do not fit'],
    [`${BASE} ldapbinddn=cn=r`, 'ldapbinddn needs ldapbindpasswd'],
    [`${BASE} nonsense`, 'LDAP options are name=value'],
    [`${BASE} ldapfoo=1`, 'unknown LDAP option ldapfoo'],
    [`${BASE} ldapscope=one`, 'unknown LDAP option ldapscope'],
    [`${BASE} LDAPPORT=1`, 'unknown LDAP option LDAPPORT'],
    [`${BASE} ldapbinddn="a`, 'a quote is not closed'],
    ['ldapurl=http://h/dc=x', 'ldapurl must be ldap[s]://'],
    ['ldapurl=ldap://h/dc=x?uid?some', 'the scope in ldapurl must be base, one or sub'],
    ['ldapurl=ldap://u:p@h/dc=x', 'no proper host and port'],
    ['ldapurl=ldap://h/dc=x?a?sub?(a=$username)', 'cannot be used together'],
    ['ldapurl=ldap://h/dc=x???x?!ext', 'extensions in ldapurl are not supported'],
    ['ldapurl=ldap://h/dc=%zz', 'two hexadecimal digits'],
    ['ldapurl=ldap://h', 'one of ldapbasedn'],
    ['ldapurl=ldap:///dc=x', 'ldapserver is missing'],
  ])('%s', (text, wrong) => {
    expect(checkLdapOptions(text)).toContain(wrong);
  });

  it('are not there at all when the text is empty, which only auth_type ldap minds', () => {
    expect(checkLdapOptions('')).toBeNull();
  });

  it('are described without a password', () => {
    for (const text of [
      'ldapserver=h ldapbindpasswd=hunter2',
      'ldapbindpasswd hunter2',
      '"hunter2=x"'.replace('=', ' '),
      'ldapserver=h ldapbasedn=a ldapbindpasswd=hunter2 ldapport=x',
      'ldapbindpasswd="hunter2',
    ]) {
      expect(checkLdapOptions(text)).toMatch(/^(?!.*hunter2)/);
    }
  });

  it('take no time, however they are made', () => {
    const text = `ldapurl=ldap://${'?'.repeat(50_000)} ${'"'.repeat(50_001)} ${'='.repeat(50_000)}`;
    const start = process.hrtime.bigint();
    expect(checkLdapOptions(text)).not.toBeNull();
    expect(Number(process.hrtime.bigint() - start) / 1e6).toBeLessThan(1000);
  });
});
