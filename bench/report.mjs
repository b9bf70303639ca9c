import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import * as prettier from 'prettier';
import { reportText } from './lib/report-text.mjs';

const PAGE = fileURLToPath(new URL('../docs/benchmarks.md', import.meta.url));
const USAGE = 'Usage: node bench/report.mjs RESULTS.json [PAGE.md]\n';

try {
  await main(process.argv.slice(2));
} catch (error) {
  process.stderr.write(`report: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}

/** @param {readonly string[]} args */
async function main([resultsFile, page = PAGE]) {
  if (resultsFile === undefined) {
    throw new Error(USAGE);
  }
  /** @type {import('./lib/summary.mjs').RunResults} */
  const results = JSON.parse(readFileSync(resultsFile, 'utf8'));
  if (results.format !== 1) {
    throw new Error(`${resultsFile} is of another format than this version writes`);
  }
  const isPublishable =
    !results.options.isQuick && results.contenders.some(({ nodePath }) => nodePath !== null);
  if (page === PAGE && !isPublishable) {
    throw new Error('a smoke test or self-check is no benchmark: name another page to write it to');
  }
  const style = await prettier.resolveConfig(page);
  const text = await prettier.format(reportText(results), { ...style, parser: 'markdown' });
  writeFileSync(page, text);
  process.stdout.write(`${page}\n`);
}
