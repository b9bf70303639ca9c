import type { AuthStep, AuthSuccess } from '../auth/auth-step.ts';
import { ClientAuthenticator } from '../auth/client-authenticator.ts';
import type { LoginPlan, PendingPlan, PlanFailure } from '../auth/login-plan.ts';
import type { PasswordDeriver } from '../auth/password-derivation.ts';
import { assertNever } from '../base/assert.ts';
import { writeNegotiateProtocolVersion } from '../protocol/backend-writer.ts';
import {
  FrontendCode,
  HEADER_BYTES,
  MAX_AUTH_MESSAGE_BYTES,
  MAX_STARTUP_PACKET_BYTES,
} from '../protocol/codes.ts';
import { MessageAssembler } from '../protocol/message-assembler.ts';
import { poolerError, type PoolerError } from '../protocol/pooler-errors.ts';
import {
  readStartupPacket,
  startupPacketBytes,
  type StartupPacket,
} from '../protocol/startup-packet.ts';
import { stateOfProof, type LoginState } from './login-state.ts';
import type { GateVerdict } from './login-guard-port.ts';
import { badPacketError, writeAuthentication } from './login-messages.ts';

/** A StartupMessage, as against the other startup packets. */
export type StartupMessage = Extract<StartupPacket, { kind: 'startup' }>;

/** How the connection stands with TLS. */
export interface LoginSecurity {
  /** Data of tls-server-end-point for clients inside TLS; null when none can be offered. */
  readonly channelBinding: Buffer | null;
  /** Whether TLS can begin now: clients are offered it and this one does not have it yet. */
  readonly isOffered: boolean;
}

/** What the login asks of its connection. */
export interface LoginPort {
  /** Writes an owned message to the client. */
  send(message: Buffer): void;
  /** Asked before {@link LoginPort.onStartup}; after `hold`, {@link ClientLogin.proceed} goes on. */
  gate?(startup: StartupMessage): GateVerdict;
  readonly security: LoginSecurity;
  /**
   * Goes on inside TLS.
   *
   * @param hello - owned; the begin of the handshake, from a client that did not ask first; else null.
   */
  startTls(hello: Buffer | null): void;
  /** Judges the startup message; the plan says how the user must prove itself. */
  onStartup(
    startup: StartupMessage,
  ): LoginPlan | PendingPlan | { readonly error: PoolerError; readonly reason?: string };
  /** The startup packet was a cancel request. */
  onCancelRequest(processId: number, secret: Buffer): void;
  /** The client is who it says. `rest` are bytes behind its last message, owned, or null. */
  onAuthenticated(success: AuthSuccess, rest: Buffer | null): void;
  /** The login has failed. `reason` is the true one, for the log only. */
  onRefused(error: PoolerError, reason: string): void;
}

/** What authentication needs from outside. */
export interface LoginTools {
  readonly deriver: PasswordDeriver;
  /** Cryptographically strong random bytes. */
  randomBytes(bytes: number): Buffer;
}

const NO_ENCRYPTION = Buffer.from('N');
const ENCRYPTION = Buffer.from('S');
/** First byte of a TLS handshake; no startup packet begins with it. */
const TLS_HANDSHAKE = 0x16;
const NO_BODY = Buffer.alloc(0);

/**
 * The login of one client, from its first byte to the proof of its identity. Every message in every
 * phase has a defined outcome; identity is set once and never changes.
 */
export class ClientLogin {
  readonly #port: LoginPort;
  readonly #tools: LoginTools;
  /** Bytes of an incomplete startup packet. */
  #startupBytes: Buffer | null = null;
  #hasAskedForSsl = false;
  #hasAskedForGss = false;
  /** Set once the startup message is accepted. */
  #authenticator: ClientAuthenticator | null = null;
  /** Gives up waiting for the plan; set between the startup message and the plan. */
  #cancelPlan: (() => void) | null = null;
  readonly #assembler = new MessageAssembler(MAX_AUTH_MESSAGE_BYTES + HEADER_BYTES);
  /** What came behind a startup message that needed no proof. */
  #early: Buffer | null = null;
  /** A startup message whose turn has not come, and what came behind it, owned. */
  #waiting: { readonly startup: StartupMessage; readonly rest: Buffer } | null = null;
  #isOver = false;

  constructor(port: LoginPort, tools: LoginTools) {
    this.#port = port;
    this.#tools = tools;
  }

  /** Where it stands. */
  get state(): LoginState {
    if (this.#isOver) {
      return 'over';
    }
    if (this.#waiting !== null) {
      return 'waiting for its turn';
    }
    if (this.#cancelPlan !== null) {
      return 'being looked up';
    }
    const phase = this.#authenticator?.phase ?? null;
    if (phase !== null) {
      return stateOfProof(phase);
    }
    if (this.#hasAskedForSsl) {
      return this.#hasAskedForGss ? 'asked for both' : 'asked for SSL';
    }
    return this.#hasAskedForGss ? 'asked for GSS' : 'fresh';
  }

