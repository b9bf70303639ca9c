import {
  decodeErrorFields,
  decodeParameterStatus,
  decodeRowDescription,
  decodeTextRow,
} from '../support/backend-messages.ts';
import type { FieldDescription, WireMessage } from '../support/backend-messages.ts';

/** Up to this many columns, a row is one line; beyond it, each cell is one. */
const COLUMNS_ON_ONE_LINE = 6;

/** Columns whose values no two processes share. */
const VOLATILE_COLUMNS = new Map([
  ['ptr', 'PTR'],
  ['link', 'PTR'],
  ['remote_pid', 'PID'],
  ['id', 'ID'],
  ['connect_time', 'TIME'],
  ['request_time', 'TIME'],
  ['wait', 'WAIT'],
  ['wait_us', 'WAIT'],
  ['maxwait_us', 'WAIT'],
  ['fd', 'FD'],
  ['cancel', 'KEY'],
]);

/** Turns the messages of a server into lines of text, without what differs from run to run. */
export class MessageRenderer {
  #fields: readonly FieldDescription[] = [];
  readonly #isKnownPort: (port: string) => boolean;

  /** @param isKnownPort - Ports that stay; others are those that the system has chosen. */
  constructor(isKnownPort: (port: string) => boolean) {
    this.#isKnownPort = isKnownPort;
  }

  /** The lines for one message. */
  render({ type, body }: WireMessage): string[] {
    switch (type) {
      case 'R':
        return [renderAuthentication(body)];
      case 'S':
        return [`ParameterStatus ${decodeParameterStatus(body).join('=')}`];
      case 'K':
        return [`BackendKeyData of ${String(body.length)} bytes`];
      case 'E':
      case 'N':
        return renderFields(type === 'E' ? 'ErrorResponse' : 'NoticeResponse', body);
      case 'T':
        this.#fields = decodeRowDescription(body);
        return ['RowDescription', ...this.#fields.map(renderField)];
      case 'D':
        return this.#row(decodeTextRow(body));
      case 'C':
        return [`CommandComplete ${body.toString('utf8', 0, body.length - 1)}`];
      case 'Z':
        return [`ReadyForQuery ${body.toString('latin1')}`];
      default:
        return [`message ${type} ${body.toString('hex')}`];
    }
  }

  #row(values: readonly (string | null)[]): string[] {
    const cells = this.#fields.map(({ name }, index) => this.#cell(name, values[index] ?? null));
    return cells.length <= COLUMNS_ON_ONE_LINE
      ? [`DataRow ${cells.join(' | ')}`]
      : ['DataRow', ...cells.map((cell) => `  ${cell}`)];
  }

  #cell(name: string, value: string | null): string {
    const stand = VOLATILE_COLUMNS.get(name);
    if (value !== null && value !== '' && stand !== undefined) {
      return `${name}: ${stand}`;
    }
    const isPort = name === 'port' || name === 'local_port';
    if (isPort && value !== null && !this.#isKnownPort(value)) {
      return `${name}: PORT`;
    }
    return `${name}: ${value === null ? 'NULL' : JSON.stringify(value)}`;
  }
}

function renderField(field: FieldDescription): string {
  const { name, tableOid, columnNumber, typeOid, typeSize, typeModifier, format } = field;
  const numbers = [tableOid, columnNumber, typeOid, typeSize, typeModifier, format];
  return `  column ${name}: ${numbers.join(' ')}`;
}

/** Each field of an error is a line of its own, in the order in which they were sent. */
function renderFields(kind: string, body: Buffer): string[] {
  const fields = Object.entries(decodeErrorFields(body));
  const text = fields.find(([code]) => code === 'M')?.[1] ?? '';
  const others = fields.filter(([code]) => code !== 'M');
  // Why it failed is maitred's own to say.
  const shown = text.replace(/^((?:SET|RELOAD) failed[^:]*): .*/s, '$1: REASON');
  return [`${kind} ${shown}`, ...others.map(([code, value]) => `  ${code}: ${value}`)];
}

/** Salts and nonces are random; what is asked for is not. */
function renderAuthentication(body: Buffer): string {
  const code = body.readInt32BE(0);
  const rest = body.subarray(4);
  switch (code) {
    case 5:
      return `Authentication 5, salt of ${String(rest.length)} bytes`;
    case 10:
      return `Authentication 10 ${rest.toString('latin1').replaceAll('\0', '/')}`;
    case 11:
      return `Authentication 11 ${rest.toString('latin1').replace(/^r=[^,]+,s=[^,]+/, 'r=R,s=S')}`;
    case 12:
      return `Authentication 12 ${rest.toString('latin1').replace(/^v=.+/, 'v=V')}`;
    default:
      return `Authentication ${String(code)} ${rest.toString('hex')}`.trimEnd();
  }
}
