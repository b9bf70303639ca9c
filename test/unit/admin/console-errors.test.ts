import { describe, expect, it } from 'vitest';
import {
  adminDatabase,
  alreadyPaused,
  clientNotFound,
  databaseNotPaused,
  noSuchDatabase,
  notPaused,
  reloadFailed,
  setFailed,
  shuttingDown,
} from '../../../src/admin/console-errors.ts';

describe('errors of the pooler for the console', () => {
  it.each([
    [alreadyPaused(), '55000', 'already suspended/paused'],
    [notPaused(), '55000', 'pooler is not paused/suspended'],
    [databaseNotPaused('x'), '55000', 'database x is not paused'],
    [shuttingDown(), '55000', 'pooler is shutting down'],
    [noSuchDatabase('x'), '3D000', 'no such database: x'],
    [clientNotFound(), '42704', 'client not found'],
    [setFailed(), '42704', 'SET failed'],
    [reloadFailed(), 'F0000', 'RELOAD failed, see logs for additional details'],
  ])('have the texts of PgBouncer and true SQLSTATEs: %j', (error, sqlstate, message) => {
    expect(error).toEqual({ kind: 'error', sqlstate, message });
  });

  it('cut a long name', () => {
    const name = 'n'.repeat(1000);
    expect(noSuchDatabase(name).message).toBe(`no such database: ${name.slice(0, 127)}`);
    expect(adminDatabase('pause', name).message).toBe(
      `cannot pause admin db: ${name.slice(0, 127)}`,
    );
  });
});
