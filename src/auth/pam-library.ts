import { loadKoffi, type Koffi } from '../net/native.ts';
import type { PamRequest } from './pam-checker.ts';
import type { SystemVerdict } from './system-login.ts';

/** The service whose rules PAM applies where no other is named. @source PgBouncer: it has the same name there. */
export const PAM_SERVICE = 'pgbouncer';

/** Numbers of Linux-PAM. @source security/_pam_types.h */
const PAM_SUCCESS = 0;
const PAM_CONV_ERR = 19;
const PAM_SILENT = 0x8000;
const PAM_RHOST = 4;
const PAM_PROMPT_ECHO_OFF = 1;
const PAM_PROMPT_ECHO_ON = 2;
/** Most messages of one conversation. @source PAM_MAX_NUM_MSG */
const MESSAGES_MAX = 32;

const LIBRARY = 'libpam.so.0';

interface PamMessage {
  readonly msg_style: number;
}

/** Asks PAM and waits for the answer. To be used where nothing else has to go on meanwhile. */
export type AskPam = (request: PamRequest) => SystemVerdict;

/**
 * Opens PAM's library.
 *
 * @throws when there is no such library.
 */
export function openPam(koffi: Koffi = loadKoffi()): AskPam {
  const pam = bindPam(koffi);
  /** What the conversation answers with; set for the time of one request. */
  let request: PamRequest | null = null;
  const conversation = koffi.register(
    (count: number, messages: unknown, responses: unknown): number =>
      request === null ? PAM_CONV_ERR : converse(koffi, pam, request, [count, messages, responses]),
    koffi.pointer(pam.conversationType),
  );
  return (asked) => {
    request = asked;
    try {
      return judge(pam, asked, conversation);
    } finally {
      request = null;
    }
  };
}

/** The functions of the library, and what of the C library a conversation needs. */
type Pam = ReturnType<typeof bindPam>;

function bindPam(koffi: Koffi) {
  const library = koffi.load(LIBRARY);
  const libc = koffi.load(null);
  const conversationType = koffi.proto('int', ['int', 'const void **', 'void **', 'void *']);
  const conversationStruct = koffi.struct({
    conv: koffi.pointer(conversationType),
    appdata_ptr: 'void *',
  });
  const handle = koffi.out(koffi.pointer('void *'));
  return {
    conversationType,
    messageType: koffi.struct({ msg_style: 'int', msg: 'const char *' }),
    responseType: koffi.struct({ resp: 'void *', resp_retcode: 'int' }),
    start: library.func('pam_start', 'int', [
      'const char *',
      'const char *',
      koffi.pointer(conversationStruct),
      handle,
    ]),
    setItem: library.func('int pam_set_item(void *, int, const char *)'),
    authenticate: library.func('int pam_authenticate(void *, int)'),
    checkAccount: library.func('int pam_acct_mgmt(void *, int)'),
    textOf: library.func('const char *pam_strerror(void *, int)'),
    end: library.func('int pam_end(void *, int)'),
    calloc: libc.func('void *calloc(size_t, size_t)'),
    strdup: libc.func('void *strdup(const void *)'),
  };
}

/** @source pam_authenticate(3), pam_acct_mgmt(3) */
function judge(pam: Pam, request: PamRequest, conv: bigint): SystemVerdict {
  const handles: unknown[] = [null];
  const settings = { conv, appdata_ptr: null };
  const started = Number(pam.start(request.service, request.user, settings, handles));
  const handle = handles[0];
  if (started !== PAM_SUCCESS) {
    return { kind: 'refused', reason: `pam_start() failed with code ${String(started)}` };
  }
  const steps: readonly (readonly [string, () => number])[] = [
    [
      'pam_set_item(PAM_RHOST)',
      () =>
        request.host === '' ? PAM_SUCCESS : Number(pam.setItem(handle, PAM_RHOST, request.host)),
    ],
    ['pam_authenticate()', () => Number(pam.authenticate(handle, PAM_SILENT))],
    ['pam_acct_mgmt()', () => Number(pam.checkAccount(handle, PAM_SILENT))],
  ];
  let status = PAM_SUCCESS;
  let failedStep = '';
  for (const [step, run] of steps) {
    status = run();
    if (status !== PAM_SUCCESS) {
      failedStep = step;
      break;
    }
  }
  const text = status === PAM_SUCCESS ? '' : String(pam.textOf(handle, status));
  pam.end(handle, status);
  return status === PAM_SUCCESS
    ? { kind: 'accepted' }
    : { kind: 'refused', reason: `${failedStep} failed: ${text}` };
}

/**
 * Answers PAM's questions: the password where nothing may be shown, the user name elsewhere. PAM
 * frees what it gets.
 *
 * @source pam_conv(3)
 */
function converse(
  koffi: Koffi,
  pam: Pam,
  { user, password }: PamRequest,
  [count, messages, responses]: readonly [number, unknown, unknown],
): number {
  if (count < 1 || count > MESSAGES_MAX) {
    return PAM_CONV_ERR;
  }
  const pointers = koffi.decode(messages, 'void *', count) as unknown[];
  const array: unknown = pam.calloc(count, koffi.sizeof(pam.responseType));
  const answers = pointers.map((pointer) => {
    const { msg_style: style } = koffi.decode(pointer, pam.messageType) as PamMessage;
    return { resp: answerTo(style), resp_retcode: 0 };
  });
  koffi.encode(array, koffi.array(pam.responseType, count), answers);
  koffi.encode(responses, 'void *', array);
  return PAM_SUCCESS;

  function answerTo(style: number): unknown {
    switch (style) {
      case PAM_PROMPT_ECHO_OFF:
        return pam.strdup(Buffer.concat([password, Buffer.alloc(1)]));
      case PAM_PROMPT_ECHO_ON:
        return pam.strdup(Buffer.from(`${user}\0`));
      default:
        return null;
    }
  }
}
