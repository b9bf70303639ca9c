import { expect, it } from 'vitest';
import { SHOW_DNS_HOSTS } from '../../../src/admin/show-dns.ts';
import { FakeControl } from './fake-control.ts';

it('shows host names in order, with seconds left and addresses with a port', () => {
  const control = new FakeControl();
  control.dnsRows = [
    { hostname: 'two', ttlMs: 0, addresses: [] },
    { hostname: 'one', ttlMs: 1999, addresses: ['10.0.0.1', '::1'] },
  ];
  expect(SHOW_DNS_HOSTS.columns.map(({ name }) => name)).toEqual(['hostname', 'ttl', 'addrs']);
  expect([...SHOW_DNS_HOSTS.rows(control)]).toEqual([
    ['one', '1', '10.0.0.1:0,[::1]:0'],
    ['two', '0', ''],
  ]);
});
