import { beforeEach, expect, it } from 'vitest';
import { DnsCache } from '../../../src/net/dns-cache.ts';
import { ResolveError, type NameResolver, type ResolvedName } from '../../../src/net/resolver.ts';

/** A resolver whose answers the test gives by hand. */
class FakeResolver implements NameResolver {
  readonly asked: string[] = [];
  readonly #answers: ((outcome: ResolvedName | Error) => void)[] = [];

  resolve(name: string): Promise<ResolvedName> {
    this.asked.push(name);
    return new Promise((resolve, reject) => {
      this.#answers.push((outcome) => {
        if (outcome instanceof Error) {
          reject(outcome);
        } else {
          resolve(outcome);
        }
      });
    });
  }

  answer(addresses: readonly string[], isComplete = true): void {
    this.#answers.shift()?.({ addresses, isComplete });
  }

  fail(error: Error): void {
    this.#answers.shift()?.(error);
  }
}

let nowMs: number;
let resolver: FakeResolver;
let failures: string[];
let resolved: string[];
let vanished: string[];
let ttl: { max: number; failure: number };
let cache: DnsCache;

beforeEach(() => {
  nowMs = 1000;
  resolver = new FakeResolver();
  failures = [];
  resolved = [];
  vanished = [];
  ttl = { max: 100, failure: 10 };
  cache = new DnsCache({
    resolver,
    nowMs: () => nowMs,
    get maxTtlMs() {
      return ttl.max;
    },
    get failureTtlMs() {
      return ttl.failure;
    },
    onFailure: (name, error) => {
      failures.push(`${name} ${error.code}`);
    },
    onResolved: (name, addresses) => {
      resolved.push(`${name} ${addresses.join(' ')}`);
    },
    onVanished: (name, addresses) => {
      vanished.push(`${name} ${[...addresses].join(' ')}`);
    },
  });
});

/** The addresses in the order to try them, or the code of the failure. */
function look(name = 'db'): Promise<readonly string[] | string> {
  return new Promise((resolve) => {
    cache.lookup(name, (error, addresses) => {
      resolve(error === null ? addresses : error.code);
    });
  });
}

it('tells of names that were resolved, and not of those that were remembered', async () => {
  await learn('10.0.0.1', '10.0.0.2');
  await look();
  expect(resolved).toEqual(['db 10.0.0.1 10.0.0.2']);
});

/** Looks up a name that must be asked for, and answers. */
async function learn(...addresses: string[]): Promise<readonly string[] | string> {
  const looking = look();
  resolver.answer(addresses);
  return looking;
}

it('asks once for look-ups of one name at the same time, and gives the addresses in turn', async () => {
  const looking = [look(), look(), look()];
  expect(cache.queryCount).toBe(1);
  resolver.answer(['a', 'b']);
  expect(await Promise.all(looking)).toEqual([
    ['a', 'b'],
    ['b', 'a'],
    ['a', 'b'],
  ]);
  expect(resolver.asked).toEqual(['db']);
  expect(cache.queryCount).toBe(0);
});

it('asks for each name by itself', async () => {
  const looking = [look('one'), look('two')];
  expect(resolver.asked).toEqual(['one', 'two']);
  resolver.answer(['a']);
  resolver.answer(['b']);
  expect(await Promise.all(looking)).toEqual([['a'], ['b']]);
});

it('remembers addresses until dns_max_ttl is over', async () => {
  await learn('a');
  nowMs += 99;
  expect(await look()).toEqual(['a']);
  expect(resolver.asked).toHaveLength(1);
  nowMs += 1;
  expect(await learn('b')).toEqual(['b']);
  expect(resolver.asked).toHaveLength(2);
});

it('remembers nothing when dns_max_ttl is 0', async () => {
  ttl.max = 0;
  await learn('a');
  expect(await learn('b')).toEqual(['b']);
});

it('remembers a failure for dns_nxdomain_ttl and reports it once', async () => {
  const looking = [look(), look()];
  resolver.fail(new ResolveError('db', 'ENOTFOUND'));
  expect(await Promise.all(looking)).toEqual(['ENOTFOUND', 'ENOTFOUND']);
  nowMs += 9;
  expect(await look()).toBe('ENOTFOUND');
  expect(failures).toEqual(['db ENOTFOUND']);
  nowMs += 1;
  expect(await learn('a')).toEqual(['a']);
});

it('takes any error of a resolver as a failure', async () => {
  const looking = look();
  resolver.fail(new Error('broken'));
  expect(await looking).toBe('Error: broken');
});

it('never answers before the call returns', async () => {
  await learn('a');
  const events: string[] = [];
  const answered = new Promise<void>((resolve) => {
    cache.lookup('db', () => {
      events.push('answered');
      resolve();
    });
  });
  events.push('returned');
  await answered;
  expect(events).toEqual(['returned', 'answered']);
});

it('reports addresses that have vanished, and only those', async () => {
  await learn('a', 'b', 'c');
  nowMs += 100;
  await learn('d', 'b');
  expect(vanished).toEqual(['db a c']);
});

it('nothing has vanished when the same addresses come in another order, and turns go on', async () => {
  expect(await learn('a', 'b')).toEqual(['a', 'b']);
  nowMs += 100;
  expect(await learn('b', 'a')).toEqual(['b', 'a']);
  expect(await look()).toEqual(['a', 'b']);
  expect(vanished).toEqual([]);
});

it('sees what vanished across a failure', async () => {
  await learn('a');
  nowMs += 100;
  const looking = look();
  resolver.fail(new ResolveError('db', 'ETIMEOUT'));
  await looking;
  expect(vanished).toEqual([]);
  nowMs += 10;
  await learn('b');
  expect(vanished).toEqual(['db a']);
});

it('nothing has vanished after an answer for one address family alone', async () => {
  await learn('a', 'v6');
  nowMs += 100;
  const looking = look();
  resolver.answer(['a'], false);
  expect(await looking).toEqual(['a']);
  nowMs += 100;
  await learn('a', 'v6');
  expect(vanished).toEqual([]);
  nowMs += 100;
  await learn('a');
  expect(vanished).toEqual(['db v6']);
});

it('lists what it knows', async () => {
  await learn('a', 'b');
  const looking = look('other');
  expect(cache.entries).toMatchObject([
    { name: 'db', addresses: ['a', 'b'], expiresAtMs: 1100 },
    { name: 'other', addresses: [], expiresAtMs: Number.NEGATIVE_INFINITY },
  ]);
  resolver.fail(new ResolveError('other', 'ENOTFOUND'));
  await looking;
  expect(cache.entries[1]).toMatchObject({ addresses: [], expiresAtMs: 1010 });
});
