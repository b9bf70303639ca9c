import type { SaslFinalPhase } from './auth-phase.ts';
import { SCRAM_MECHANISM, SCRAM_PLUS_MECHANISM } from './scram-crypto.ts';
import type { ScramKeys } from './scram-crypto.ts';

/** What became of an exchange; `reason` is the true one, for the log. */
export type ExchangeOutcome =
  | {
      readonly kind: 'proved';
      /** Data of AuthenticationSASLFinal. */
      readonly saslFinal: string;
      /** Keys of the stored verifier; `null` when it was derived from a plain password. */
      readonly keys: ScramKeys | null;
    }
  | { readonly kind: 'refused' | 'malformed'; readonly reason: string };

/**
 * Says what SASL mechanisms to offer, the better one first.
 *
 * @param channelBinding - Data of tls-server-end-point; `null` where there is none.
 */
export function offeredMechanisms(channelBinding: Buffer | null): readonly string[] {
  return channelBinding === null ? [SCRAM_MECHANISM] : [SCRAM_PLUS_MECHANISM, SCRAM_MECHANISM];
}

/**
 * Ends an exchange. Who cannot log in whatever is proved is refused last, after the same work.
 *
 * @param message - client-final-message. Borrowed.
 */
export function finishExchange(
  { plan, verifier, exchange }: SaslFinalPhase,
  message: Buffer,
): ExchangeOutcome {
  const final = exchange.onClientFinal(message);
  if (final.kind === 'failed') {
    return final.isMalformed
      ? { kind: 'malformed', reason: final.reason }
      : { kind: 'refused', reason: plan.refusal ?? final.reason };
  }
  if (plan.refusal !== null) {
    return { kind: 'refused', reason: plan.refusal };
  }
  const { salt, iterations, serverKey } = verifier;
  const { clientKey, serverFinal } = final;
  // Keys of a derived verifier are of no use: its salt is our own, PostgreSQL has another.
  const keys = plan.source.kind === 'stored' ? { clientKey, serverKey, salt, iterations } : null;
  return { kind: 'proved', saslFinal: serverFinal, keys };
}
