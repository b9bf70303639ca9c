import { describe, expect, it } from 'vitest';
import {
  clientSamples,
  MAX_CLIENT_SERIES,
  OTHER_APPLICATIONS,
} from '../../../src/metrics/client-samples.ts';
import type { ClientNumbers } from '../../../src/metrics/metrics-source.ts';
import { CLIENT } from './samples.ts';

function named(count: number, changes: Partial<ClientNumbers> = {}): ClientNumbers[] {
  return Array.from({ length: count }, (_unused, index) => ({
    ...CLIENT,
    applicationName: `app-${String(index).padStart(5, '0')}`,
    ...changes,
  }));
}

function valueOf(clients: readonly ClientNumbers[], applicationName: string): number | undefined {
  return clientSamples(clients).find(({ labels }) => labels['application_name'] === applicationName)
    ?.value;
}

function total(clients: readonly ClientNumbers[]): number {
  return clientSamples(clients).reduce((sum, { value }) => sum + value, 0);
}

describe('clientSamples', () => {
  it('counts clients that are alike in all labels', () => {
    const samples = clientSamples([
      CLIENT,
      CLIENT,
      { ...CLIENT, state: 'waiting' },
      { ...CLIENT, user: 'bob' },
      { ...CLIENT, database: 'other' },
    ]);
    expect(samples.map(({ value }) => value)).toEqual([2, 1, 1, 1]);
  });

  it('has no sample without clients', () => {
    expect(clientSamples([])).toEqual([]);
  });

  it('says so where a client has told neither user nor database', () => {
    const [sample] = clientSamples([{ ...CLIENT, user: null, database: null }]);
    expect(sample?.labels).toMatchObject({ user: '(nouser)', database: '(nodb)' });
  });

  it('keeps each application name up to the limit', () => {
    const clients = named(MAX_CLIENT_SERIES);
    expect(clientSamples(clients)).toHaveLength(MAX_CLIENT_SERIES);
    expect(valueOf(clients, OTHER_APPLICATIONS)).toBeUndefined();
  });

  it('counts those beyond the limit under one name', () => {
    const clients = named(MAX_CLIENT_SERIES + 5);
    expect(clientSamples(clients)).toHaveLength(MAX_CLIENT_SERIES + 1);
    expect(valueOf(clients, OTHER_APPLICATIONS)).toBe(5);
    expect(valueOf(clients, 'app-00000')).toBe(1);
    expect(total(clients)).toBe(clients.length);
  });

  it('keeps the names with most clients, wherever they stand', () => {
    const clients = [...named(MAX_CLIENT_SERIES + 5), { ...CLIENT, applicationName: 'zzz' }];
    clients.push({ ...CLIENT, applicationName: 'zzz' });
    expect(valueOf(clients, 'zzz')).toBe(2);
    expect(valueOf(clients, OTHER_APPLICATIONS)).toBe(6);
  });

  it('keeps database, user and state of those beyond the limit apart', () => {
    const clients = [
      ...named(MAX_CLIENT_SERIES),
      ...named(2, { database: 'zz' }),
      ...named(3, { user: 'zz' }),
      ...named(4, { state: 'waiting' }),
    ];
    const others = clientSamples(clients).filter(
      ({ labels }) => labels['application_name'] === OTHER_APPLICATIONS,
    );
    expect(others.reduce((sum, { value }) => sum + value, 0)).toBe(9);
    expect(others.length).toBeGreaterThan(1);
    expect(total(clients)).toBe(clients.length);
  });

  it('adds them to the clients that have that name themselves', () => {
    const own = { ...CLIENT, applicationName: OTHER_APPLICATIONS };
    const clients = [...named(MAX_CLIENT_SERIES), own, own];
    expect(valueOf(clients, OTHER_APPLICATIONS)).toBe(3);
    expect(clientSamples(clients)).toHaveLength(MAX_CLIENT_SERIES);
  });
});
