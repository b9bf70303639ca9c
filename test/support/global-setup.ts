import type { TestProject } from 'vitest/node';
import { startPostgres } from './postgres-fixture.ts';
import type { PostgresFixture } from './postgres-fixture.ts';

/** Roles whose members must log in over TCP by a certain HBA method. */
const METHOD_ROLES = [
  ['auth_md5', 'md5'],
  ['auth_scram', 'scram-sha-256'],
  ['auth_password', 'password'],
  ['auth_reject', 'reject'],
] as const;

let postgres: PostgresFixture | null = null;

/** Starts the PostgreSQL that the integration tests share. */
export async function setup(project: TestProject): Promise<void> {
  postgres = await startShared();
  project.provide('postgres', postgres.address);
  for (const [role] of METHOD_ROLES) {
    await postgres.query(
      `DO $$ BEGIN CREATE ROLE ${role}; EXCEPTION WHEN duplicate_object THEN NULL; END $$`,
    );
  }
}

/** Stops it. */
export async function teardown(): Promise<void> {
  await postgres?.stop();
}

function startShared(): Promise<PostgresFixture> {
  if ((process.env['TEST_PG_URL'] ?? '') !== '') {
    return startPostgres();
  }
  return startPostgres({
    hba: METHOD_ROLES.map(([role, method]) => `host all +${role} all ${method}`),
    settings: { wal_level: 'logical', max_prepared_transactions: '20' },
  });
}
