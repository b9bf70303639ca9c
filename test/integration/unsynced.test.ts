import { expect, it } from 'vitest';
import * as frontend from '../support/frontend-messages.ts';
import { backendPid, withPooler } from '../support/scene.ts';
import { sharedPostgres } from '../support/shared-postgres.ts';

/*
 * PostgreSQL 18 answers the query after `Parse Bind Execute Query Sync` with
 * `XX000 StartTransactionCommand: unexpected state STARTED`, whoever sends it, although
 * ReadyForQuery said idle.
 */
it('a query behind unsynced messages does not spoil the server connection for others', async () => {
  await withPooler(sharedPostgres(), { settings: { default_pool_size: 1 } }, async (scene) => {
    const [client, other] = await scene.logins(2);
    const pid = await backendPid(other);
    const batch = [frontend.parse('SELECT 2'), frontend.bind(), frontend.execute()];
    client.send(...batch, frontend.query('SELECT 3'), frontend.sync());
    await client.readUntil('Z');
    await client.readUntil('Z');
    expect(await other.query('SELECT 1 AS one')).toEqual([{ one: '1' }]);
    expect(await backendPid(other)).not.toBe(pid);
  });
});

it('a query behind a Sync keeps the server connection', async () => {
  await withPooler(sharedPostgres(), { settings: { default_pool_size: 1 } }, async (scene) => {
    const [client, other] = await scene.logins(2);
    const pid = await backendPid(other);
    const batch = [frontend.parse('SELECT 2'), frontend.bind(), frontend.execute()];
    client.send(...batch, frontend.sync(), frontend.query('SELECT 3'));
    await client.readUntil('Z');
    await client.readUntil('Z');
    expect(await backendPid(other)).toBe(pid);
  });
});
