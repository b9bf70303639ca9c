/** An option that a command knows. */
export interface OptionSpec {
  readonly letter: string;
  readonly name: string;
  readonly takesValue: boolean;
}

/** An option as it was given. */
export interface GivenOption {
  readonly letter: string;
  /** Empty for an option that takes none. */
  readonly value: string;
}

/** What a command line says, up to the first thing that cannot be read. */
export interface ReadOptions {
  /** In their order. */
  readonly options: readonly GivenOption[];
  /** What is no option, in order. */
  readonly operands: readonly string[];
  /** What is wrong with the option behind those given; `null` when all could be read. */
  readonly problem: string | null;
}

type Outcome = GivenOption | { readonly problem: string };

/** Reads the arguments of one command line. */
class OptionReader {
  readonly #specs: readonly OptionSpec[];
  readonly #args: readonly string[];
  #next = 0;

  constructor(args: readonly string[], specs: readonly OptionSpec[]) {
    this.#args = args;
    this.#specs = specs;
  }

  read(): ReadOptions {
    const options: GivenOption[] = [];
    const operands: string[] = [];
    for (let text = this.#take(); text !== undefined; text = this.#take()) {
      if (text === '--') {
        operands.push(...this.#args.slice(this.#next));
        break;
      }
      if (text === '-' || !text.startsWith('-')) {
        operands.push(text);
        continue;
      }
      const outcomes = text.startsWith('--') ? [this.#readLong(text)] : this.#readShort(text);
      for (const outcome of outcomes) {
        if ('problem' in outcome) {
          return { options, operands, problem: outcome.problem };
        }
        options.push(outcome);
      }
    }
    return { options, operands, problem: null };
  }

  #take(): string | undefined {
    return this.#args[this.#next++];
  }

  #readLong(text: string): Outcome {
    const equals = text.indexOf('=');
    const given = equals < 0 ? text : text.slice(0, equals);
    const wanted = given.slice(2);
    const exact = this.#specs.find(({ name }) => name === wanted);
    const possible =
      exact === undefined ? this.#specs.filter(({ name }) => name.startsWith(wanted)) : [exact];
    const [spec, ...more] = possible;
    if (spec === undefined) {
      return { problem: `unrecognized option '${text}'` };
    }
    if (more.length > 0) {
      const names = possible.map(({ name }) => `'--${name}'`).join(' ');
      return { problem: `option '${given}' is ambiguous; possibilities: ${names}` };
    }
    const { letter, name } = spec;
    if (!spec.takesValue) {
      return equals < 0
        ? { letter, value: '' }
        : { problem: `option '--${name}' doesn't allow an argument` };
    }
    const value = equals < 0 ? this.#take() : text.slice(equals + 1);
    return value === undefined
      ? { problem: `option '--${name}' requires an argument` }
      : { letter, value };
  }

  /** Reads letters behind one dash; a value may follow its letter at once. */
  #readShort(text: string): Outcome[] {
    const outcomes: Outcome[] = [];
    for (let at = 1; at < text.length; at += 1) {
      const letter = text.charAt(at);
      const spec = this.#specs.find((known) => known.letter === letter);
      if (spec === undefined) {
        return [...outcomes, { problem: `invalid option -- '${letter}'` }];
      }
      if (spec.takesValue) {
        const value = at + 1 < text.length ? text.slice(at + 1) : this.#take();
        const problem = `option requires an argument -- '${letter}'`;
        return [...outcomes, value === undefined ? { problem } : { letter, value }];
      }
      outcomes.push({ letter, value: '' });
    }
    return outcomes;
  }
}

/**
 * Reads a command line as PgBouncer does: options may stand behind files, letters behind one dash,
 * long names may be cut as long as they stay clear, and `--` ends the options.
 *
 * @param args - Without the name of the program.
 * @param specs - The options that there are, sorted by their long names.
 * @source getopt_long(3), with the texts of glibc
 */
export function readOptions(args: readonly string[], specs: readonly OptionSpec[]): ReadOptions {
  return new OptionReader(args, specs).read();
}
