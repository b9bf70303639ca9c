/** One way in which an old PgBouncer differs from the version that is the reference. */
interface Change {
  readonly id: string;
  readonly apply: (lines: readonly string[]) => readonly string[];
}

/** Puts a line behind another one, where a block of lines has both in another order. */
function moveBehind(moved: RegExp, anchor: RegExp): Change['apply'] {
  return (lines) => {
    const result: string[] = [];
    let held: string | null = null;
    for (const line of lines) {
      if (moved.test(line)) {
        held = line;
        continue;
      }
      result.push(line);
      if (held !== null && anchor.test(line)) {
        result.push(held);
        held = null;
      }
    }
    return held === null ? result : lines;
  };
}

function replaceText(pattern: RegExp, text: string): Change['apply'] {
  return (lines) => lines.map((line) => line.replace(pattern, text));
}

/** Applied in this order. */
const CHANGES: readonly Change[] = [
  {
    id: 'version-parameter-order',
    apply: moveBehind(
      /^(?!console<)\S+< ParameterStatus client_encoding=/,
      /< ParameterStatus DateStyle=/,
    ),
  },
  {
    id: 'version-tracked-intervalstyle',
    apply: moveBehind(/< ParameterStatus IntervalStyle=/, /< ParameterStatus application_name=/),
  },
  {
    id: 'version-number',
    apply: replaceText(/1\.1\d\.\d\/bouncer$/, '1.25.2/bouncer'),
  },
  {
    id: 'version-column-names',
    apply: replaceText(/^(\S+< {3}(?:column )?)reserve_pool:/, '$1reserve_pool_size:'),
  },
  {
    id: 'version-enable-text',
    apply: (lines) =>
      lines.map((line, i) =>
        lines[i - 1]?.endsWith('> ENABLE pgbouncer') === true
          ? line.replace('cannot disable admin db', 'cannot enable admin db')
          : line,
      ),
  },
  {
    id: 'version-auto-database',
    apply: replaceText(/ registered new auto-database: db=/, ' registered new auto-database: '),
  },
  {
    id: 'version-login-attempt',
    apply: replaceText(/( login attempt: .* tls=\S+)$/, '$1 replication=no'),
  },
];

/**
 * Rewrites what an old PgBouncer said into what the reference version says, as far as that is
 * known. Lines of a newer one stay as they are.
 *
 * @returns The lines, and the ids of the differences that were met.
 */
export function modernize(transcript: readonly string[]): {
  readonly lines: readonly string[];
  readonly ids: readonly string[];
} {
  let lines = transcript;
  const ids: string[] = [];
  for (const { id, apply } of CHANGES) {
    const next = apply(lines);
    if (next.join('\n') !== lines.join('\n')) {
      ids.push(id);
    }
    lines = next;
  }
  return { lines, ids };
}
