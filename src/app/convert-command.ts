import { ConfigError } from '../config/config-error.ts';
import { renderConfigYaml } from '../config/config-yaml.ts';
import type { Config } from '../config/config.ts';
import { isYamlFile, loadConfig } from '../config/load.ts';
import { logFormatOf } from './app.ts';
import type { CommandResult } from './command-result.ts';

function failure(text: string): CommandResult {
  return { exitCode: 1, stdout: '', stderr: `${text}\n` };
}

/** Writes a sentence as comment lines: names in it may hold line ends of any kind. */
function comment(sentence: string): string {
  return `# ${sentence.replace(/[\p{Cc}\u2028\u2029]+/gu, ' ')}`;
}

function render(config: Config): string {
  const notes =
    config.warnings.length === 0
      ? []
      : ['#', '# What differs from the original, or looks wrong in it:'].concat(
          config.warnings.map(comment),
        );
  const head = [comment(`Converted from ${config.file}; what is left out has its default.`)];
  return `${[...head, ...notes].join('\n')}\n\n${renderConfigYaml(withLogFormat(config))}`;
}

/** The form of the log follows the kind of file where it is not set: what reads it must not notice. */
function withLogFormat(config: Config): Config {
  const logFormat = logFormatOf(config);
  return { ...config, settings: { ...config.settings, logFormat } };
}

/**
 * Turns a pgbouncer.ini into a maitred.yaml with the same meaning, included files and passwords
 * and all. The environment has no part in it.
 *
 * @param file - The ini file, as the operator named it.
 * @param readText - Reads a file whole as UTF-8; may throw.
 * @returns The YAML text; or every problem of the ini file and exit code 1.
 */
export function convertCommand(file: string, readText: (file: string) => string): CommandResult {
  if (isYamlFile(file)) {
    return failure(`${file}: this is a YAML file already, by its name`);
  }
  try {
    return { exitCode: 0, stdout: render(loadConfig(file, readText)), stderr: '' };
  } catch (error) {
    if (error instanceof ConfigError) {
      return failure(error.message);
    }
    throw error;
  }
}
