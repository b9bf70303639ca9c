import fs from 'node:fs';

/**
 * Prints "passed failed" of a vitest run: `node count-tests.mjs <JSON report> <exit status>`.
 * A run that fails without a failing test (a file that does not load, an unhandled error, a
 * timeout) counts as one failure.
 */

const [reportFile = '', statusText = '1'] = process.argv.slice(2);

function readReport() {
  try {
    return JSON.parse(fs.readFileSync(reportFile, 'utf8'));
  } catch {
    // The run ended before it could write one.
    return { numPassedTests: 0, numFailedTests: 0, testResults: [] };
  }
}

const report = readReport();
const brokenFiles = report.testResults.filter(
  ({ status, assertionResults }) =>
    status === 'failed' && !assertionResults.some((test) => test.status === 'failed'),
);
let failed = report.numFailedTests + brokenFiles.length;
if (failed === 0 && (Number(statusText) !== 0 || report.numPassedTests === 0)) {
  failed = 1;
}
process.stdout.write(`${report.numPassedTests} ${failed}\n`);
