import { describe, expect, it } from 'vitest';
import type { RawHandle, WriteRequest } from '../../../src/net/raw-handle.ts';
import { RawTlsWriter } from '../../../src/net/raw-tls-writer.ts';

interface Binding {
  readonly streamBaseState: Int32Array;
  readonly kLastWriteWasAsync: number;
}

/**
 * A handle whose writes end when the test says so. It never uses the request objects as Node.js does,
 * so that they cannot be asked: the writer has to be told of each end.
 */
class ManualHandle {
  readonly written: string[] = [];
  readonly requests: WriteRequest[] = [];
  status = 0;
  readonly #binding = (process as unknown as { binding(name: string): Binding }).binding(
    'stream_wrap',
  );

  writeBuffer(request: WriteRequest, chunk: Buffer): number {
    this.#binding.streamBaseState[this.#binding.kLastWriteWasAsync] = 1;
    this.written.push(chunk.toString());
    this.requests.push(request);
    return this.status;
  }

  end(status = 0): void {
    const request = this.requests.shift();
    request?.oncomplete?.call(request, status);
  }
}

function start(): { handle: ManualHandle; writer: RawTlsWriter; ends: number[] } {
  const handle = new ManualHandle();
  const ends: number[] = [];
  const writer = new RawTlsWriter(handle as unknown as RawHandle, (status) => ends.push(status));
  return { handle, writer, ends };
}

describe('RawTlsWriter where request objects cannot be asked', () => {
  it('has one write under way, and puts together what comes meanwhile', () => {
    const { handle, writer, ends } = start();
    const borrowed = Buffer.from('bcd');
    expect(writer.write(Buffer.from('a'))).toBe(1);
    expect(writer.write(borrowed)).toBe(4);
    borrowed.fill('x');
    expect(writer.write(Buffer.from('e'))).toBe(5);
    expect(writer.write(Buffer.alloc(0))).toBe(5);
    expect(handle.written).toEqual(['a']);
    handle.end();
    expect(handle.written).toEqual(['a', 'bcde']);
    expect([writer.pendingBytes, ends]).toEqual([4, []]);
    handle.end();
    expect([writer.pendingBytes, ends]).toEqual([0, [0]]);
    expect(writer.write(Buffer.from('f'))).toBe(1);
    expect(handle.written).toEqual(['a', 'bcde', 'f']);
  });

  it('tells the end to who asks, unless there is nothing to wait for', () => {
    const { handle, writer, ends } = start();
    expect(writer.tellWhenDone()).toBe(false);
    writer.write(Buffer.from('a'));
    expect(writer.tellWhenDone()).toBe(true);
    handle.end();
    expect(ends).toEqual([0]);
    expect(writer.tellWhenDone()).toBe(false);
  });

  it('passes errors on, and sends nothing after one', () => {
    const { handle, writer, ends } = start();
    writer.write(Buffer.from('a'));
    writer.write(Buffer.from('b'));
    handle.end(-32);
    expect([handle.written, ends]).toEqual([['a'], [-32]]);
    handle.status = -71;
    expect(writer.write(Buffer.from('c'))).toBe(-71);
    expect(writer.pendingBytes).toBe(0);
  });
});
