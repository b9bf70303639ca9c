/** How far below its base a search looks. */
export type LdapScope = 'base' | 'one' | 'sub';

/** What finds the entry of a user. */
export type LdapFilter =
  /** The entry whose attribute is the name of the user. */
  | { readonly kind: 'attribute'; readonly attribute: string }
  /** A filter in which `$username` stands for the name of the user. */
  | { readonly kind: 'template'; readonly template: string };

/** How the entry is found that a user's password is tried on. */
export type LdapMode =
  | { readonly kind: 'simple'; readonly prefix: string; readonly suffix: string }
  | {
      readonly kind: 'search';
      readonly baseDn: string;
      /** Who searches; empty for nobody in particular. */
      readonly bindDn: string;
      readonly bindPassword: string;
      readonly scope: LdapScope;
      readonly filter: LdapFilter;
    };

/** How passwords are checked by LDAP. */
export interface LdapOptions {
  /** Names or addresses, tried in their order; at least one. */
  readonly servers: readonly string[];
  /** 1 to 65535. */
  readonly port: number;
  /** Whether the connection is encrypted from its first byte. */
  readonly isLdaps: boolean;
  /** Whether it is encrypted by StartTLS. */
  readonly isStartTls: boolean;
  readonly mode: LdapMode;
}

const LDAP_PORT = 389;
const LDAPS_PORT = 636;

const NAMES = [
  'ldapserver',
  'ldapport',
  'ldapscheme',
  'ldaptls',
  'ldapbasedn',
  'ldapbinddn',
  'ldapbindpasswd',
  'ldapsearchattribute',
  'ldapsearchfilter',
  'ldapprefix',
  'ldapsuffix',
  'ldapurl',
] as const;
type Name = (typeof NAMES)[number];

/** The options as given; those of an ldapurl are among them, under their own names. */
type Given = Map<Name | 'ldapscope', string>;

/** Says what is wrong with options, as a clause without any value that may be secret. */
class LdapOptionsError extends Error {}

/**
 * Reads LDAP options: `name=value` with spaces or commas between; values, or whole options, may be
 * in double quotes, with `""` for a quote.
 *
 * @param text - What `auth_ldap_options` has, or an HBA line behind its method.
 * @returns The options, or what is wrong with them as a clause that holds no secret. Never throws.
 * @source PostgreSQL manual, "LDAP Authentication"; PgBouncer manual, "auth_ldap_options"
 */
export function parseLdapOptions(text: string): LdapOptions | { readonly wrong: string } {
  try {
    return buildOptions(readPairs(text));
  } catch (error) {
    if (error instanceof LdapOptionsError) {
      return { wrong: error.message };
    }
    throw error;
  }
}

/**
 * Checks the text of `auth_ldap_options`; empty is as not set.
 *
 * @returns What is wrong as a clause, or `null`.
 */
export function checkLdapOptions(text: string): string | null {
  if (text === '') {
    return null;
  }
  const options = parseLdapOptions(text);
  return 'wrong' in options ? options.wrong : null;
}

function fail(message: string): never {
  throw new LdapOptionsError(message);
}

function readPairs(text: string): Given {
  const given: Given = new Map();
  for (const word of splitWords(text)) {
    const equals = word.indexOf('=');
    // What stands before the sign is a name, and the rest may be a password.
    const key = equals < 0 ? '' : word.slice(0, equals);
    const name = NAMES.find((known) => known === key);
    if (name === undefined) {
      fail(
        /^\w{1,40}$/.test(key)
          ? `unknown LDAP option ${key}; known are ${NAMES.join(', ')}`
          : 'LDAP options are name=value, with spaces between; quote values that have spaces or commas',
      );
    }
    const value = word.slice(equals + 1);
    if (name === 'ldapurl') {
      takeUrl(value, given);
    } else {
      given.set(name, value);
    }
  }
  return given;
}

