import { int, oneOf, time } from './setting.ts';
import { POOL_MODES } from './settings-pooling.ts';

/**
 * The keys of one entry of `users`. A `null` value inherits from the database or the global
 * settings.
 */
export const USER_KEYS = {
  pool_mode: oneOf(POOL_MODES, {
    default: null,
    group: 'essential',
    doc: 'Replaces the pool_mode of the database.',
  }),
  pool_size: int({
    default: null,
    inherit: 'negative',
    group: 'frequent',
    doc: 'Replaces the pool_size of the database. 0 is no limit, a negative number inherits.',
  }),
  reserve_pool_size: int({
    default: null,
    inherit: 'negative',
    group: 'frequent',
    doc: 'Replaces the reserve_pool_size of the database. A negative number inherits.',
  }),
  max_user_connections: int({
    default: null,
    inherit: 'zero-or-less',
    group: 'frequent',
    doc: 'Replaces the global max_user_connections. 0 inherits.',
  }),
  max_user_client_connections: int({
    default: null,
    inherit: 'zero-or-less',
    doc: 'Replaces the global max_user_client_connections. 0 inherits.',
  }),
  query_timeout: time({
    default: null,
    inherit: 'zero-or-less',
    doc: 'Replaces the global query_timeout. 0 inherits.',
  }),
  idle_transaction_timeout: time({
    default: null,
    inherit: 'zero-or-less',
    doc: 'Replaces the global idle_transaction_timeout. 0 inherits.',
  }),
  transaction_timeout: time({
    default: null,
    inherit: 'zero-or-less',
    doc: 'Replaces the global transaction_timeout. 0 inherits.',
  }),
  client_idle_timeout: time({
    default: null,
    inherit: 'zero-or-less',
    doc: 'Replaces the global client_idle_timeout. 0 inherits.',
  }),
  query_wait_timeout: time({
    default: null,
    inherit: 'negative',
    doc: 'Replaces the query_wait_timeout of the database. 0 is no limit, a negative number inherits.',
  }),
} as const;
