import type { PoolerFixture } from './pooler-fixture.ts';
import { RawClient, type LoginOptions } from './raw-client.ts';
import { refusalOf, refusedWith } from './refusal.ts';

/** Logs in, asks the server for its user, and leaves. */
export async function sessionUser(pooler: PoolerFixture, options: LoginOptions): Promise<string> {
  const client = await pooler.login(options);
  const rows = await client.query('SELECT session_user AS name');
  await client.close();
  return rows[0]?.['name'] ?? '';
}

/** The error of a login that must fail. */
export function refuse(pooler: PoolerFixture, options: LoginOptions): Promise<string> {
  return refusalOf(pooler.login(options));
}

/** Everything a client sees of a login that fails. */
export async function failedLogin(pooler: PoolerFixture, options: LoginOptions): Promise<object> {
  const client = await RawClient.connect(pooler.target);
  client.startup({ user: options.user, database: options.database ?? '' });
  const { fields } = await refusedWith(client.authenticate(options));
  const behind = await client.readToEnd();
  client.destroy();
  return { codes: client.authenticationCodes, fields, behind: behind.length };
}
