import type { Scenario } from './conformance.ts';

/** A scenario of console commands, each on the same connection. */
export function commands(
  name: string,
  statements: readonly string[],
  differences: Scenario['differences'] = [],
): Scenario {
  return {
    name,
    differences,
    run: async (stage) => {
      const console = await stage.enterConsole();
      for (const sql of statements) {
        await console.query(sql);
      }
    },
  };
}
