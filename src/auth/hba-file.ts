import { parseLdapOptions } from '../config/ldap-options.ts';
import type { LdapOptions } from '../config/ldap-options.ts';
import {
  formatIpAddress,
  hasHostBits,
  parseIpAddress,
  prefixMask,
  withoutMapping,
} from '../net/ip-address.ts';
import type { IpNetwork } from '../net/ip-address.ts';
import { HbaNamesError, HbaNamesReader } from './hba-names.ts';
import type { NameFileReader } from './hba-names.ts';
import { HBA_CONNECTIONS } from './hba-rules.ts';
import type { HbaAddress, HbaConnection, HbaMethod, HbaRule } from './hba-rules.ts';
import { hbaLines, HbaTokenizer } from './hba-tokens.ts';
import { IdentMap } from './ident-map.ts';
import { findFilterProblem } from './ldap-client.ts';

/** Something to tell the operator about an HBA file. Never holds a password. */
export interface HbaProblem {
  /** Counted from 1. */
  readonly line: number;
  /** A clause. */
  readonly message: string;
  /** Whether the line was left out; otherwise it counts, and is probably not what was meant. */
  readonly isSkipped: boolean;
}

/** Result of {@link parseHbaFile}. */
export interface HbaFile {
  readonly rules: readonly HbaRule[];
  readonly problems: readonly HbaProblem[];
}

/** What the reading of an HBA file needs. */
export interface HbaSources {
  /** The path of the file: files of names are looked for beside it. */
  readonly file: string;
  /** `null` when their file cannot be read: then all of them are there, and map nobody. */
  readonly maps: ReadonlyMap<string, IdentMap> | null;
  readonly names: NameFileReader;
}

/** What methods are called in the file. `password` is PostgreSQL's word for what `plain` is. */
const METHODS: ReadonlyMap<string, HbaMethod> = new Map([
  ['trust', 'trust'],
  ['reject', 'reject'],
  ['md5', 'md5'],
  ['password', 'plain'],
  ['plain', 'plain'],
  ['scram-sha-256', 'scram-sha-256'],
  ['peer', 'peer'],
  ['cert', 'cert'],
  ['pam', 'pam'],
  ['ldap', 'ldap'],
]);

const IPV4_BYTES = 4;

const PAM_SERVICE_OPTION = 'pamservice=';
/** PAM would look for it as a file of its directory. */
const PAM_SERVICE_NAME = /^(?!\.)[A-Za-z0-9._-]{1,64}$/;
/** What may stand behind a method; `map` behind the others. */
const OPTION_OF: Readonly<Partial<Record<HbaMethod, string>>> = { pam: 'pamservice=NAME' };

/** Says why a line cannot be used, as a clause. */
class LineError extends Error {}

function fail(message: string): never {
  throw new LineError(message);
}

/**
 * Reads a file of host-based rules. A line that cannot be used is left out and reported; the others
 * count.
 *
 * Never throws.
 *
 * @param text - Content decoded as UTF-8.
 * @source PostgreSQL manual, "The pg_hba.conf File"; PgBouncer manual, "HBA file format"
 */
export function parseHbaFile(text: string, sources: HbaSources): HbaFile {
  const rules: HbaRule[] = [];
  const problems: HbaProblem[] = [];
  const names = new HbaNamesReader(sources.names);
  for (const { number, text: content } of hbaLines(text)) {
    const reader = new RuleReader(number, content, sources, names);
    try {
      rules.push(reader.read());
      for (const message of reader.warnings) {
        problems.push({ line: number, message, isSkipped: false });
      }
    } catch (error) {
      if (!(error instanceof LineError) && !(error instanceof HbaNamesError)) {
        throw error;
      }
      problems.push({ line: number, message: error.message, isSkipped: true });
    }
  }
  return { rules, problems };
}

/** What stands behind the method. */
interface Options {
  readonly map: IdentMap | null;
  readonly ldap: LdapOptions | null;
  readonly pamService: string | null;
}

/** Reads one line. */
class RuleReader {
  /** About a line that counts. */
  readonly warnings: string[] = [];
  readonly #number: number;
  readonly #line: HbaTokenizer;
  readonly #sources: HbaSources;
  readonly #names: HbaNamesReader;

  constructor(number: number, text: string, sources: HbaSources, names: HbaNamesReader) {
    this.#number = number;
    this.#line = new HbaTokenizer(text);
    this.#sources = sources;
    this.#names = names;
  }

  /** @throws LineError or HbaNamesError saying what is wrong. */
  read(): HbaRule {
    const connection = this.#readConnection();
    const { file } = this.#sources;
    const databases = this.#names.read('database', this.#line, file);
    const users = this.#names.read('user', this.#line, file);
    const address = connection === 'local' ? ({ kind: 'all' } as const) : this.#readAddress();
    const method = this.#readMethod();
    const options = this.#readOptions(method);
    this.#adviseOn(connection, method, options.map);
    return { line: this.#number, connection, databases, users, address, method, ...options };
  }

  #readConnection(): HbaConnection {
    const word = this.#line.word();
    const connection = HBA_CONNECTIONS.find(
      (known) => word?.isQuoted === false && known === word.text,
    );
    return connection ?? fail(`unknown type; known are ${HBA_CONNECTIONS.join(', ')}`);
  }

  #readAddress(): HbaAddress {
    const word = this.#line.word();
    if (word === null || word.isQuoted) {
      return fail(word === null ? 'did not find address' : 'the address must not be in quotes');
    }
    switch (word.text) {
      case 'all':
      case 'samehost':
      case 'samenet':
        return { kind: word.text };
      default:
        return { kind: 'network', network: this.#readNetwork(word.text) };
    }
  }

