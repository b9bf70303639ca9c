import type { AuthenticationRequest } from '../auth/auth-step.ts';
import { assertNever } from '../base/assert.ts';
import {
  writeAuthenticationCleartextPassword,
  writeAuthenticationMd5Password,
  writeAuthenticationSasl,
  writeAuthenticationSaslContinue,
} from '../protocol/backend-writer.ts';
import { poolerError, type PoolerError } from '../protocol/pooler-errors.ts';
import type { StartupPacket } from '../protocol/startup-packet.ts';

/** The error that refuses a startup packet. @param found - what was found instead. */
export function badPacketError(
  problem: Extract<StartupPacket, { kind: 'bad' }>['problem'],
  found: string,
): PoolerError {
  switch (problem) {
    case 'header':
      return poolerError('badPacketHeader', found);
    case 'old_protocol':
      return poolerError('oldProtocol');
    case 'version':
      return poolerError('unsupportedProtocol', found);
    case 'layout':
      return poolerError('badStartupLayout');
    case 'encoding':
      return poolerError('nameNotUtf8');
    default:
      return assertNever(problem);
  }
}

/** Builds the message by which the client is asked to prove itself. */
export function writeAuthentication(request: AuthenticationRequest): Buffer {
  switch (request.type) {
    case 'cleartext':
      return writeAuthenticationCleartextPassword();
    case 'md5':
      return writeAuthenticationMd5Password(request.salt);
    case 'sasl':
      return writeAuthenticationSasl(request.mechanisms);
    case 'sasl-continue':
      return writeAuthenticationSaslContinue(request.data);
    default:
      return assertNever(request);
  }
}
