import { throwIfStopping } from './lifetime.mjs';
import { startPooler } from './poolers.mjs';

/** Lines of each pooler's log shown with a failure. */
const LOG_LINES_SHOWN = 5;

/** @typedef {import('./measure.mjs').Sample} Sample */
/** @typedef {import('./poolers.mjs').Contender} Contender */
/** @typedef {import('./poolers.mjs').Pooler} Pooler */
/** @typedef {import('./scenarios.mjs').Scenario} Scenario */

/**
 * @typedef {object} ScenarioResult
 * @property {string} name
 * @property {string} title
 * @property {Record<string, Sample[]>} samples - by contender, one per round
 * @property {string | null} failure - why the scenario has no or too few samples
 */

/**
 * Measures all contenders in one scenario, taking turns: A B C, A B C, and so on. Whatever else
 * the machine does meanwhile then hits all of them, and ratios within a round stay true.
 *
 * @param {Scenario} scenario
 * @param {readonly Contender[]} contenders
 * @param {import('./wire-client.mjs').Target} postgres
 * @param {{ rounds: number, onProgress: (text: string) => void }} run
 * @returns {Promise<ScenarioResult>} with `failure` set when a pooler or its load failed
 * @throws {Error} when the benchmark is ending
 */
export async function runScenario(scenario, contenders, postgres, { rounds, onProgress }) {
  /** @type {Record<string, Sample[]>} */
  const samples = Object.fromEntries(contenders.map(({ name }) => [name, []]));
  /** @type {Map<Contender, Pooler>} */
  const running = new Map();
  const pooler = async (/** @type {Contender} */ contender) => {
    const present = running.get(contender);
    if (present !== undefined) {
      return present;
    }
    const started = await startPooler(contender, postgres, scenario);
    running.set(contender, started);
    await scenario.warmUp(started);
    return started;
  };
  /** @type {string | null} */
  let failure = null;
  try {
    if (!scenario.needsFreshPooler) {
      for (const contender of contenders) {
        onProgress(`warming up ${contender.name}`);
        await pooler(contender);
      }
    }
    for (let round = 1; round <= rounds; round += 1) {
      for (const contender of contenders) {
        onProgress(`round ${String(round)} of ${String(rounds)}: ${contender.name}`);
        samples[contender.name]?.push(await scenario.measure(await pooler(contender)));
        if (scenario.needsFreshPooler) {
          await running.get(contender)?.stop();
          running.delete(contender);
        }
      }
    }
  } catch (error) {
    throwIfStopping();
    failure = describeFailure(error, running);
  }
  await Promise.all([...running.values()].map((started) => started.stop()));
  return { name: scenario.name, title: scenario.title, samples, failure };
}

/**
 * @param {unknown} error
 * @param {ReadonlyMap<Contender, Pooler>} running
 */
function describeFailure(error, running) {
  const endings = [...running].flatMap(([{ name }, { ending }]) => {
    const how = ending();
    // What failed then failed because of it: say this first.
    return how === null ? [] : [`${name} has ended (${how}); `];
  });
  const logs = [...running].flatMap(([{ name }, { logTail }]) => {
    const log = logTail().split('\n').slice(-LOG_LINES_SHOWN).join('\n');
    return log === '' ? [] : [`\n${name} wrote:\n${log}`];
  });
  return [...endings, error instanceof Error ? error.message : String(error), ...logs].join('');
}
