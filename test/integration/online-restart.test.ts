import { describe, expect, it } from 'vitest';
import { canReusePort } from '../../src/net/reuse-port.ts';
import * as frontend from '../support/frontend-messages.ts';
import { startPooler } from '../support/pooler-fixture.ts';
import type { PoolerFixture } from '../support/pooler-fixture.ts';
import { RawClient } from '../support/raw-client.ts';
import { refusalOf } from '../support/refusal.ts';
import { sharedPostgres } from '../support/shared-postgres.ts';
import { Visitors } from '../support/visitors.ts';
import { waitFor, withDeadline } from '../support/wait-for.ts';

const postgres = sharedPostgres();
const target = { host: postgres.host, port: postgres.port, dbname: postgres.database };
const hasReusePort = canReusePort(process.versions.node);
const account = { user: 'postgres', database: 'app' };

function start(settings: Readonly<Record<string, unknown>>): Promise<PoolerFixture> {
  return startPooler({
    config: { maitred: { pool_mode: 'transaction', ...settings }, databases: { app: target } },
  });
}

describe('an online restart', () => {
  it.skipIf(hasReusePort)('by so_reuseport needs a newer Node.js', (context) => {
    context.skip(`Node.js ${process.version} has no reusePort: so_reuseport is not tested`);
  });

  it.runIf(hasReusePort)(
    'by so_reuseport and SHUTDOWN WAIT_FOR_CLIENTS refuses nobody',
    async () => {
      const old = await start({ so_reuseport: 1 });
      let next: PoolerFixture | null = null;
      try {
        const staying = await old.login(account);
        await staying.query('BEGIN');
        const visitors = new Visitors(old.target, account);
        await visitors.waitForMore(20);
        next = await start({ so_reuseport: 1, listen_port: old.port });
        await visitors.waitForMore(20);
        const console = await RawClient.login(old.socketTarget, {
          ...account,
          database: 'pgbouncer',
        });
        await console.query('SHUTDOWN WAIT_FOR_CLIENTS');
        await console.close();
        await visitors.waitForMore(50);
        // Who is in is served to the end, by the old process.
        expect((await staying.simpleQuery('COMMIT')).errors).toEqual([]);
        await staying.close();
        expect((await withDeadline('the end of the old one', old.exited)).code).toBe(0);
        await visitors.waitForMore(50);
        await visitors.stop();
        expect(visitors.problems).toEqual([]);
        const stats = await next.console("SHOW STATS WHERE database = 'app'");
        expect(Number(stats[0]?.['total_client_login_count'])).toBeGreaterThan(50);
      } finally {
        await old.kill();
        await next?.kill();
      }
    },
  );

  it('lets clients in that had connected before SIGTERM, and nobody later', async () => {
    const pooler = await start({});
    try {
      const early = await RawClient.connect(pooler.target);
      const onSocket = await RawClient.connect(pooler.socketTarget);
      await waitFor('both to be accepted', async () => {
        const rows = await pooler.console("SHOW LISTS WHERE list = 'login_clients'");
        return rows[0]?.['items'] === '2';
      });
      pooler.signal('SIGTERM');
      await pooler.waitForEvent('shutdown_started');
      for (const client of [early, onSocket]) {
        await client.login(account);
        client.send(frontend.query('SELECT 1 AS one'));
        expect((await client.readOutcome()).results[0]?.rows).toEqual([['1']]);
      }
      expect(await refusalOf(RawClient.login(pooler.socketTarget, account))).toBe(
        'FATAL 57P01: pooler is shutting down',
      );
      await expect(RawClient.login(pooler.target, account)).rejects.toThrow('ECONNREFUSED');
      await early.close();
      await onSocket.close();
      expect((await withDeadline('the end', pooler.exited)).code).toBe(0);
    } finally {
      await pooler.kill();
    }
  });

  it('by SIGINT refuses even those', async () => {
    const pooler = await start({});
    try {
      const busy = await pooler.login(account);
      await busy.query('BEGIN');
      const early = await RawClient.connect(pooler.target);
      await waitFor('it to be accepted', async () => {
        const rows = await pooler.console("SHOW LISTS WHERE list = 'login_clients'");
        return rows[0]?.['items'] === '1';
      });
      pooler.signal('SIGINT');
      await pooler.waitForEvent('shutdown_started');
      expect(await refusalOf(early.login(account))).toBe('FATAL 57P01: pooler is shutting down');
      await busy.close();
      expect((await withDeadline('the end', pooler.exited)).code).toBe(0);
    } finally {
      await pooler.kill();
    }
  });
});
