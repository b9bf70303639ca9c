import { SETTINGS_IN_SHOW_ORDER } from '../../src/config/global-settings.ts';
import type { Setting } from '../../src/config/setting.ts';
import { OWN_SETTINGS } from '../../src/config/settings-process.ts';
import { NEWER_SETTINGS } from './common-differences.ts';
import { describeConformance } from './conformance.ts';
import type { Scenario } from './conformance.ts';
import { outcomeLine } from './set-differences.ts';
import type { Stage } from './stage.ts';
import type { StageClient } from './stage-client.ts';

const NUMBERS = [
  ...['0', '1', '7', '-1', '+4', ' 3', '007', '010', '0x10', '0X1f', '-0', '2147483647'],
  ...['1.5', '1e2', '.5', '5.', '09', '0b1', '1_000', '1,5', '1;2', 'abc', ''],
  ...['5s', '5min', '1kB', 'on', 'off', 'yes', 'true', '2147483648', '99999999999'],
];
const TEXTS = ['', 'abc', 'a, b c', "it''s", 'A  B', '<empty>', 'x'.repeat(200)];

/** Below it, PgBouncer takes no further command. */
const LEAST_PACKET_SIZE = 1024;

function valuesOf(name: string, { type, values }: Setting): readonly string[] {
  switch (type) {
    case 'str':
    case 'list':
      return TEXTS;
    case 'enum':
      if (name === 'client_tls_dheparams') {
        // A text to PgBouncer, which looks at it when it sets TLS up.
        return [...values, 'nonsense', ''];
      }
      return [...values, ...values.map((value) => value.toUpperCase()), 'nonsense', '', '0', '1'];
    default:
      return name === 'max_packet_size'
        ? NUMBERS.filter((text) => !(Math.abs(Number(text)) < LEAST_PACKET_SIZE))
        : NUMBERS;
  }
}

async function show(console: StageClient, name: string): Promise<string | null> {
  const rows = await console.raw.query('SHOW CONFIG');
  return rows.find(({ key }) => key === name)?.['value'] ?? null;
}

/** Gives a setting each of the values, and puts back what it had. */
async function setAll(stage: Stage, name: string, values: readonly string[]): Promise<void> {
  const console = await stage.enterConsole();
  const first = await show(console, name);
  let before = first;
  for (const value of values) {
    const { errors, results } = await console.raw.simpleQuery(`SET ${name} = '${value}'`);
    const after = await show(console, name);
    const isTaken = errors.length === 0;
    const line = outcomeLine({ name, value, isTaken, shown: isTaken ? String(after) : '' });
    const isAsExpected = isTaken
      ? results[0]?.tag === `SET ${name}=${value.replaceAll("''", "'")}`
      : errors[0]?.text.startsWith('SET failed') === true && after === before;
    stage.note(isAsExpected ? line : `${line}, but ${JSON.stringify([results, errors, after])}`);
    before = after;
  }
  await console.raw.simpleQuery(`SET ${name} = '${first ?? ''}'`);
  await console.raw.simpleQuery('RELOAD');
}

const KNOWN = SETTINGS_IN_SHOW_ORDER.filter(
  ([name, { reloadable }]) =>
    reloadable && !NEWER_SETTINGS.includes(name) && !(name in OWN_SETTINGS),
);

describeConformance({
  name: 'SET of each setting',
  scenarios: KNOWN.map(([name, setting]): Scenario => ({
    name,
    run: (stage) => setAll(stage, name, valuesOf(name, setting)),
  })),
});
