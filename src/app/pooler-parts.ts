import { Credentials } from '../auth/credentials.ts';
import { UserLookups } from '../auth/user-lookups.ts';
import { runAfter } from '../base/clock.ts';
import type { Config, Settings } from '../config/config.ts';
import { ServerConnection } from '../server/server-connection.ts';
import { connectOptions, sameTls } from '../server/server-target.ts';
import { AuthQueries } from './auth-queries.ts';
import { CancelBroker } from './cancel-broker.ts';
import { ExternalJudges } from './external-judges.ts';
import { LoginPlanner } from './login-planner.ts';
import { Peers } from './peers.ts';
import type { Pooler } from './pooler.ts';
import { ServerPasswords } from './server-passwords.ts';

// What the parts of a pooler know of it. Each sees only the ports that are made for it here; they
// are asked when something happens, so the parts they lead to may be made later.

/** What turns stored secrets into plans for a login. */
export function makeCredentials(pooler: Pooler, { scramIterations }: Settings): Credentials {
  return new Credentials({
    deriver: pooler.deriver,
    random: (bytes) => pooler.randomBytes(bytes),
    scramIterations,
  });
}

/** What asks others whether a password is right. */
export function makeExternalJudges(pooler: Pooler): ExternalJudges {
  const { environment } = pooler;
  return new ExternalJudges({
    native: environment.native,
    nowMs: () => pooler.nowMs(),
    readText: (file) => environment.readText(file),
    lookup: (host, done) => {
      pooler.lookup(host, done);
    },
    randomBytes: (bytes) => pooler.randomBytes(bytes),
  });
}

/** What passes on cancel requests whose key belongs to another process. */
export function makePeers(pooler: Pooler, config: Config): Peers {
  return new Peers(config, {
    logger: pooler.logger,
    carriers: pooler,
    nowMs: () => pooler.nowMs(),
    settings: () => pooler.settings,
    serverTls: () => pooler.serverTls,
    connectOptions: (target) => connectOptions(target, pooler.settings, pooler.lookup),
  });
}

/** What brings cancel requests to the servers that they are meant for. */
export function makeCancelBroker(pooler: Pooler): CancelBroker {
  return new CancelBroker(pooler.keys, {
    logger: pooler.logger,
    carriers: pooler,
    settings: () => pooler.settings,
    nowMs: () => pooler.nowMs(),
    targetOf: (server) => ({
      connect: connectOptions(server.place, pooler.settings, pooler.lookup),
      tls: sameTls(server.tls, server.openedTls),
    }),
    serverOf: (client) => {
      const server = client.link?.server;
      return server instanceof ServerConnection ? server : null;
    },
    forwardToPeer: (requester, processId, secret) =>
      pooler.peers.forward(requester, processId, secret),
  });
}

/** What fetches the passwords of forced users from files and commands. */
export function makeServerPasswords(pooler: Pooler): ServerPasswords {
  return new ServerPasswords({
    reader: pooler.environment.passwordReader,
    logger: pooler.logger,
    settings: () => pooler.settings,
    nowMs: () => pooler.nowMs(),
    isInUse: (name) => {
      const database = pooler.registry.databases.get(name);
      return database !== undefined && pooler.registry.isInUse(database);
    },
  });
}

/** What runs `auth_query`. */
export function makeAuthQueries(pooler: Pooler): AuthQueries {
  return new AuthQueries({
    registry: pooler.registry,
    logger: pooler.logger,
    settings: () => pooler.settings,
    nowMs: () => pooler.nowMs(),
  });
}

/** What decides when a user is asked for by `auth_query`. */
export function makeUserLookups(pooler: Pooler): UserLookups {
  return new UserLookups({
    run: (source, user, done) => pooler.authQueries.run(source, user, done),
    ttlMs: () => pooler.settings.authQueryCacheTtlMs,
    nowMs: () => pooler.nowMs(),
    runAfter,
  });
}

/** What finds out how a client is to prove who it is. */
export function makeLoginPlanner(pooler: Pooler): LoginPlanner {
  return new LoginPlanner({
    settings: () => pooler.settings,
    credentials: pooler.credentials,
    lookups: pooler.lookups,
    findDatabase: (name) => pooler.registry.findDatabase(name),
  });
}
