/** `2026-11-21 12:00:00.123 UTC [123] `, which begins every line of the log. */
const LINE_HEAD = /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} \S+ \[\d+\] /;

/** What stays as it is in a log line although it looks like something random. */
export interface LogNames {
  readonly directory: string;
  readonly isKnownPort: (port: string) => boolean;
}

/** Takes from a log line what differs from run to run. A line of another shape stays whole. */
export function normalizeLogLine(line: string, { directory, isKnownPort }: LogNames): string {
  return (
    line
      .replace(LINE_HEAD, '')
      .replaceAll(directory, 'DIR')
      .replace(/\b([CS])-0x[0-9a-f]+: /g, '$1: ')
      .replace(/:(\d{4,5})\b/g, (text, port: string) => (isKnownPort(port) ? text : ':PORT'))
      // Not every system tells the process behind a Unix socket.
      .replace(/unix\(\d+\)/g, 'unix')
      .replace(/age=\d+s/g, 'age=Ns')
  );
}
