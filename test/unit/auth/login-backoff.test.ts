import { describe, expect, it } from 'vitest';
import {
  LoginBackoff,
  MAX_BACKOFF_ENTRIES,
  MAX_SLOW_MS,
  type BackoffLimits,
} from '../../../src/auth/login-backoff.ts';
import { VirtualClock } from '../../support/virtual-clock.ts';

const LIMITS: BackoffLimits = { failureLimit: 3, windowMs: 60_000, maxBackoffMs: 30_000 };
const BAD = '203.0.113.9';
const GOOD = '192.0.2.1';

class Scene {
  readonly clock = new VirtualClock();
  limits = LIMITS;
  readonly backoff = new LoginBackoff(
    () => this.limits,
    () => this.clock.nowMs(),
  );

  fail(count: number, user = 'u', origin = BAD): this {
    for (let left = count; left > 0; left--) {
      this.backoff.onFailure(user, origin);
    }
    return this;
  }

  judge(user = 'u', origin = BAD): string {
    const verdict = this.backoff.judge(user, origin);
    return verdict.kind === 'slow' ? `slow ${String(verdict.delayMs)}` : verdict.kind;
  }

  /** How long the address is refused from now on, in ms. */
  refusedMs(): number {
    let ms = 0;
    while (this.judge() === 'refuse') {
      this.clock.advance(100);
      ms += 100;
    }
    return ms;
  }
}

describe('an address', () => {
  it('may fail below the limit as it likes', () => {
    const scene = new Scene().fail(2);
    expect(scene.judge()).toBe('go');
  });

  it('is refused at the limit, for every user, and comes in again later', () => {
    const scene = new Scene().fail(3);
    expect(scene.judge('u')).toBe('refuse');
    expect(scene.judge('another')).toBe('refuse');
    scene.clock.advance(999);
    expect(scene.judge('another')).toBe('refuse');
    scene.clock.advance(1);
    expect(scene.judge('another')).toBe('go');
  });

  it('is refused at the limit also when its failures take their time', () => {
    const scene = new Scene();
    for (let left = 3; left > 0; left--) {
      scene.clock.advance(300);
      scene.fail(1);
    }
    expect(scene.judge()).toBe('refuse');
  });

  it('is refused for twice as long with each further failure, up to the longest time', () => {
    const scene = new Scene().fail(3);
    const times = [scene.refusedMs()];
    while (times.length < 8) {
      scene.fail(1, `u${String(times.length)}`);
      times.push(scene.refusedMs());
    }
    expect(times).toEqual([1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000]);
  });

  it('has forgotten all after a quiet window, the growth as well', () => {
    const scene = new Scene().fail(4);
    scene.refusedMs();
    scene.clock.advance(60_000);
    scene.fail(2);
    expect(scene.judge('x')).toBe('go');
    scene.fail(1);
    expect(scene.refusedMs()).toBe(1_000);
  });

  it('that fails no faster than the limit allows is never refused', () => {
    const scene = new Scene();
    for (let round = 0; round < 100; round++) {
      scene.fail(1, `u${String(round)}`);
      scene.clock.advance(20_000);
      expect(scene.judge('x')).toBe('go');
    }
  });

  it('that waits in a back-off earns nothing by it', () => {
    const scene = new Scene().fail(8);
    expect(scene.refusedMs()).toBe(30_000);
    scene.fail(1);
    expect(scene.refusedMs()).toBe(30_000);
  });

  it('leaves other addresses alone', () => {
    const scene = new Scene().fail(50, 'u');
    expect(scene.judge('another', GOOD)).toBe('go');
  });
});

describe('a user who is attacked', () => {
  it('is not locked out from another address, only slowed down', () => {
    const scene = new Scene().fail(50);
    expect(scene.judge('u', GOOD)).toBe(`slow ${String(MAX_SLOW_MS)}`);
  });

  it('is slowed down by attackers from many addresses too, and they as well', () => {
    const scene = new Scene();
    for (let host = 0; host < 50; host++) {
      scene.fail(1, 'u', `203.0.113.${String(host)}`);
    }
    expect(scene.judge('u', GOOD)).toMatch(/^slow \d+$/);
    expect(scene.judge('u', '203.0.113.99')).toMatch(/^slow \d+$/);
    expect(scene.judge('another', GOOD)).toBe('go');
  });

  it('is not even slowed down where the user has logged in before', () => {
    const scene = new Scene();
    scene.backoff.onSuccess('u', GOOD);
    scene.fail(50);
    expect(scene.judge('u', GOOD)).toBe('go');
  });

  it('is slowed down, not refused, where the user has logged in and others fail', () => {
    const scene = new Scene();
    scene.backoff.onSuccess('u', BAD);
    scene.fail(50, 'x');
    expect(scene.judge('u', BAD)).toBe(`slow ${String(MAX_SLOW_MS)}`);
    expect(scene.judge('x', BAD)).toBe('refuse');
  });

  it('gains nothing by a user of its own', () => {
    const scene = new Scene().fail(2);
    scene.backoff.onSuccess('mine', BAD);
    scene.fail(1);
    expect(scene.judge('u', BAD)).toBe('refuse');
  });
});

describe('the tables', () => {
  it('are bounded, and forget who was seen longest ago', () => {
    const scene = new Scene().fail(3, 'victim', 'first');
    for (let index = 0; index < MAX_BACKOFF_ENTRIES + 100; index++) {
      scene.backoff.onFailure(`u${String(index)}`, `o${String(index)}`);
      scene.backoff.onSuccess(`u${String(index)}`, `o${String(index)}`);
    }
    expect(scene.backoff.entryCount).toBe(MAX_BACKOFF_ENTRIES);
    expect(scene.judge('x', 'first')).toBe('go');
  });

  it('keep pairs of names apart that are equal when joined', () => {
    const scene = new Scene();
    scene.backoff.onSuccess('b', 'a');
    scene.fail(3, 'x', 'ab');
    expect(scene.judge('', 'ab')).toBe('refuse');
  });

  it('take names that objects know', () => {
    const scene = new Scene().fail(3, '__proto__', 'constructor');
    expect(scene.judge('x', 'constructor')).toBe('refuse');
    expect(scene.judge('__proto__', 'toString')).toMatch(/^slow/);
    expect(scene.judge('hasOwnProperty', 'valueOf')).toBe('go');
  });
});

describe('an operator', () => {
  it('turns it off with a limit of 0, at once', () => {
    const scene = new Scene().fail(9);
    scene.limits = { ...LIMITS, failureLimit: 0 };
    expect(scene.judge()).toBe('go');
    scene.fail(9);
    expect(scene.backoff.entryCount).toBe(1);
  });

  it('can have failures forgotten', () => {
    const scene = new Scene().fail(9);
    scene.backoff.onSuccess('u', GOOD);
    scene.backoff.forgetFailures();
    expect(scene.judge()).toBe('go');
    expect(scene.fail(50).judge('u', GOOD)).toBe('go');
  });
});
