/** A setting given in the `options` startup parameter. */
export interface OptionSetting {
  readonly name: string;
  readonly value: string;
}

/** What PostgreSQL splits at; blanks of other scripts belong to a value. */
const BLANK = /[ \t\n\v\f\r]/;

/** Splits at blanks; a backslash keeps the next character as it is. */
function splitWords(options: string): string[] {
  const words: string[] = [];
  let word = '';
  let isInWord = false;
  for (let index = 0; index < options.length; index++) {
    const char = options.charAt(index);
    if (BLANK.test(char)) {
      if (isInWord) {
        words.push(word);
      }
      word = '';
      isInWord = false;
      continue;
    }
    isInWord = true;
    if (char === '\\') {
      index++;
      word += options.charAt(index);
    } else {
      word += char;
    }
  }
  if (isInWord) {
    words.push(word);
  }
  return words;
}

function toSetting(text: string): OptionSetting | null {
  const equals = text.indexOf('=');
  if (equals < 1) {
    return null;
  }
  // PostgreSQL lets a setting be spelt with dashes here.
  return { name: text.slice(0, equals).replaceAll('-', '_'), value: text.slice(equals + 1) };
}

/**
 * Parses the `options` startup parameter as PostgreSQL does: `-c name=value`, `-cname=value` and
 * `--name=value`, separated by blanks, with backslash escapes. Takes time linear in the length.
 *
 * @returns the settings in order, or null when anything else is found. Never throws.
 * @source PostgreSQL manual, "Connection Parameters": options
 */
export function parseOptions(options: string): OptionSetting[] | null {
  const settings: OptionSetting[] = [];
  const words = splitWords(options);
  for (let index = 0; index < words.length; index++) {
    const word = words[index] ?? '';
    let text: string;
    if (word === '-c') {
      index++;
      text = words[index] ?? '';
    } else if (word.startsWith('-c') || word.startsWith('--')) {
      text = word.slice(2);
    } else {
      return null;
    }
    const setting = toSetting(text);
    if (setting === null) {
      return null;
    }
    settings.push(setting);
  }
  return settings;
}
