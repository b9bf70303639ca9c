/**
 * Life of a server connection; the values are PgBouncer's. Each but `closed` is a list of the pool.
 * See docs/STATES.md.
 */
export const ServerState = {
  /** Connecting or logging in. */
  Login: 'login',
  /** Ready for the next client. */
  Idle: 'idle',
  /** Linked to a client, or clearing up what a client that vanished has left. */
  Active: 'active',
  /** Idle for so long that it must pass the check query first. */
  Used: 'used',
  /** Running the reset query or the check query. */
  Tested: 'tested',
  /** Released, but a cancel request for it is still in flight. */
  BeingCanceled: 'being_canceled',
  Closed: 'closed',
} as const;
/** One of {@link ServerState}. */
export type ServerState = (typeof ServerState)[keyof typeof ServerState];

/** Legal successors of each state. Only `Pool` changes the state of a server connection. */
export const SERVER_SUCCESSORS: { readonly [S in ServerState]: readonly ServerState[] } = {
  login: ['idle', 'active', 'closed'],
  idle: ['active', 'used', 'closed'],
  active: ['idle', 'tested', 'being_canceled', 'used', 'active', 'closed'],
  used: ['tested', 'closed'],
  tested: ['idle', 'active', 'being_canceled', 'closed'],
  being_canceled: ['idle', 'active', 'tested', 'used', 'closed'],
  closed: [],
};

/**
 * HOT PATH: whether a server connection may go from one state to another. The two steps of every
 * transaction are told without a look-up.
 */
export function mayServerGo(from: ServerState, to: ServerState): boolean {
  return (
    (from === ServerState.Active && to === ServerState.Idle) ||
    (from === ServerState.Idle && to === ServerState.Active) ||
    SERVER_SUCCESSORS[from].includes(to)
  );
}

/** Life of a client connection; the values are PgBouncer's. Each but `closed` is a list. */
export const ClientState = {
  /** Before the end of authentication. */
  Login: 'login',
  /** Authenticated, waiting for a first server connection to know what to welcome it with. */
  WaitingLogin: 'waiting_login',
  /** Logged in; linked or not. */
  Active: 'active',
  /** Has sent a request and waits for a server connection. */
  Waiting: 'waiting',
  Closed: 'closed',
} as const;
/** One of {@link ClientState}. */
export type ClientState = (typeof ClientState)[keyof typeof ClientState];

/** Legal successors of each state of a client connection. */
export const CLIENT_SUCCESSORS: { readonly [S in ClientState]: readonly ClientState[] } = {
  login: ['waiting_login', 'active', 'closed'],
  waiting_login: ['active', 'closed'],
  active: ['waiting', 'closed'],
  waiting: ['active', 'closed'],
  closed: [],
};
