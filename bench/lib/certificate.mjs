import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { makeTempDirectory, removeTempDirectory } from './lifetime.mjs';

/**
 * @typedef {object} Certificate
 * @property {string} certificate - PEM
 * @property {string} key - PEM
 */

/** @type {Certificate | null} */
let made = null;

/**
 * Makes the certificate that all poolers show: ECDSA on P-256, as certificate authorities issue
 * today.
 *
 * @returns {Certificate} the same one for the whole run
 * @throws {Error} when the program openssl is missing
 */
export function benchCertificate() {
  if (made === null) {
    const directory = makeTempDirectory('certificate');
    try {
      const files = ['cert.pem', 'key.pem'].map((name) => path.join(directory, name));
      const [certFile = '', keyFile = ''] = files;
      const result = spawnSync('openssl', [
        ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'],
        ...['-days', '30', '-subj', '/CN=localhost', '-out', certFile, '-keyout', keyFile],
      ]);
      if (result.status !== 0) {
        throw new Error('scenarios with TLS need the program openssl', { cause: result.error });
      }
      made = {
        certificate: readFileSync(certFile, 'utf8'),
        key: readFileSync(keyFile, 'utf8'),
      };
    } finally {
      removeTempDirectory(directory);
    }
  }
  return made;
}
