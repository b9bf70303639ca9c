/**
 * Writes the generated files of docs/ from the built tables. With `--check`, writes nothing and
 * exits with 1 when a file differs from its table. Run after `npm run build`.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const root = new URL('../', import.meta.url);

/** Imports a built module. */
function built(path) {
  return import(new URL(`dist/${path}`, root).href);
}

/** Every generated file, and how its text is made. */
const DOCUMENTS = [
  {
    file: 'docs/CONFIG.md',
    render: async () => (await built('config/config-doc.js')).renderConfigDoc(),
  },
];

/** Reads a file, or returns `null` when there is none. */
function readIfThere(url) {
  try {
    return readFileSync(url, 'utf8');
  } catch (error) {
    if (error.code === 'ENOENT') {
      return null;
    }
    throw new Error(`cannot read ${fileURLToPath(url)}`, { cause: error });
  }
}

const isCheck = process.argv.includes('--check');
for (const { file, render } of DOCUMENTS) {
  const url = new URL(file, root);
  const wanted = await render();
  if (!isCheck) {
    writeFileSync(url, wanted);
    console.log(`wrote ${file}`);
  } else if (readIfThere(url) === wanted) {
    console.log(`${file} is up to date`);
  } else {
    console.error(`${file} differs from its table: run npm run docs:generate`);
    process.exitCode = 1;
  }
}