/** Splits at spaces and commas outside of quotes, and takes the quotes away. A `#` ends the text. */
function splitWords(text: string): string[] {
  const words: string[] = [];
  let word: string | null = null;
  let isQuoted = false;
  for (let offset = 0; offset < text.length; offset++) {
    const character = text.charAt(offset);
    if (character === '"') {
      const isEscaped: boolean = isQuoted && text.charAt(offset + 1) === '"';
      offset += isEscaped ? 1 : 0;
      isQuoted = isEscaped || !isQuoted;
      word = `${word ?? ''}${isEscaped ? '"' : ''}`;
    } else if (isQuoted || !/[\s,#]/.test(character)) {
      word = `${word ?? ''}${character}`;
    } else {
      if (word !== null) {
        words.push(word);
        word = null;
      }
      if (character === '#') {
        return words;
      }
    }
  }
  if (isQuoted) {
    fail('a quote is not closed');
  }
  return word === null ? words : [...words, word];
}

/**
 * Takes the parts of an LDAP URL: `ldap[s]://host[:port]/basedn[?attribute[?scope[?filter]]]`.
 *
 * @source RFC 4516; PostgreSQL manual, "LDAP Authentication", ldapurl
 */
function takeUrl(text: string, given: Given): void {
  const match =
    /^(ldaps?):\/\/([^/?#]*)(?:\/([^?#]*))?(?:\?([^?#]*))?(?:\?([^?#]*))?(?:\?([^?#]*))?(\?.*)?$/i.exec(
      text,
    );
  if (match === null) {
    fail('ldapurl must be ldap[s]://host[:port]/basedn[?attribute[?scope[?filter]]]');
  }
  const [, scheme = '', authority = '', baseDn = '', attributes = '', scope = '', filter = ''] =
    match.slice(0, 7).map((part: string | undefined) => part ?? '');
  if (match[7] !== undefined) {
    fail('extensions in ldapurl are not supported');
  }
  given.set('ldapscheme', scheme.toLowerCase());
  takeAuthority(authority, given);
  // An empty part says nothing.
  const parts: readonly (readonly [Name | 'ldapscope', string])[] = [
    ['ldapbasedn', decode(baseDn)],
    ['ldapsearchattribute', decode(attributes.split(',')[0] ?? '')],
    ['ldapsearchfilter', decode(filter)],
  ];
  for (const [name, value] of parts) {
    if (value !== '') {
      given.set(name, value);
    }
  }
  given.set('ldapscope', scope === '' ? 'base' : scope.toLowerCase());
}

function takeAuthority(authority: string, given: Given): void {
  const match = /^(\[[0-9a-fA-F:.]+\]|[^:@[\]]*)(?::([0-9]*))?$/.exec(authority);
  if (match === null) {
    fail('ldapurl has no proper host and port; the one who searches is given by ldapbinddn');
  }
  const host = decode(match[1] ?? '').replace(/^\[|\]$/g, '');
  const port = match[2] ?? '';
  if (host !== '') {
    given.set('ldapserver', host);
  }
  if (port !== '') {
    given.set('ldapport', port);
  }
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return fail('ldapurl has a % that is not followed by two hexadecimal digits of UTF-8');
  }
}

function buildOptions(given: Given): LdapOptions {
  const servers = (given.get('ldapserver') ?? '').split(/\s+/).filter((server) => server !== '');
  if (servers.length === 0) {
    fail('ldapserver is missing');
  }
  if (!servers.every(isServer)) {
    fail('ldapserver must be names or addresses with spaces between; ports go to ldapport');
  }
  const isLdaps = readScheme(given) === 'ldaps';
  const isStartTls = readSwitch(given.get('ldaptls') ?? '0');
  if (isLdaps && isStartTls) {
    fail('ldaptls (StartTLS) cannot be used on top of ldaps');
  }
  const port = readPort(given.get('ldapport'), isLdaps ? LDAPS_PORT : LDAP_PORT);
  return { servers, port, isLdaps, isStartTls, mode: readMode(given) };
}

/** Whether a text may be a host name or an address; one colon would be that of a port. */
function isServer(text: string): boolean {
  return text.includes(':')
    ? /^[\da-f]*:[\da-f:.]*:[\da-f.]*(?:%\w+)?$/i.test(text)
    : !/[/?#@\\[\]]/.test(text);
}

function readScheme(given: Given): string {
  const scheme = given.get('ldapscheme') ?? 'ldap';
  if (scheme !== 'ldap' && scheme !== 'ldaps') {
    fail('ldapscheme must be ldap or ldaps');
  }
  return scheme;
}

function readSwitch(text: string): boolean {
  if (text !== '0' && text !== '1') {
    fail('ldaptls must be 0 or 1');
  }
  return text === '1';
}

function readPort(text: string | undefined, usual: number): number {
  if (text === undefined) {
    return usual;
  }
  const port = /^[0-9]{1,5}$/.test(text) ? Number(text) : 0;
  if (port < 1 || port > 65_535) {
    fail('invalid LDAP port number');
  }
  return port;
}

const SEARCH_OPTIONS = [
  'ldapbasedn',
  'ldapbinddn',
  'ldapbindpasswd',
  'ldapsearchattribute',
  'ldapsearchfilter',
] as const;

function readMode(given: Given): LdapMode {
  const prefix = given.get('ldapprefix') ?? '';
  const suffix = given.get('ldapsuffix') ?? '';
  if (prefix !== '' || suffix !== '') {
    const other = SEARCH_OPTIONS.find((name) => given.has(name)) ?? null;
    if (other !== null) {
      fail(
        `cannot mix options for simple bind (ldapprefix, ldapsuffix) and search+bind (${other})`,
      );
    }
    return { kind: 'simple', prefix, suffix };
  }
  const baseDn = given.get('ldapbasedn') ?? '';
  if (baseDn === '') {
    fail('one of ldapbasedn, ldapprefix and ldapsuffix is needed');
  }
  const bindDn = given.get('ldapbinddn') ?? '';
  const bindPassword = given.get('ldapbindpasswd') ?? '';
  if (bindDn !== '' && bindPassword === '') {
    // A server takes such a bind for an anonymous one, and finds less than was meant.
    fail('ldapbinddn needs ldapbindpasswd');
  }
  return {
    kind: 'search',
    baseDn,
    bindDn,
    bindPassword,
    scope: readScope(given),
    filter: readFilter(given),
  };
}

function readScope(given: Given): LdapScope {
  const scope = given.get('ldapscope') ?? 'sub';
  if (scope !== 'base' && scope !== 'one' && scope !== 'sub') {
    fail('the scope in ldapurl must be base, one or sub');
  }
  return scope;
}

function readFilter(given: Given): LdapFilter {
  const template = given.get('ldapsearchfilter');
  const attribute = given.get('ldapsearchattribute');
  if (template === undefined) {
    const name = attribute ?? 'uid';
    if (!/^[A-Za-z0-9][A-Za-z0-9.;-]*$/.test(name)) {
      fail('ldapsearchattribute must be the name of an attribute');
    }
    return { kind: 'attribute', attribute: name };
  }
  if (attribute !== undefined) {
    fail('ldapsearchattribute and ldapsearchfilter cannot be used together');
  }
  if (!template.includes('$username')) {
    fail('ldapsearchfilter must have $username in it: it would find the same entry for every user');
  }
  const full = template.startsWith('(') ? template : `(${template})`;
  if (!isBalanced(full)) {
    fail('ldapsearchfilter has parentheses that do not fit together');
  }
  return { kind: 'template', template: full };
}

/** Whether a filter is one pair of parentheses around everything, and pairs inside. */
function isBalanced(filter: string): boolean {
  let depth = 0;
  for (let offset = 0; offset < filter.length; offset++) {
    const character = filter.charAt(offset);
    depth += character === '(' ? 1 : 0;
    depth -= character === ')' ? 1 : 0;
    if (depth < 0 || (depth === 0 && offset < filter.length - 1)) {
      return false;
    }
  }
  return depth === 0;
}
