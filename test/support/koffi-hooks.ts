import { fileURLToPath } from 'node:url';

const HOOKS_FILE = fileURLToPath(new URL('./koffi-hooks.mjs', import.meta.url));

/** What koffi-hooks.mjs is to change. */
export interface KoffiHooks {
  /** The package is not installed. */
  readonly isAbsent?: boolean;
  /** Path of the socket that stands for /dev/log. */
  readonly syslog?: string;
  /** Service of PAM that stands for `pgbouncer`. */
  readonly pamService?: string;
}

/** The environment of a pooler that sees another koffi. */
export function withKoffiHooks(hooks: KoffiHooks): Readonly<Record<string, string>> {
  const { isAbsent = false, syslog, pamService } = hooks;
  return {
    NODE_OPTIONS: `${process.env['NODE_OPTIONS'] ?? ''} --import ${HOOKS_FILE}`,
    ...(isAbsent ? { TEST_KOFFI: 'absent' } : {}),
    ...(syslog === undefined ? {} : { TEST_SYSLOG: syslog }),
    ...(pamService === undefined ? {} : { TEST_PAM_SERVICE: pamService }),
  };
}
