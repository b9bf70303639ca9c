import path from 'node:path';
import type { NativeMethod } from '../auth/external-method.ts';
import { parseHbaFile } from '../auth/hba-file.ts';
import type { HbaRule } from '../auth/hba-rules.ts';
import { parseIdentFile } from '../auth/ident-map.ts';
import type { IdentMap } from '../auth/ident-map.ts';
import { findFilterProblem } from '../auth/ldap-client.ts';
import { systemErrorText } from '../base/system-error-text.ts';
import type { Settings } from '../config/config.ts';
import { parseLdapOptions } from '../config/ldap-options.ts';

/** Something to tell the operator about `auth_hba_file` or `auth_ident_file`. */
export interface AccessProblem {
  readonly kind: 'hba' | 'ident';
  readonly file: string;
  /** Counted from 1; 0 when the whole file is meant. */
  readonly line: number;
  /** A clause. Never holds a password. */
  readonly problem: string;
  /** Whether the line does not count. */
  readonly isSkipped: boolean;
}

/** Result of {@link loadAccessRules}. */
export interface AccessRules {
  /** In their order; `null` when the file cannot be read. */
  readonly rules: readonly HbaRule[] | null;
  /** Whether no map is known, since their file cannot be read: lines with a map then admit nobody. */
  readonly isWithoutMaps: boolean;
  readonly problems: readonly AccessProblem[];
}

/** What the reading of rules needs. */
export interface AccessSources {
  /** @throws the error of the system. */
  readonly readText: (file: string) => string;
  /** Why a method cannot be used in this process, as a clause; `null` when it can. */
  readonly unavailable: (method: NativeMethod) => string | null;
}

/**
 * Tells what is wrong with the options of `auth_type` ldap that reading them does not show; `null`
 * for nothing.
 */
export function findLdapProblem({ authType, authLdapOptions }: Settings): string | null {
  if (authType !== 'ldap') {
    return null;
  }
  const options = parseLdapOptions(authLdapOptions ?? '');
  const problem = 'wrong' in options ? null : findFilterProblem(options);
  return problem === null ? null : `auth_ldap_options: ${problem}`;
}

/**
 * Reads the files of `auth_type` hba. Lines that cannot be used are left out and reported.
 *
 * Never throws.
 */
export function loadAccessRules(settings: Settings, sources: AccessSources): AccessRules {
  const { authHbaFile: file } = settings;
  const ident = loadIdentMaps(settings.authIdentFile ?? '', sources);
  const isWithoutMaps = ident.maps === null;
  const text = readOr(file, sources);
  if (typeof text !== 'string') {
    const problem = `could not open hba config file ${file}: ${text.why}`;
    const failure = { kind: 'hba', file, line: 0, problem, isSkipped: true } as const;
    return { rules: null, isWithoutMaps, problems: [...ident.problems, failure] };
  }
  const names = {
    readText: sources.readText,
    resolve: (from: string, name: string) => path.resolve(path.dirname(from), name),
  };
  const { rules, problems } = parseHbaFile(text, { file, maps: ident.maps, names });
  const found: AccessProblem[] = problems.map(({ line, message, isSkipped }) => ({
    kind: 'hba',
    file,
    line,
    problem: message,
    isSkipped,
  }));
  return {
    rules,
    isWithoutMaps,
    problems: [...ident.problems, ...found, ...unusableRules(file, rules, sources)].sort(byLine),
  };
}

function byLine(a: AccessProblem, b: AccessProblem): number {
  return a.kind === b.kind ? a.line - b.line : Number(a.kind === 'hba') - Number(b.kind === 'hba');
}

interface IdentMaps {
  /** `null` when the file cannot be read. */
  readonly maps: ReadonlyMap<string, IdentMap> | null;
  readonly problems: readonly AccessProblem[];
}

function loadIdentMaps(file: string, sources: AccessSources): IdentMaps {
  if (file === '') {
    return { maps: new Map(), problems: [] };
  }
  const text = readOr(file, sources);
  if (typeof text !== 'string') {
    const problem = `could not open ident config file ${file}: ${text.why}`;
    const failure = { kind: 'ident', file, line: 0, problem, isSkipped: true } as const;
    return { maps: null, problems: [failure] };
  }
  const { maps, problems } = parseIdentFile(text);
  return {
    maps,
    problems: problems.map(({ line, message }) => ({
      kind: 'ident',
      file,
      line,
      problem: message,
      isSkipped: true,
    })),
  };
}

/**
 * Rules whose method this process does not have. They count: were they left out, a rule further down
 * that was not meant for these clients would let them in.
 */
function unusableRules(
  file: string,
  rules: readonly HbaRule[],
  { unavailable }: AccessSources,
): readonly AccessProblem[] {
  return rules.flatMap(({ line, method }) => {
    const why = method === 'pam' || method === 'peer' ? unavailable(method) : null;
    const problem = `${method} cannot be used: ${why ?? ''}; this line refuses whoever it matches`;
    return why === null ? [] : [{ kind: 'hba', file, line, problem, isSkipped: false } as const];
  });
}

function readOr(file: string, { readText }: AccessSources): string | { readonly why: string } {
  try {
    return readText(file);
  } catch (error) {
    return { why: systemErrorText(error) };
  }
}

/** Puts a problem into a sentence that names the place. */
export function describeAccessProblem({ file, line, problem, isSkipped }: AccessProblem): string {
  if (line === 0) {
    return problem;
  }
  return `${file}:${String(line)}: ${problem}${isSkipped ? '; the line does not count' : ''}`;
}
