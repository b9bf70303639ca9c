import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { InvariantError } from '../../../src/base/assert.ts';
import {
  CLIENT_SUCCESSORS,
  ClientState,
  SERVER_SUCCESSORS,
  ServerState,
} from '../../../src/pool/states.ts';
import {
  FakeClient,
  FakeHost,
  heldBy,
  WELCOME,
  type FakeServer,
  type TestPool,
} from './fake-host.ts';

interface Row {
  readonly state: string;
  readonly event: string;
  readonly condition: string;
  readonly next: string;
}

interface Chapter {
  readonly rows: readonly Row[];
  /** Events of the legend. */
  readonly events: readonly string[];
  /** Events that concern other connections: the others stay as they are. */
  readonly passive: ReadonlySet<string>;
}

/** Reads the tables below one heading of docs/STATES.md. */
function readChapter(heading: string): Chapter {
  const text = readFileSync(new URL('../../../docs/STATES.md', import.meta.url), 'utf8');
  const chapter = text.split(/^## /m).find((part) => part.startsWith(heading));
  if (chapter === undefined) {
    throw new Error(`docs/STATES.md has no chapter "${heading}"`);
  }
  const rows: Row[] = [];
  const events: string[] = [];
  const passive = new Set<string>();
  let header = '';
  for (const line of chapter.split('\n')) {
    const cells = line.split('|').map((cell) => cell.trim().replaceAll(/[`*]/g, '').trim());
    const [, first = '', second = '', third = '', fourth = ''] = cells;
    if (!line.startsWith('|') || first.startsWith('---')) {
      header = line === '' ? '' : header;
    } else if (header === '') {
      header = first;
    } else if (header === 'state') {
      rows.push({ state: first, event: second, condition: third, next: fourth });
    } else if (header === 'event') {
      events.push(first);
      if (line.includes('` * |')) {
        passive.add(first);
      }
    }
  }
  return { rows, events, passive };
}

/** Each state's successors according to the rows. */
function successorsOf(rows: readonly Row[], states: readonly string[]): Record<string, string[]> {
  const nexts = (state: string): string[] =>
    rows.filter((row) => row.state === state && row.next !== 'stays').map(({ next }) => next);
  return Object.fromEntries(states.map((state) => [state, [...new Set(nexts(state))].sort()]));
}

function sorted(table: Readonly<Record<string, readonly string[]>>): Record<string, string[]> {
  return Object.fromEntries(
    Object.entries(table).map(([state, successors]) => [state, [...successors].sort()]),
  );
}

function cellsWithoutRow({ rows, events }: Chapter, states: readonly string[]): [string, string][] {
  const legal = new Set(rows.map(({ state, event }) => `${state} ${event}`));
  return states
    .flatMap((state) => events.map((event): [string, string] => [state, event]))
    .filter(([state, event]) => !legal.has(`${state} ${event}`));
}

const SERVER = readChapter('Server connections');
const CLIENT = readChapter('Client connections');
const SERVER_STATES = Object.values(ServerState);
const CLIENT_STATES = Object.values(ClientState);

interface Scene<Subject> {
  readonly host: FakeHost;
  readonly pool: TestPool;
  readonly subject: Subject;
}

type Steps<Subject> = Readonly<Record<string, (scene: Scene<Subject>) => void>>;

function step<Subject>(steps: Steps<Subject>, name: string): (scene: Scene<Subject>) => void {
  const found = steps[name];
  if (found === undefined) {
    throw new Error(`the test knows no "${name}" of docs/STATES.md`);
  }
  return found;
}

const TO_SERVER_STATE: Steps<FakeServer> = {
  login: ({ pool }) => pool.waitingClients.head?.leave(),
  active: ({ subject }) => subject.logIn(),
  idle: (scene) => {
    step(TO_SERVER_STATE, 'active')(scene);
    scene.subject.client?.finish();
  },
  used: (scene) => {
    step(TO_SERVER_STATE, 'idle')(scene);
    scene.pool.markUsed(scene.subject);
  },
  tested: (scene) => {
    step(TO_SERVER_STATE, 'used')(scene);
    scene.host.client(scene.pool).ask().leave();
  },
  being_canceled: (scene) => {
    step(TO_SERVER_STATE, 'active')(scene);
    scene.subject.sendCancel();
    scene.subject.client?.finish();
  },
  closed: (scene) => {
    step(TO_SERVER_STATE, 'active')(scene);
    scene.subject.sendCancel();
    scene.subject.disconnect('lost');
  },
};

const SERVER_CONDITIONS: Steps<FakeServer> = {
  '': () => undefined,
  cancel: ({ subject }) => {
    subject.sendCancel();
  },
  retired: ({ subject }) => {
    subject.isCloseNeeded = true;
  },
  paused: ({ host }) => {
    host.isPaused = true;
  },
  reset: ({ host }) => {
    host.set({ serverResetQuery: 'DISCARD ALL', serverResetQueryAlways: true });
  },
  waiting: ({ host, pool }) => {
    host.client(pool).ask();
  },
  check: ({ host }) => {
    host.set({ serverCheckDelayMs: 0 });
  },
};

const SERVER_EVENTS: Steps<FakeServer> = {
  logged_in: ({ pool, subject }) => {
    pool.onServerLoggedIn(subject, WELCOME);
  },
  asked: ({ host, pool }) => {
    host.client(pool).ask();
  },
  released: ({ pool, subject }) => {
    pool.release(subject, false);
  },
  stale: ({ pool, subject }) => {
    pool.markUsed(subject);
  },
  tested: ({ pool, subject }) => {
    pool.onServerTested(subject);
  },
  cancel_done: ({ pool, subject }) => {
    pool.onCancelDone(subject);
  },
  closed: ({ pool, subject }) => {
    pool.onServerClosed(subject);
  },
};

function serverScene(state: string): Scene<FakeServer> {
  const host = new FakeHost({
    settings: { defaultPoolSize: 1, serverCheckQuery: '', serverCheckDelayMs: 30_000 },
  });
  const pool = host.pool();
  host.client(pool).ask();
  const scene = { host, pool, subject: host.opening(pool) };
  step(TO_SERVER_STATE, state)(scene);
  expect(scene.subject.state).toBe(state);
  return scene;
}

describe('the states of server connections', () => {
  it('have the successors that docs/STATES.md says', () => {
    expect(successorsOf(SERVER.rows, SERVER_STATES)).toEqual(sorted(SERVER_SUCCESSORS));
    expect(SERVER.rows.filter(({ state }) => !SERVER_STATES.some((s) => s === state))).toEqual([]);
    expect(SERVER.rows.length).toBeGreaterThan(SERVER_STATES.length);
  });

  it.each(SERVER.rows)('$state, $event, $condition: $next', ({ state, event, condition, next }) => {
    const scene = serverScene(state);
    // What a cancel is done with must have been sent; in other states none is in flight.
    if (event === 'cancel_done' && scene.subject.cancelsInFlight === 0) {
      scene.subject.sendCancel();
    }
    step(SERVER_CONDITIONS, condition)(scene);
    step(SERVER_EVENTS, event)(scene);
    expect(scene.subject.state).toBe(next === 'stays' ? state : next);
  });

  it.each(cellsWithoutRow(SERVER, SERVER_STATES))('%s does not go with %s', (state, event) => {
    const scene = serverScene(state);
    if (SERVER.passive.has(event)) {
      step(SERVER_EVENTS, event)(scene);
    } else {
      expect(() => {
        step(SERVER_EVENTS, event)(scene);
      }).toThrow(InvariantError);
    }
    expect(scene.subject.state).toBe(state);
  });

  it.each(SERVER_STATES)('%s is the list that a connection is in', (state) => {
    const { subject } = serverScene(state);
    expect(subject.list?.name ?? 'closed').toBe(state);
  });
});

const TO_CLIENT_STATE: Steps<FakeClient> = {
  login: () => undefined,
  waiting_login: ({ pool, subject }) => {
    pool.addWelcomeClient(subject);
  },
  active: ({ pool, subject }) => {
    pool.addClient(subject);
  },
  waiting: ({ pool, subject }) => {
    pool.addClient(subject);
    subject.ask();
  },
  closed: ({ pool, subject }) => {
    pool.onClientClosed(subject);
  },
};

/** The only server connection is in use, unless a condition says otherwise. */
const CLIENT_CONDITIONS: Steps<FakeClient> = {
  '': () => undefined,
  free: ({ host }) => host.launched[0]?.client?.finish(),
  draining: ({ host }) => {
    host.isRefusingToQueue = true;
  },
  failing: ({ host, pool }) => {
    host.client(pool).ask();
    host.launched[0]?.disconnect('lost');
    host.opening(pool).failToConnect();
  },
};

const CLIENT_EVENTS: Steps<FakeClient> = {
  welcomed: ({ pool, subject }) => {
    pool.addClient(subject);
  },
  unwelcomed: ({ pool, subject }) => {
    pool.addWelcomeClient(subject);
  },
  asked: ({ subject }) => {
    subject.ask();
  },
  assigned: ({ host }) => host.launched[0]?.client?.finish(),
  withdrawn: ({ pool, subject }) => {
    pool.withdraw(subject);
  },
  closed: ({ pool, subject }) => {
    pool.onClientClosed(subject);
  },
};

function clientScene(state: string): Scene<FakeClient> {
  const host = new FakeHost({ settings: { defaultPoolSize: 1 } });
  const pool = host.pool();
  host.occupy(pool, 1);
  const scene = { host, pool, subject: new FakeClient('subject', pool, host) };
  step(TO_CLIENT_STATE, state)(scene);
  expect(scene.subject.state).toBe(state);
  return scene;
}

describe('the states of client connections', () => {
  it('have the successors that docs/STATES.md says', () => {
    expect(successorsOf(CLIENT.rows, CLIENT_STATES)).toEqual(sorted(CLIENT_SUCCESSORS));
    expect(CLIENT.rows.filter(({ state }) => !CLIENT_STATES.some((s) => s === state))).toEqual([]);
    expect(CLIENT.rows.length).toBeGreaterThan(CLIENT_STATES.length);
  });

  it.each(CLIENT.rows)('$state, $event, $condition: $next', ({ state, event, condition, next }) => {
    const scene = clientScene(state);
    step(CLIENT_CONDITIONS, condition)(scene);
    step(CLIENT_EVENTS, event)(scene);
    expect(scene.subject.state).toBe(next === 'stays' ? state : next);
    if (condition === 'free' || event === 'assigned') {
      expect(heldBy(scene.subject)).toBe(scene.host.launched[0]);
    }
  });

  it.each(cellsWithoutRow(CLIENT, CLIENT_STATES))('%s does not go with %s', (state, event) => {
    const scene = clientScene(state);
    if (CLIENT.passive.has(event)) {
      step(CLIENT_EVENTS, event)(scene);
    } else {
      expect(() => {
        step(CLIENT_EVENTS, event)(scene);
      }).toThrow(InvariantError);
    }
    expect(scene.subject.state).toBe(state);
  });

  it.each(CLIENT_STATES)('%s is the list that a connection is in', (state) => {
    const { subject } = clientScene(state);
    const expected = state === 'login' || state === 'closed' ? null : state;
    expect(subject.list?.name ?? null).toBe(expected);
  });
});
