import { execute } from './postgres.mjs';
import { PASSWORD, scramSecret } from './scram.mjs';

/**
 * Names the users of the benchmarks of `auth_query`.
 *
 * @param {number} index - from 0
 * @returns {string}
 */
export function benchUser(index) {
  return `bench_user_${String(index)}`;
}

/** Who looks them up: PgBouncer ends when it is the user of the database. */
export const AUTH_USER = 'bench_auth';

/**
 * Makes users with one SCRAM secret, unless they are there.
 *
 * @param {import('./wire-client.mjs').Target} postgres
 * @param {number} count
 */
export async function createLoginUsers(postgres, count) {
  await execute(
    postgres,
    `DO $$ BEGIN
     IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '${AUTH_USER}') THEN
       CREATE ROLE ${AUTH_USER} LOGIN SUPERUSER;
     END IF;
     FOR i IN 0..${String(count - 1)} LOOP
       IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'bench_user_' || i) THEN
         EXECUTE format('CREATE ROLE %I LOGIN PASSWORD %L', 'bench_user_' || i, '${scramSecret(PASSWORD)}');
       END IF;
     END LOOP; END $$`,
  );
  await execute(postgres, 'VACUUM ANALYZE pg_authid');
}
