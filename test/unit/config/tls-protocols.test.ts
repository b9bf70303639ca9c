import { describe, expect, it } from 'vitest';
import { parseTlsProtocols } from '../../../src/config/tls-protocols.ts';

describe('a list of TLS versions', () => {
  it.each([
    ['secure', 'TLSv1.2 TLSv1.3'],
    ['default', 'TLSv1.2 TLSv1.3'],
    ['all', 'TLSv1 TLSv1.1 TLSv1.2 TLSv1.3'],
    ['tlsv1', 'TLSv1 TLSv1.1 TLSv1.2 TLSv1.3'],
    ['tlsv1.3', 'TLSv1.3'],
    ['TLSv1.3, tlsv1.2', 'TLSv1.2 TLSv1.3'],
    ['tlsv1.3:tlsv1.0', 'TLSv1 TLSv1.3'],
    ['!tlsv1.0', 'TLSv1.1 TLSv1.2 TLSv1.3'],
    ['all:!tlsv1.0,! tlsv1.1', 'TLSv1.2 TLSv1.3'],
    ['secure,!tlsv1.2', 'TLSv1.3'],
  ])('is read: %s', (text, versions) => {
    expect(parseTlsProtocols(text)?.join(' ')).toBe(versions);
  });

  it.each([
    '',
    'legacy',
    'tlsv1.4',
    'ssl3',
    'secure,',
    '!all',
    'tlsv1.3,!tlsv1.3',
    'secure default',
  ])('is refused: %j', (text) => {
    expect(parseTlsProtocols(text)).toBeNull();
  });
});
