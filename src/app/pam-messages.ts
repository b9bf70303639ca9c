import type { PamRequest } from '../auth/pam-checker.ts';
import type { SystemVerdict } from '../auth/system-login.ts';

/** Writes a request as a line for the process that asks PAM. */
export function encodeRequest({ service, user, password, host }: PamRequest): string {
  // A password is any bytes.
  return `${JSON.stringify({ service, user, password: password.toString('base64'), host })}\n`;
}

/** Reads what {@link encodeRequest} wrote. @throws for anything else. */
export function decodeRequest(line: string): PamRequest {
  const { service, user, password, host } = JSON.parse(line) as Record<keyof PamRequest, string>;
  return { service, user, password: Buffer.from(password, 'base64'), host };
}

/** Reads the answer of the process that asks PAM; what cannot be read is a refusal. */
export function decodeVerdict(line: string): SystemVerdict {
  const garbled = { kind: 'refused', reason: 'the answer of PAM could not be read' } as const;
  try {
    const { kind, reason } = JSON.parse(line) as { kind?: unknown; reason?: unknown };
    if (kind === 'accepted') {
      return { kind };
    }
    return typeof reason === 'string' ? { kind: 'refused', reason } : garbled;
  } catch {
    // A module of PAM has written to standard output.
    return garbled;
  }
}
