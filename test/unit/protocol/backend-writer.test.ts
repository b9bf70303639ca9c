import { PassThrough } from 'node:stream';
import { parse as parseStream } from 'pg-protocol';
import { describe, expect, it } from 'vitest';
import * as w from '../../../src/protocol/backend-writer.ts';
import { BodyReader, decodeBackendKey, decodeErrorFields } from '../../support/backend-messages.ts';

/** Decodes by the package that the applications of this world decode with. */
function oracle(message: Buffer): object {
  const stream = new PassThrough();
  const found: object[] = [];
  void parseStream(stream, (decoded) => found.push(decoded));
  stream.emit('data', message);
  const [first] = found;
  if (found.length !== 1 || first === undefined) {
    throw new Error(`${String(found.length)} messages decoded`);
  }
  return first;
}

function hex(text: string): Buffer {
  return Buffer.from(text.replaceAll(' ', ''), 'hex');
}

describe('backend-writer: golden bytes', () => {
  it.each([
    ['AuthenticationOk', w.AUTHENTICATION_OK, '52 00000008 00000000'],
    ['ParseComplete', w.PARSE_COMPLETE, '31 00000004'],
    ['BindComplete', w.BIND_COMPLETE, '32 00000004'],
    ['CloseComplete', w.CLOSE_COMPLETE, '33 00000004'],
    ['NoData', w.NO_DATA_RESPONSE, '6e 00000004'],
    ['EmptyQueryResponse', w.EMPTY_QUERY_RESPONSE, '49 00000004'],
    ['cleartext', w.writeAuthenticationCleartextPassword(), '52 00000008 00000003'],
    [
      'md5',
      w.writeAuthenticationMd5Password(Buffer.from([1, 2, 3, 4])),
      '52 0000000c 00000005 01020304',
    ],
    ['SASL', w.writeAuthenticationSasl(['A', 'BC']), '52 0000000e 0000000a 4100 424300 00'],
    ['SASLContinue', w.writeAuthenticationSaslContinue('r=1'), '52 0000000b 0000000b 723d31'],
    ['SASLFinal', w.writeAuthenticationSaslFinal('v=1'), '52 0000000b 0000000c 763d31'],
    ['ParameterStatus', w.writeParameterStatus('a', 'é'), '53 00000009 6100 c3a900'],
    ['ReadyForQuery', w.writeReadyForQuery(0x54), '5a 00000005 54'],
    ['CommandComplete', w.writeCommandComplete('SHOW'), '43 00000009 53484f5700'],
    [
      'BackendKeyData',
      w.writeBackendKeyData(0xfffffffe, Buffer.from([9, 8, 7, 6])),
      '4b 0000000c fffffffe 09080706',
    ],
    [
      'NegotiateProtocolVersion',
      w.writeNegotiateProtocolVersion(0x30002, ['_pq_.x']),
      '76 00000013 00030002 00000001 5f70715f2e7800',
    ],
    ['ParameterDescription', w.writeParameterDescription([25]), '74 0000000a 0001 00000019'],
    ['DataRow', w.writeDataRow(['é', null, '']), '44 00000014 0003 00000002c3a9 ffffffff 00000000'],
  ])('%s', (_name, message, expected) => {
    expect(message.toString('hex')).toBe(hex(expected).toString('hex'));
  });
});

describe('backend-writer: as pg-protocol reads it', () => {
  it('rows and their description', () => {
    const description = w.writeRowDescription([
      { name: 'größe', typeOid: 25, typeSize: -1 },
      { name: 'n\0ul', typeOid: 4_294_967_295, typeSize: 4 },
    ]);
    expect(oracle(description)).toMatchObject({
      fieldCount: 2,
      fields: [
        { name: 'größe', dataTypeID: 25, dataTypeSize: -1, format: 'text' },
        { name: 'nul', dataTypeSize: 4, format: 'text' },
      ],
    });
    const row = oracle(w.writeDataRow(['ü€😀', null, '', 'a\0b']));
    expect(row).toMatchObject({ fields: ['ü€😀', null, '', 'a\0b'] });
  });

  it('errors and notices with all their fields', () => {
    const fields = {
      severity: 'FATAL',
      sqlstate: '08P01',
      message: 'näh',
      detail: 'why',
      hint: 'do',
    };
    expect(oracle(w.writeErrorResponse(fields))).toMatchObject({
      name: 'error',
      severity: 'FATAL',
      code: '08P01',
      message: 'näh',
      detail: 'why',
      hint: 'do',
    });
    expect(oracle(w.writeNoticeResponse(fields))).toMatchObject({ name: 'notice', code: '08P01' });
  });

  it('errors without optional fields', () => {
    const message = w.writeErrorResponse({ severity: 'ERROR', sqlstate: '57014', message: 'm' });
    expect(decodeErrorFields(message.subarray(5))).toEqual({
      S: 'ERROR',
      V: 'ERROR',
      C: '57014',
      M: 'm',
    });
  });

  it('zero bytes in a text cut nothing short and add no field', () => {
    const message = w.writeErrorResponse({
      severity: 'ERROR',
      sqlstate: '42601',
      message: 'a\0Cevil\0\0',
      detail: '\0',
    });
    expect(decodeErrorFields(message.subarray(5))).toMatchObject({
      C: '42601',
      M: 'aCevil',
      D: '',
    });
    const status = w.writeParameterStatus('a\0b', 'c\0d');
    expect(oracle(status)).toMatchObject({ parameterName: 'ab', parameterValue: 'cd' });
    expect(oracle(w.writeCommandComplete('SE\0T'))).toMatchObject({ text: 'SET' });
  });

  it('cancel keys of 4 to 256 bytes', () => {
    for (const bytes of [4, 32, 256]) {
      const key = decodeBackendKey(w.writeBackendKeyData(7, Buffer.alloc(bytes, 3)).subarray(5));
      expect(key).toEqual({ processId: 7, secretKey: Buffer.alloc(bytes, 3) });
    }
  });

  it('all transaction statuses', () => {
    for (const status of ['I', 'T', 'E']) {
      expect(oracle(w.writeReadyForQuery(status.charCodeAt(0)))).toMatchObject({ status });
    }
  });

  it('announced lengths are those of the bytes', () => {
    for (const message of [
      w.writeRowDescription([]),
      w.writeDataRow([]),
      w.writeParameterDescription([]),
      w.writeNegotiateProtocolVersion(0x30000, []),
    ]) {
      const reader = new BodyReader(message.subarray(1));
      expect(reader.int32()).toBe(message.length - 1);
    }
  });
});
