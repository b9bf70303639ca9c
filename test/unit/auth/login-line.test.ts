import { describe, expect, it } from 'vitest';
import { LOGIN_LEASE_MS, LoginLine } from '../../../src/auth/login-line.ts';
import { VirtualClock } from '../../support/virtual-clock.ts';

class Scene {
  readonly clock = new VirtualClock();
  limit = 2;
  readonly turns: string[] = [];
  onTurn: (login: string) => void = () => {};
  readonly line = new LoginLine<string>({
    limit: () => this.limit,
    nowMs: () => this.clock.nowMs(),
    onTurn: (login) => {
      this.turns.push(login);
      this.onTurn(login);
    },
  });

  join(...logins: readonly string[]): boolean[] {
    return logins.map((login) => this.line.join(login));
  }

  tickAfter(ms: number): this {
    this.clock.advance(ms);
    this.line.onTick();
    return this;
  }
}

describe('LoginLine', () => {
  it('lets as many go at once as the limit says, and the others in their order', () => {
    const scene = new Scene();
    expect(scene.join('a', 'b', 'c', 'd', 'e')).toEqual([true, true, false, false, false]);
    scene.line.leave('b');
    expect(scene.turns).toEqual(['c']);
    scene.line.leave('a');
    scene.line.leave('c');
    expect(scene.turns).toEqual(['c', 'd', 'e']);
    expect(scene.line.waitingCount).toBe(0);
    expect(scene.line.inFlightCount).toBe(2);
  });

  it('forgets who leaves while waiting', () => {
    const scene = new Scene();
    scene.join('a', 'b', 'c', 'd');
    scene.line.leave('c');
    scene.line.leave('a');
    expect(scene.turns).toEqual(['d']);
    scene.line.leave('nobody');
    expect(scene.turns).toEqual(['d']);
  });

  it('gives the places of those away who stall', () => {
    const scene = new Scene();
    scene.join('a', 'b', 'c');
    scene.tickAfter(LOGIN_LEASE_MS - 1);
    expect(scene.turns).toEqual([]);
    scene.tickAfter(1);
    expect(scene.turns).toEqual(['c']);
    scene.line.leave('a');
    expect(scene.line.inFlightCount).toBe(1);
  });

  it('lets a newcomer take the place of one that stalls, without a tick', () => {
    const scene = new Scene();
    scene.join('a', 'b');
    scene.clock.advance(LOGIN_LEASE_MS);
    expect(scene.join('c')).toEqual([true]);
  });

  it('lets nobody overtake', () => {
    const scene = new Scene();
    scene.join('a', 'b', 'c');
    scene.limit = 3;
    expect(scene.join('d')).toEqual([false]);
    scene.tickAfter(1);
    expect(scene.turns).toEqual(['c']);
  });

  it('holds those that are slowed down for their time, then lets them wait like others', () => {
    const scene = new Scene();
    expect(scene.line.join('slow', 500)).toBe(false);
    scene.tickAfter(499);
    expect(scene.turns).toEqual([]);
    scene.tickAfter(1);
    expect(scene.turns).toEqual(['slow']);
    scene.join('a');
    scene.line.join('slower', 100);
    scene.tickAfter(100);
    expect(scene.turns).toEqual(['slow']);
    expect(scene.line.waitingCount).toBe(1);
    scene.line.leave('a');
    expect(scene.turns).toEqual(['slow', 'slower']);
  });

  it('forgets who leaves while slowed down', () => {
    const scene = new Scene();
    scene.line.join('slow', 500);
    scene.line.leave('slow');
    scene.tickAfter(1_000);
    expect(scene.turns).toEqual([]);
  });

  it('has no limit at 0', () => {
    const scene = new Scene();
    scene.limit = 0;
    expect(scene.join('a', 'b', 'c', 'd', 'e')).not.toContain(false);
  });

  it('survives thousands that are over within their turn', () => {
    const scene = new Scene();
    const logins = Array.from({ length: 50_000 }, (_, index) => String(index));
    scene.onTurn = (login) => {
      scene.line.leave(login);
    };
    scene.join('a', 'b', ...logins);
    scene.line.leave('a');
    expect(scene.turns).toEqual(logins);
    expect(scene.line.inFlightCount).toBe(1);
  });

  it('lets a login join again from within a turn', () => {
    const scene = new Scene();
    scene.limit = 1;
    scene.onTurn = (login) => {
      scene.line.leave(login);
      if (login === 'b') {
        expect(scene.line.join('c')).toBe(true);
      }
    };
    scene.join('a', 'b');
    scene.line.leave('a');
    expect(scene.turns).toEqual(['b']);
    expect(scene.line.inFlightCount).toBe(1);
  });
});
