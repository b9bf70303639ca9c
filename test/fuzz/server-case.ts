import * as backend from '../support/backend-messages.ts';
import type { FakeConnection } from '../support/fake-connection.ts';
import type { FakeServerScript } from '../support/fake-server.ts';
import { message } from '../support/frontend-messages.ts';
import type { Certificate } from '../support/certificates.ts';
import { SeededRandom } from '../support/seeded-random.ts';
import type { ByteLog } from './client-case.ts';
import { cut, mutate } from './mutate.ts';
import { secureServer } from './tls-wire.ts';

/** What a server may say unasked, or too much. */
const STRAY: readonly Buffer[] = [
  backend.readyForQuery('I'),
  backend.readyForQuery('T'),
  backend.readyForQuery('E'),
  backend.commandComplete('SELECT 1'),
  backend.dataRow(['stray']),
  backend.errorResponse({ S: 'FATAL', C: '57P01', M: 'bye' }),
  backend.errorResponse({}),
  backend.noticeResponse({ M: 'look' }),
  backend.parameterStatus('TimeZone', 'Mars'),
  backend.parameterStatus('application_name', 'x'.repeat(500)),
  backend.backendKeyData(1, Buffer.alloc(4)),
  backend.authentication(0),
  message('A', Buffer.from([0, 0, 0, 1, 0x61, 0, 0])),
  message('G', Buffer.from([0, 0, 0])),
  message('H', Buffer.from([0, 0, 0])),
  message('W', Buffer.from([0, 0, 0])),
  message('d', Buffer.alloc(100)),
  message('c'),
  message('1'),
  message('2'),
  message('n'),
  message('I'),
  message('s'),
];

/** A server that answers as a friendly one would, except for what it changes on the way out. */
export class FuzzServerCase {
  readonly log: ByteLog;
  readonly #random: SeededRandom;
  /** Probability that what is sent is changed. */
  readonly #rate: number;
  /** Whether the login is changed as well; otherwise it comes to queries. */
  readonly #isLoginBad: boolean;
  /** Records of TLS. */
  readonly wireLog: ByteLog;
  /** How many connections came to messages inside of TLS. */
  secureCount = 0;
  readonly #certificate: Certificate;
  readonly #sslAnswer: 'refuse' | 'tls' | 'rubbish';
  readonly #recordRate: number;
  readonly #wireRandom: SeededRandom;

  constructor(random: SeededRandom, certificate: Certificate) {
    this.#random = random;
    this.#rate = random.pick([0.02, 0.1, 0.5]);
    this.#isLoginBad = random.chance(0.3);
    this.#certificate = certificate;
    this.#sslAnswer = random.pick(['refuse', 'refuse', 'tls', 'tls', 'tls', 'rubbish']);
    this.#recordRate = random.pick([0, 0, 0.05, 0.5]);
    this.#wireRandom = new SeededRandom(random.below(0x7fff_ffff));
    const title = `server below TLS, changes ${String(this.#recordRate)}`;
    this.wireLog = { title, pieces: [] };
    this.log = { title: `server, changes ${String(this.#rate)}`, pieces: [] };
  }

  /** The steps of a fake server that make it do so. */
  get script(): FakeServerScript {
    return {
      onSslRequest: (connection) => this.#answerSslRequest(connection),
      onStartup: (connection) => {
        if (this.#isLoginBad) {
          this.#intercept(connection);
          this.#logIn(connection);
        } else {
          connection.acceptLogin();
          this.#intercept(connection);
        }
      },
      onMessage: (connection, received) => {
        try {
          connection.answer(received);
        } catch {
          // A client's own rubbish: a real server would close as well.
          connection.destroy();
        }
        if (this.#random.chance(this.#rate)) {
          connection.send(this.#random.pick(STRAY));
        }
        if (this.#random.chance(this.#rate / 4)) {
          this.#leave(connection);
        }
      },
    };
  }

  async #answerSslRequest(connection: FakeConnection): Promise<void> {
    const random = this.#random;
    if (this.#sslAnswer === 'refuse') {
      connection.send(Buffer.from('N'));
      return;
    }
    if (this.#sslAnswer === 'rubbish') {
      const answer = random.pick([
        Buffer.concat([Buffer.from('S'), random.bytes(random.below(60))]),
        Buffer.concat([Buffer.from('N'), random.bytes(1 + random.below(60))]),
        backend.errorResponse({ S: 'FATAL', C: '0A000', M: 'no' }),
        random.bytes(1 + random.below(60)),
      ]);
      this.wireLog.pieces.push(answer);
      connection.send(answer);
      return;
    }
    await connection.secure(async (plain) => {
      const changes = { random: this.#wireRandom, rate: this.#recordRate, log: this.wireLog };
      const secured = await secureServer(plain, this.#certificate, changes);
      this.secureCount += secured === null ? 0 : 1;
      return secured;
    });
  }

  /** Changes what goes out, and notes it. */
  #intercept(connection: FakeConnection): void {
    connection.send = (...parts) => {
      const bytes = Buffer.concat(parts);
      const isChanged = this.#random.chance(this.#rate);
      for (const piece of cut(isChanged ? mutate(bytes, this.#random) : bytes, this.#random)) {
        this.log.pieces.push(piece);
        connection.socket.write(piece);
      }
    };
  }

  #logIn(connection: FakeConnection): void {
    const random = this.#random;
    if (random.chance(0.4)) {
      connection.send(
        random.pick([
          backend.authentication(3),
          backend.authentication(5, random.bytes(4)),
          backend.authenticationSasl(['SCRAM-SHA-256']),
          backend.authentication(11, Buffer.from('r=x,s=AAAA,i=2000000000')),
          backend.authentication(7),
          backend.errorResponse({ S: 'FATAL', C: '28P01', M: 'no' }),
          backend.errorResponse({ S: 'FATAL', C: '57P03', M: 'starting' }),
          random.bytes(random.below(60)),
        ]),
      );
    }
    connection.acceptLogin();
  }

  #leave(connection: FakeConnection): void {
    if (this.#random.chance(0.5)) {
      connection.reset();
    } else {
      connection.destroy();
    }
  }
}
