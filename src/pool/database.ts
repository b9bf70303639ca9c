import type { DatabaseConfig, UserConfig } from '../config/config.ts';

/** A pool database: an entry of `databases`, or one made from `*`. */
export class Database {
  readonly name: string;
  config: DatabaseConfig;
  /** Made from the `*` entry; dropped when unused for `autodb_idle_timeout`. */
  isAuto: boolean;
  isPaused = false;
  /** Refuses new logins. */
  isDisabled = false;
  /** Server connections of all its pools, cancel connections not counted. */
  serverCount = 0;
  /** Client connections from the startup packet on. */
  clientCount = 0;
  /** When it last had a client or a server connection, in clock ms. */
  lastUsedMs: number;

  constructor(name: string, config: DatabaseConfig, isAuto: boolean, nowMs: number) {
    this.name = name;
    this.config = config;
    this.isAuto = isAuto;
    this.lastUsedMs = nowMs;
  }
}

/** A user that has logged in, is configured, or is what a database logs in to its server with. */
export class User {
  readonly name: string;
  config: UserConfig | null;
  /** Server connections that log in as this user. */
  serverCount = 0;
  /** Client connections that gave this user name. */
  clientCount = 0;
  /** Pools whose server connections log in as this user. */
  poolCount = 0;

  constructor(name: string, config: UserConfig | null) {
    this.name = name;
    this.config = config;
  }
}
