import { describe, expect, it } from 'vitest';
import { withPooler } from '../support/scene.ts';
import { sharedPostgres } from '../support/shared-postgres.ts';

/*
 * A server converts a query from the client_encoding in force when it comes: that of the client before,
 * as long as the parameters of the next one are on their way.
 */
describe('tracked parameters behind a client with another encoding', () => {
  const settings = { track_extra_parameters: 'search_path' };

  it.each([
    ['LATIN1', 'é, "größe"'],
    ['EUC_JP', 'é'],
    ['SJIS', 'é'],
    ['SJIS', '"Á\\"'],
    ['SJIS', `"Á\\', false); SELECT pg_sleep(0); --"`],
    ['BIG5', '"\u{1F418}", "it\'s"'],
  ])('%s before it, search_path %j', async (encoding, path) => {
    await withPooler(sharedPostgres(), { settings }, async (scene) => {
      const before = await scene.login({ parameters: { client_encoding: encoding } });
      expect(await before.query('SHOW client_encoding')).toEqual([{ client_encoding: encoding }]);
      const parameters = { client_encoding: 'UTF8', search_path: path };
      const client = await scene.login({ parameters });
      const answer = "SELECT current_setting('search_path') AS path";
      expect(await client.query(answer)).toEqual([{ path }]);
    });
  });
});
