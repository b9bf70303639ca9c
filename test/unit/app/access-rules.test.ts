import { describe, expect, it } from 'vitest';
import {
  describeAccessProblem,
  loadAccessRules,
  type AccessRules,
} from '../../../src/app/access-rules.ts';
import { ldapCertificates } from '../../../src/app/ldap-trust.ts';
import { cachedLocalNetworks, readLocalNetworks } from '../../../src/app/local-networks.ts';
import { DEFAULT_SETTINGS } from '../../../src/config/config.ts';

/** Reads from a handful of files. */
function reader(files: Readonly<Record<string, string>>): (file: string) => string {
  return (file) => {
    const text = files[file];
    if (text === undefined) {
      throw new Error('ENOENT');
    }
    return text;
  };
}

function load(
  files: Readonly<Record<string, string>>,
  authIdentFile: string | null = '/c/ident',
  why: string | null = null,
): AccessRules {
  const settings = { ...DEFAULT_SETTINGS, authHbaFile: '/c/hba', authIdentFile };
  return loadAccessRules(settings, { readText: reader(files), unavailable: () => why });
}

function told(rules: AccessRules): string[] {
  return rules.problems.map(describeAccessProblem);
}

describe('the files of auth_type hba', () => {
  it('are read together', () => {
    const found = load({ '/c/hba': 'local all @u cert map=m', '/c/ident': 'm a b', '/c/u': 'ann' });
    expect(found.problems.filter(({ isSkipped }) => isSkipped)).toEqual([]);
    expect(found.rules).toMatchObject([{ method: 'cert' }]);
    expect(found.rules?.[0]?.map?.find(['a'], 'b')).toBe('mapped');
  });

  it('tell each bad line, the ident file first', () => {
    const files = { '/c/hba': 'x\nlocal all all trust\nlocal all all gss', '/c/ident': '\nm a' };
    expect(told(load(files))).toEqual([
      '/c/ident:2: expected a map, a system name and a database user; the line does not count',
      '/c/hba:1: unknown type; known are local, host, hostssl, hostnossl; the line does not count',
      expect.stringMatching(/^\/c\/hba:3: unsupported method: buf=gss/),
    ]);
  });

  it('may be missing', () => {
    expect(load({ '/c/ident': '' }).rules).toBeNull();
    expect(told(load({}))).toEqual([
      'could not open ident config file /c/ident: ENOENT',
      'could not open hba config file /c/hba: ENOENT',
    ]);
    expect(load({ '/c/hba': 'local all all trust' }, null)).toMatchObject({ problems: [] });
    expect(load({ '/c/hba': 'local all all trust' }).rules).toHaveLength(1);
  });

  it('have lines with a map refuse whoever they match when there are no maps to be had', () => {
    const found = load({ '/c/hba': 'local all all peer map=m\nlocal all all trust' });
    expect(found.isWithoutMaps).toBe(true);
    expect(found.rules?.map(({ method }) => method)).toEqual(['peer', 'trust']);
    expect(found.rules?.[0]?.map?.find(['root'], 'root')).toBe('unmapped');
    expect(told(found)).toEqual(['could not open ident config file /c/ident: ENOENT']);
  });

  it('keep lines whose method this process does not have, and say so', () => {
    const text = 'local all all peer\nhost all all all pam\nlocal all all trust';
    const found = load({ '/c/hba': text }, null, 'there is no PAM');
    expect(found.rules?.map(({ method }) => method)).toEqual(['peer', 'pam', 'trust']);
    expect(told(found)).toEqual([
      '/c/hba:1: peer cannot be used: there is no PAM; this line refuses whoever it matches',
      '/c/hba:2: pam cannot be used: there is no PAM; this line refuses whoever it matches',
    ]);
    expect(load({ '/c/hba': text }, null).problems).toEqual([]);
  });
});

describe('the networks of this machine', () => {
  it('include the loopback address', () => {
    const networks = readLocalNetworks();
    expect(networks.map(({ address }) => address.join('.'))).toContain('127.0.0.1');
    for (const { address, mask } of networks) {
      expect(mask).toHaveLength(address.length);
    }
  });

  it('are asked for once in a while', () => {
    let nowMs = 0;
    let asked = 0;
    const networks = cachedLocalNetworks(
      () => nowMs,
      () => {
        asked++;
        return [];
      },
    );
    networks();
    networks();
    expect(asked).toBe(1);
    nowMs = 1000;
    networks();
    expect(asked).toBe(2);
  });
});

describe('the certificates for LDAP', () => {
  const conf = '/etc/ldap/ldap.conf';
  const other = '/etc/openldap/ldap.conf';
  it.each([
    [{}, {}, null],
    [{ LDAPTLS_CACERT: '/ca' }, { '/ca': 'PEM', [conf]: 'TLS_CACERT /b' }, 'PEM'],
    [{ LDAPTLS_CACERT: '' }, { [conf]: 'TLS_CACERT /b' }, null],
    [{}, { [conf]: '# TLS_CACERT /a\n\ttls_cacert\t/b # x\n', '/b': 'B' }, 'B'],
    [{}, { [conf]: 'TLS_CACERTDIR /d\n', [other]: 'TLS_CACERT /b', '/b': 'B' }, 'B'],
  ])('%j with %j', (env, files, expected) => {
    expect(ldapCertificates(env, reader(files as Record<string, string>))).toBe(expected);
  });

  it('that are named and not there are an error', () => {
    expect(() => ldapCertificates({ LDAPTLS_CACERT: '/ca' }, reader({}))).toThrow('ENOENT');
  });
});