  /** Bytes kept of what is not complete, or not yet asked for. */
  get heldBytes(): number {
    const startup = this.#startupBytes?.length ?? 0;
    const waiting =
      this.#waiting === null ? 0 : MAX_STARTUP_PACKET_BYTES + this.#waiting.rest.length;
    return startup + waiting + this.#assembler.heldBytes + (this.#early?.length ?? 0);
  }

  /** Takes bytes of the client. @param chunk - borrowed. */
  onData(chunk: Buffer): void {
    if (this.#isOver) {
      // Refused, or a cancel request: whatever else comes is void.
      return;
    }
    if (this.#waiting !== null) {
      this.#keepWaiting(this.#waiting, chunk);
    } else if (this.#cancelPlan !== null) {
      this.#keepEarly(chunk);
    } else if (this.#authenticator === null) {
      this.#onStartupBytes(chunk);
    } else {
      this.#onMessages(chunk);
    }
  }

  /** Stops what is under way; the connection is gone. */
  dispose(): void {
    this.#isOver = true;
    this.#cancelPlan?.();
    this.#authenticator?.dispose();
  }

  #onStartupBytes(chunk: Buffer): void {
    const held = this.#startupBytes;
    if (held === null && chunk[0] === TLS_HANDSHAKE && this.#mayStartTlsDirectly()) {
      this.#hasAskedForSsl = true;
      this.#port.startTls(Buffer.from(chunk));
      return;
    }
    const bytes = held === null ? chunk : Buffer.concat([held, chunk]);
    this.#startupBytes = null;
    const length = startupPacketBytes(bytes);
    if (length === -1) {
      this.#refuse(poolerError('badPacketHeader', bytes.toString('hex', 0, 8)));
      return;
    }
    if (length === 0 || bytes.length < length) {
      this.#startupBytes = Buffer.from(bytes);
      return;
    }
    this.#onStartupPacket(readStartupPacket(bytes.subarray(0, length)), bytes.subarray(length));
  }

  /** With the very first byte of the connection only. */
  #mayStartTlsDirectly(): boolean {
    return !this.#hasAskedForSsl && !this.#hasAskedForGss && this.#port.security.isOffered;
  }

  #onStartupPacket(packet: StartupPacket, rest: Buffer): void {
    switch (packet.kind) {
      case 'ssl':
        this.#onEncryptionRequest('SSL', this.#hasAskedForSsl, rest);
        this.#hasAskedForSsl = true;
        return;
      case 'gssenc':
        this.#onEncryptionRequest('GSSAPI encryption', this.#hasAskedForGss, rest);
        this.#hasAskedForGss = true;
        return;
      case 'cancel':
        this.#isOver = true;
        this.#port.onCancelRequest(packet.processId, packet.secret);
        return;
      case 'startup':
        this.#askForTurn(packet, rest);
        return;
      case 'bad':
        this.#refuse(badPacketError(packet.problem, packet.found));
        return;
      default:
        assertNever(packet);
    }
  }

  #onEncryptionRequest(kind: string, isRepeated: boolean, rest: Buffer): void {
    if (rest.length > 0) {
      // Nothing sent before the answer may be taken for part of the encrypted stream.
      this.#refuse(poolerError('unencryptedDataAfterRequest', kind));
    } else if (isRepeated) {
      this.#refuse(poolerError('badPacketHeader', `second ${kind} request`));
    } else if (kind === 'SSL' && this.#port.security.isOffered) {
      this.#port.send(ENCRYPTION);
      this.#port.startTls(null);
    } else {
      this.#port.send(NO_ENCRYPTION);
    }
  }

  #askForTurn(startup: StartupMessage, rest: Buffer): void {
    const verdict = this.#port.gate?.(startup) ?? 'go';
    if (verdict === 'go') {
      this.#onStartupMessage(startup, rest);
    } else if (verdict === 'hold') {
      this.#waiting = { startup, rest: Buffer.from(rest) };
    } else {
      this.#refuse(verdict.error, verdict.reason);
    }
  }

  /** A client that does not wait to be asked may go on for as much as one message. */
  #keepWaiting({ startup, rest }: { startup: StartupMessage; rest: Buffer }, chunk: Buffer): void {
    if (rest.length + chunk.length > MAX_AUTH_MESSAGE_BYTES) {
      this.#refuse(poolerError('tooMuchLoginData'));
    } else {
      this.#waiting = { startup, rest: Buffer.concat([rest, chunk]) };
    }
  }

  /** The turn of a login that was held has come. */
  proceed(): void {
    const waiting = this.#waiting;
    this.#waiting = null;
    if (waiting !== null && !this.#isOver) {
      this.#onStartupMessage(waiting.startup, waiting.rest);
    }
  }

  #onStartupMessage(startup: StartupMessage, rest: Buffer): void {
    if (startup.needsNegotiation) {
      this.#port.send(writeNegotiateProtocolVersion(startup.version, startup.unknownOptions));
    }
    const plan = this.#port.onStartup(startup);
    if ('error' in plan) {
      this.#refuse(plan.error, plan.reason);
    } else if (plan.method === 'pending') {
      this.#cancelPlan = plan.wait((outcome) => {
        this.#onPlan(outcome);
      });
      this.#keepEarly(rest);
    } else {
      this.#begin(plan, rest);
    }
  }

  /** What a client says before it has been asked: its password, which it need not wait to send. */
  #keepEarly(bytes: Buffer): void {
    this.#early = this.#early === null ? Buffer.from(bytes) : Buffer.concat([this.#early, bytes]);
    if (this.#early.length > MAX_AUTH_MESSAGE_BYTES + HEADER_BYTES) {
      this.#cancelPlan?.();
      this.#refuse(poolerError('badPacketHeader', this.#early.toString('hex', 0, HEADER_BYTES)));
    }
  }

  #onPlan(outcome: LoginPlan | PlanFailure): void {
    this.#cancelPlan = null;
    const rest = this.#early ?? NO_BODY;
    this.#early = null;
    if ('error' in outcome) {
      this.#refuse(outcome.error, outcome.reason);
    } else {
      this.#begin(outcome, rest);
    }
  }

  #begin(plan: LoginPlan, rest: Buffer): void {
    this.#authenticator = new ClientAuthenticator({
      plan,
      channelBinding: this.#port.security.channelBinding,
      deriver: this.#tools.deriver,
      random: (bytes) => this.#tools.randomBytes(bytes),
      onResume: (step) => {
        this.#onStep(step);
      },
    });
    this.#onStep(this.#authenticator.start());
    if (rest.length === 0) {
      return;
    }
    if (this.#isOver) {
      this.#early = Buffer.from(rest);
    } else {
      this.#onMessages(rest);
    }
  }

  #onMessages(chunk: Buffer): void {
    const problem = this.#assembler.feed(chunk, (code, body) => this.#onMessage(code, body));
    if (this.#isOver) {
      return;
    }
    const { heldCode } = this.#assembler;
    if (heldCode !== -1 && heldCode !== FrontendCode.Password) {
      // A second startup message announces a length of thousands of bytes: do not wait for them.
      this.#onMessage(heldCode, NO_BODY);
    } else if (problem !== null) {
      const header = Buffer.alloc(HEADER_BYTES);
      header.writeUInt8(problem.code, 0);
      header.writeInt32BE(problem.length, 1);
      const isStartup = problem.code === 0;
      this.#refuse(
        isStartup
          ? poolerError('startupRepeated')
          : poolerError('badPacketHeader', header.toString('hex')),
      );
    }
  }

  #onMessage(code: number, body: Buffer): boolean {
    if (code !== FrontendCode.Password || this.#authenticator === null) {
      if (code === FrontendCode.Terminate) {
        this.#refuse(poolerError('badPacketHeader', '58'), 'client close request');
      } else {
        const isStartup = code === 0;
        this.#refuse(
          isStartup
            ? poolerError('startupRepeated')
            : poolerError('badPacketHeader', code.toString(16).padStart(2, '0')),
        );
      }
      return false;
    }
    this.#onStep(this.#authenticator.onMessage(body));
    return !this.#isOver;
  }

  #onStep(step: AuthStep): void {
    if (this.#isOver) {
      return;
    }
    switch (step.kind) {
      case 'send':
        this.#port.send(writeAuthentication(step.authentication));
        return;
      case 'pending':
        return;
      case 'ok':
        this.#isOver = true;
        // Deferred: the bytes behind the last message are still in the assembler's hands.
        this.#onAuthenticated(step);
        return;
      case 'failed': {
        const error = poolerError('authenticationFailed', step.message);
        this.#refuse({ ...error, sqlstate: step.sqlstate }, step.reason);
        return;
      }
      default:
        assertNever(step);
    }
  }

  #onAuthenticated(success: AuthSuccess): void {
    queueMicrotask(() => {
      this.#port.onAuthenticated(success, this.#early ?? this.#assembler.takeRest());
    });
  }

  #refuse(error: PoolerError, reason: string = error.message): void {
    this.#isOver = true;
    this.#port.onRefused(error, reason);
  }
}