  #readNetwork(text: string): IpNetwork {
    const slash = text.indexOf('/');
    const address = parseIpAddress(slash < 0 ? text : text.slice(0, slash));
    if (address === null) {
      return fail(
        `failed to parse address - ${text}; allowed: an IPv4 or IPv6 address with a prefix length or a mask, all, samehost, samenet`,
      );
    }
    const mask =
      slash < 0
        ? this.#readMask(address.length)
        : readPrefix(text.slice(slash + 1), address.length);
    const network = { address, mask };
    if (hasHostBits(network)) {
      const [shown, shownMask] = [address, mask].map(formatIpAddress);
      this.warnings.push(
        `address does not match mask in ${this.#sources.file} line #${String(this.#number)}: ${shown ?? ''} / ${shownMask ?? ''}`,
      );
    }
    return withoutMappedPrefix(network);
  }

  #readMask(bytes: number): Uint8Array {
    const word = this.#line.word();
    if (word === null || word.isQuoted) {
      return fail('did not find mask');
    }
    const mask = parseIpAddress(word.text);
    return mask?.length === bytes ? mask : fail(`failed to parse mask: ${word.text}`);
  }

  #readMethod(): HbaMethod {
    const word = this.#line.word();
    if (word === null) {
      return fail(this.#line.isBroken ? 'a quote is not closed' : 'did not find method');
    }
    const method = word.isQuoted ? undefined : METHODS.get(word.text);
    return (
      method ??
      fail(`unsupported method: buf=${word.text}; known are ${[...METHODS.keys()].join(', ')}`)
    );
  }

  #readOptions(method: HbaMethod): Options {
    if (method === 'ldap') {
      const ldap = parseLdapOptions(this.#line.rest());
      if ('wrong' in ldap) {
        return fail(ldap.wrong);
      }
      const problem = findFilterProblem(ldap);
      return problem === null ? { map: null, ldap, pamService: null } : fail(problem);
    }
    const map = this.#readMap();
    const pamService = method === 'pam' ? this.#readPamService() : null;
    if (!this.#line.isAtEnd) {
      // The text is not repeated: it may be an option with a password, behind the wrong method.
      return fail(
        `unsupported parameters behind the method; known is one ${OPTION_OF[method] ?? 'map=NAME'}`,
      );
    }
    return { map, ldap: null, pamService };
  }

  /** @source PostgreSQL manual, "PAM Authentication" */
  #readPamService(): string | null {
    const token = this.#line.peek();
    if (token?.kind !== 'word' || token.isQuoted || !token.text.startsWith(PAM_SERVICE_OPTION)) {
      return null;
    }
    this.#line.next();
    const name =
      token.text === PAM_SERVICE_OPTION
        ? (this.#line.word()?.text ?? '')
        : token.text.slice(PAM_SERVICE_OPTION.length);
    return PAM_SERVICE_NAME.test(name)
      ? name
      : fail(
          'pamservice is not the name of a file: letters, digits, dots, - and _, 1 to 64 of them',
        );
  }

  #readMap(): IdentMap | null {
    const token = this.#line.peek();
    if (token?.kind !== 'word' || token.isQuoted || !token.text.startsWith('map')) {
      return null;
    }
    this.#line.next();
    if (!token.text.startsWith('map=')) {
      return fail(`Ident map ${token.text} is malformed. It is not in map=value format.`);
    }
    const name =
      token.text === 'map=' ? (this.#line.word()?.text ?? '') : token.text.slice('map='.length);
    const { maps } = this.#sources;
    return maps === null
      ? new IdentMap()
      : (maps.get(name) ?? fail(`Ident map ${name} is not found in ident config file`));
  }

  #adviseOn(connection: HbaConnection, method: HbaMethod, map: IdentMap | null): void {
    if (method === 'peer' && connection !== 'local') {
      this.warnings.push('peer lets nobody in but on local lines');
    }
    if (method === 'cert' && (connection === 'local' || connection === 'hostnossl')) {
      this.warnings.push('cert lets nobody in but on hostssl and host lines');
    }
    if (map !== null && method !== 'peer' && method !== 'cert') {
      this.warnings.push('map has no effect but with cert and peer');
    }
  }
}

/** Masks of prefix lengths, by length in bits and in bytes: thousands of lines have the same one. */
const masks = new Map<string, Uint8Array>();

function readPrefix(text: string, bytes: number): Uint8Array {
  const bits = /^[0-9]{1,3}$/.test(text) ? Number(text) : -1;
  const key = `${String(bits)}/${String(bytes)}`;
  const known = masks.get(key);
  if (known !== undefined) {
    return known;
  }
  const most = bytes === IPV4_BYTES ? 32 : 128;
  const mask = prefixMask(bits, bytes) ?? fail(`invalid mask; allowed: /0 to /${String(most)}`);
  masks.set(key, mask);
  return mask;
}

/** `::ffff:10.0.0.0/104` is about the clients that `10.0.0.0/8` is about: no others have such addresses. */
function withoutMappedPrefix(network: IpNetwork): IpNetwork {
  const { address, mask } = network;
  if (address.length === IPV4_BYTES) {
    return network;
  }
  const start = address.length - IPV4_BYTES;
  const isFixed = mask.subarray(0, start).every((byte) => byte === 0xff);
  const plain = isFixed ? withoutMapping(address) : address;
  return { address: plain, mask: plain === address ? mask : mask.slice(start) };
}
