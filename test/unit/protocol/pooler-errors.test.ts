import { describe, expect, it } from 'vitest';
import { writeErrorResponse } from '../../../src/protocol/backend-writer.ts';
import {
  POOLER_ERRORS,
  poolerError,
  type PoolerErrorName,
} from '../../../src/protocol/pooler-errors.ts';
import { SqlState } from '../../../src/protocol/sqlstate.ts';
import { decodeErrorFields } from '../../support/backend-messages.ts';

const NAMES = Object.keys(POOLER_ERRORS) as PoolerErrorName[];

describe('pooler errors', () => {
  it.each(NAMES)('%s is a well-formed row', (name) => {
    const { severity, sqlstate, text, when } = POOLER_ERRORS[name];
    expect(['ERROR', 'FATAL']).toContain(severity);
    expect(Object.values(SqlState)).toContain(sqlstate);
    expect(sqlstate).toMatch(/^[0-9A-Z]{5}$/);
    expect(text.split('%').length).toBeLessThanOrEqual(2);
    expect(text).not.toContain('\0');
    expect(when).not.toBe('');
  });

  it.each(NAMES)('%s reads back from the wire as it was made', (name) => {
    const error = poolerError(name, 'the value', { detail: 'the detail' });
    const fields = decodeErrorFields(writeErrorResponse(error).subarray(5));
    expect(fields).toMatchObject({
      S: error.severity,
      C: error.sqlstate,
      M: POOLER_ERRORS[name].text.replace('%', 'the value'),
      D: 'the detail',
    });
    expect(error.reason).toBe(name);
  });

  it.each(['$&', "$'", '$$', '%', '%s', '100%'])('takes %s in a value as it is', (value) => {
    expect(poolerError('noSuchDatabase', value).message).toBe(`no such database: ${value}`);
  });

  it('cuts a long value', () => {
    const { message } = poolerError('noSuchDatabase', 'x'.repeat(10_000));
    expect(message).toBe(`no such database: ${'x'.repeat(127)}`);
  });

  it('fills an empty value in where none is given', () => {
    expect(poolerError('noSuchDatabase').message).toBe('no such database: ');
  });
});
