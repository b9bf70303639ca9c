import { describe, expect, it } from 'vitest';
import { LineWriter } from '../../../src/log/line-writer.ts';

function failure(code: string): Error {
  return Object.assign(new Error(`${code}: said the system`), { code });
}

/** A descriptor that takes what it is told to: bytes of each call in turn, or an error; then all. */
class FakePipe {
  text = '';
  readonly answers: (number | Error)[] = [];
  readonly write = (descriptor: number, bytes: Buffer, offset: number): number => {
    expect(descriptor).toBe(5);
    const answer = this.answers.shift() ?? bytes.length - offset;
    if (answer instanceof Error) {
      throw answer;
    }
    this.text += bytes.toString('utf8', offset, offset + answer);
    return answer;
  };
}

function setUp(...answers: (number | Error)[]): { pipe: FakePipe; writer: LineWriter } {
  const pipe = new FakePipe();
  pipe.answers.push(...answers);
  return { pipe, writer: new LineWriter(5, pipe.write) };
}

describe('LineWriter', () => {
  it('writes lines as they come', () => {
    const { pipe, writer } = setUp();
    writer.write('one\n');
    writer.write('zwölf\n');
    expect(pipe.text).toBe('one\nzwölf\n');
    expect([writer.lostLineCount, writer.takeNotice()]).toEqual([0, null]);
  });

  it('goes on with a line that was taken in part', () => {
    const { pipe, writer } = setUp(2, 1);
    writer.write('line\n');
    expect(pipe.text).toBe('line\n');
  });

  it('drops a line when the pipe is full, counts it, and tells when it works again', () => {
    const { pipe, writer } = setUp(failure('EAGAIN'), failure('EAGAIN'));
    writer.write('a\n');
    writer.write('b\n');
    expect(writer.takeNotice()).toBeNull();
    writer.write('c\n');
    expect(pipe.text).toBe('c\n');
    expect(writer.lostLineCount).toBe(2);
    expect(writer.takeNotice()).toEqual({ kind: 'recovered', lostLines: 2 });
    expect(writer.takeNotice()).toBeNull();
  });

  it('writes the rest of a torn line before the next one', () => {
    const { pipe, writer } = setUp(2, failure('EAGAIN'));
    writer.write('torn\n');
    expect([pipe.text, writer.lostLineCount]).toEqual(['to', 0]);
    writer.write('next\n');
    expect(pipe.text).toBe('torn\nnext\n');
    expect(writer.takeNotice()).toBeNull();
  });

  it('drops the lines behind a torn one while its rest does not go out', () => {
    const { pipe, writer } = setUp(2, failure('EAGAIN'), failure('EAGAIN'), 1, failure('EAGAIN'));
    writer.write('torn\n');
    writer.write('lost\n');
    writer.write('lost too\n');
    expect(pipe.text).toBe('tor');
    writer.write('next\n');
    expect(pipe.text).toBe('torn\nnext\n');
    expect(writer.takeNotice()).toEqual({ kind: 'recovered', lostLines: 2 });
  });

  it('tells once that the descriptor has failed, and again after it has recovered', () => {
    const { writer } = setUp(failure('ENOSPC'), failure('ENOSPC'));
    const failed = { kind: 'failed', error: 'ENOSPC: said the system' };
    writer.write('a\n');
    expect(writer.takeNotice()).toEqual(failed);
    writer.write('b\n');
    expect(writer.takeNotice()).toBeNull();
    writer.write('c\n');
    expect(writer.takeNotice()).toEqual({ kind: 'recovered', lostLines: 2 });
  });

  it('tells of a second failure although the first one cost no line', () => {
    const { pipe, writer } = setUp(1, failure('ENOSPC'));
    writer.write('a\n');
    expect(writer.takeNotice()).toMatchObject({ kind: 'failed' });
    writer.write('b\n');
    pipe.answers.push(failure('EIO'));
    writer.write('c\n');
    expect(writer.takeNotice()).toMatchObject({ kind: 'failed', error: 'EIO: said the system' });
  });

  it('does not try for ever when nothing is taken', () => {
    const { writer } = setUp(0);
    writer.write('a\n');
    expect(writer.lostLineCount).toBe(1);
  });
});
