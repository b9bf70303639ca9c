import type { StreamHandler } from '../../src/net/stream-handler.ts';

/** Keeps what a stream says. */
export class StreamWitness implements StreamHandler {
  readonly events: string[] = [];
  text = '';

  onStreamData(chunk: Buffer, end: number): void {
    this.text += chunk.toString('latin1', 0, end);
  }

  onStreamSecure(): void {
    this.events.push('secure');
  }

  onStreamDrain(): void {
    this.events.push('drain');
  }

  onStreamEnd(): void {
    this.events.push('end');
  }

  onStreamClosed(error: Error | null): void {
    this.events.push(error === null ? 'closed' : `closed by ${error.message}`);
  }

  onStreamFault(error: unknown): void {
    this.events.push(`fault ${String(error)}`);
  }
}
