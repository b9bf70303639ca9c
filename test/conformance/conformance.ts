import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { sharedPostgres } from '../support/shared-postgres.ts';
import { COMMON_DIFFERENCES } from './common-differences.ts';
import { describeHunk, findDifferences } from './comparison.ts';
import type { Difference } from './comparison.ts';
import { modernize } from './modernize.ts';
import { PoolerProcess, installedPgbouncer } from './pooler-process.ts';
import type { PoolerName } from './pooler-process.ts';
import {
  BOB,
  PASSWORD,
  Stage,
  iniText,
  makePlace,
  removePlace,
  usersText,
  writePlaceFile,
} from './stage.ts';
import type { IniSections, Place } from './stage.ts';

const BOTH: readonly PoolerName[] = ['pgbouncer', 'maitred'];

/** Time for all scenarios of a group on both poolers. */
const GROUP_TIMEOUT_MS = 120_000;

/** Something that clients do, the same on both poolers. */
export interface Scenario {
  /** What is compared. */
  readonly name: string;
  readonly run: (stage: Stage) => Promise<void>;
  /** The differences that it must show, each with an id of expected-differences.json. */
  readonly differences?: readonly Difference[];
}

/** Scenarios on one configuration. */
export interface Group {
  readonly name: string;
  readonly ini?: IniSections | ((place: Place) => IniSections);
  /** Lines of the users file; `admin`, `stats` and `bob` without a password by default. */
  readonly users?: Readonly<Record<string, string>>;
  /** A process of its own for each scenario. */
  readonly isFresh?: boolean;
  readonly prepare?: (place: Place) => Promise<void>;
  readonly scenarios: readonly Scenario[];
}

/** The differences that are known: what each id stands for. */
export const EXPECTED_DIFFERENCES: Readonly<Record<string, unknown>> = JSON.parse(
  readFileSync(new URL('expected-differences.json', import.meta.url), 'utf8'),
) as Record<string, unknown>;

/**
 * Runs the scenarios of a group on PgBouncer, then on maitred with the same files, and makes a test
 * of each: its two transcripts may differ by what is expected only.
 */
export function describeConformance(group: Group): void {
  const version = installedPgbouncer();
  if (version === null) {
    // eslint-disable-next-line no-console -- nothing is skipped without a word
    console.info(`PgBouncer is not installed: "${group.name}" is not compared with it`);
  }
  describe.skipIf(version === null)(group.name, () => {
    const transcripts: Record<PoolerName, string[][]> = { pgbouncer: [], maitred: [] };
    let place: Place | null = null;
    beforeAll(async () => {
      place = await makePlace(sharedPostgres());
      await place.postgres.createRole(BOB);
      await group.prepare?.(place);
      for (const name of BOTH) {
        transcripts[name] = await perform(group, name, place);
      }
    }, GROUP_TIMEOUT_MS);
    afterAll(() => {
      if (place !== null) {
        removePlace(place);
      }
    });
    it.each(group.scenarios.map((scenario, index) => ({ ...scenario, index })))(
      '$name',
      ({ index, differences = [] }) => {
        const both = BOTH.map((pooler) => transcripts[pooler][index] ?? []);
        compareTranscripts(both, differences);
      },
    );
  });
}

/**
 * Fails unless two transcripts differ by what is expected only.
 *
 * @param transcripts - PgBouncer's, then maitred's.
 */
export function compareTranscripts(
  transcripts: readonly (readonly string[])[],
  differences: readonly Difference[],
): void {
  const [pgbouncer = [], maitred = []] = transcripts;
  for (const line of [...pgbouncer, ...maitred]) {
    expect(line).not.toMatch(/^(?:the scenario failed|the pooler was not idle)/);
  }
  const { lines, ids } = modernize(pgbouncer);
  const found = findDifferences(lines, maitred, differences, COMMON_DIFFERENCES);
  const unexplained = found.unexplained.map(describeHunk).join('\n\n');
  expect(unexplained, '- PgBouncer, + maitred').toBe('');
  expect(found.stale, 'differences that were expected and not seen').toEqual([]);
  expect(Object.keys(EXPECTED_DIFFERENCES)).toEqual(expect.arrayContaining([...ids, ...found.ids]));
  expect(pgbouncer.length, 'something must have been compared').toBeGreaterThan(0);
}

async function perform(group: Group, name: PoolerName, place: Place): Promise<string[][]> {
  const transcripts: string[][] = [];
  let pooler: PoolerProcess | null = null;
  try {
    for (const scenario of group.scenarios) {
      if (pooler === null || group.isFresh === true) {
        await pooler?.stop();
        pooler = await start(group, name, place);
      }
      transcripts.push(await performScenario(scenario, new Stage(name, place, pooler)));
    }
  } finally {
    await pooler?.stop();
  }
  return transcripts;
}

function sectionsOf({ ini }: Group, place: Place): IniSections | undefined {
  return typeof ini === 'function' ? ini(place) : ini;
}

async function start(group: Group, name: PoolerName, place: Place): Promise<PoolerProcess> {
  const users = group.users ?? { admin: PASSWORD, stats: PASSWORD, [BOB]: PASSWORD };
  writePlaceFile(place, 'userlist.txt', usersText(users));
  const file = writePlaceFile(place, 'pgbouncer.ini', iniText(place, sectionsOf(group, place)));
  const pooler = new PoolerProcess(name, [file], place.directory);
  try {
    await pooler.waitUntilUp();
    return pooler;
  } catch (error) {
    await pooler.stop();
    throw error;
  }
}

/** A scenario that fails leaves its error in the transcript: on one pooler only, it shows there. */
async function performScenario(scenario: Scenario, stage: Stage): Promise<string[]> {
  try {
    await scenario.run(stage);
  } catch (error) {
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause.message : '';
    stage.note(`the scenario failed: ${String(error)} ${cause}`);
  }
  const transcript = [...stage.transcript];
  try {
    await stage.clear();
  } catch (error) {
    transcript.push(`the pooler was not idle: ${String(error)}`);
  }
  return transcript;
}
