import { inject } from 'vitest';
import { PostgresHandle } from './postgres-fixture.ts';
import type { PostgresAddress } from './postgres-fixture.ts';

declare module 'vitest' {
  /** What `global-setup.ts` hands to the test files. */
  interface ProvidedContext {
    postgres: PostgresAddress;
  }
}

/**
 * The PostgreSQL that all integration test files share. A file makes databases and roles with
 * names of its own, and starts its own server (`startPostgres`) when it must stop or configure it.
 *
 * Members of the role `auth_md5`, `auth_scram`, `auth_password` or `auth_reject` log in over TCP by
 * that method; everybody else is trusted.
 */
export function sharedPostgres(): PostgresHandle {
  return new PostgresHandle(inject('postgres'));
}
