import { describe, expect, it } from 'vitest';
import { BackendCode, FrontendCode } from '../../../src/protocol/codes.ts';
import { Disposition, OutstandingRequests } from '../../../src/relay/outstanding-requests.ts';

const VERDICTS = ['forward', 'skip', 'violation'];

/** The verdict on one reply, in words. */
function reply(ledger: OutstandingRequests, letter: string): string {
  return VERDICTS[ledger.onBackendMessage(letter.charCodeAt(0))] ?? 'none';
}

function send(ledger: OutstandingRequests, letters: string): void {
  for (const letter of letters) {
    ledger.onFrontendMessage(letter.charCodeAt(0));
  }
}

/**
 * Runs a dialogue: `>` and client messages, `<` and server messages, `!` for a query of maitred's
 * own, `~` for a rollback and Sync of maitred's own. @returns the verdicts: f, s, or X for a violation.
 */
function play(ledger: OutstandingRequests, dialogue: string): string {
  let verdicts = '';
  for (const part of dialogue.split(' ')) {
    if (part === '!') {
      ledger.pushSkippedQuery();
    } else if (part === '~') {
      ledger.pushSkippedRollback();
    } else if (part.startsWith('>')) {
      send(ledger, part.slice(1));
    } else {
      for (const letter of part.slice(1)) {
        verdicts += 'fsX'.charAt(ledger.onBackendMessage(letter.charCodeAt(0)));
      }
    }
  }
  return verdicts;
}

/** Flags of a ledger in one word each. */
function flags(ledger: OutstandingRequests): string {
  const { isEmpty, isSyncMissing, isReadyOwed, isCopyIn, isCopyBoth, isUnclear } = ledger;
  const names = Object.entries({
    ...{ isEmpty, isSyncMissing, isReadyOwed },
    ...{ isCopyIn, isCopyBoth, isUnclear },
  });
  return names
    .filter(([, isSet]) => isSet)
    .map(([name]) => name.slice(2))
    .join(' ');
}

const SESSION_LETTERS = Array.from('123ACDEGHINSTVWZcdnst');

/** Replies that each head request may have. Everything else is a violation. */
const LEGAL: Readonly<Record<string, string>> = {
  Q: 'CDEGHITWZcd',
  F: 'EVZ',
  P: '1E',
  B: '2E',
  C: '3E',
  D: 'ETnt',
  E: 'CDEGHIcds',
  S: 'EZ',
};
/** What comes by the way is legal at any time. */
const ASYNCHRONOUS = 'ANS';
/** Data messages are told apart by nothing but whether anything runs, for speed. */
const DATA = 'Dcd';

describe('OutstandingRequests: what shows only after everything has been answered', () => {
  function afterwards(dialogue: string, act: (ledger: OutstandingRequests) => void): string {
    const ledger = new OutstandingRequests();
    const [before = '', after = ''] = dialogue.split('|');
    play(ledger, before.trim());
    act(ledger);
    play(ledger, after.trim());
    return `${flags(ledger)}, ${ledger.isReusable ? 'reusable' : 'not reusable'}`;
  }

  it.each([
    ['behind a query', '>Q <CZ|>H', 'Empty, not reusable'],
    ['ahead of one', '>H|>Q <CZ', 'Empty, not reusable'],
    ['at the end of COPY IN', '>Q <G >dc|<CZ', 'Empty, not reusable'],
    ['in a COPY IN that has failed by itself', '>Q <G >dc|<EZ', 'Empty, not reusable'],
  ])('a long CopyDone or CopyFail %s', (_where, dialogue, expected) => {
    expect(
      afterwards(dialogue, (ledger) => {
        ledger.onLongCopyEnd();
      }),
    ).toBe(expected);
  });

  it.each([
    ['in a COPY IN that fails by itself', '>Q <G >d|<EZ', 'Empty Unclear, not reusable'],
    ['in a COPY IN that swallows it', '>Q <G >d|>c <CZ', 'Empty Unclear, not reusable'],
    ['behind a COPY IN that has ended', '>Q <G >dc <CZ|<E >S <Z', 'Empty, reusable'],
  ])('a Flush with a body %s', (_where, dialogue, expected) => {
    expect(
      afterwards(dialogue, (ledger) => {
        ledger.onBrokenFlush();
      }),
    ).toBe(expected);
  });

  it('is forgotten with the link', () => {
    const ledger = new OutstandingRequests();
    ledger.onLongCopyEnd();
    ledger.clear();
    expect(ledger.isReusable).toBe(true);
  });
});

describe('OutstandingRequests: each head request × each reply', () => {
  const cells = Object.keys(LEGAL).flatMap((head) =>
    SESSION_LETTERS.map((letter) => [head, letter] as const),
  );

  it('knows every backend message that may come after login', () => {
    const letters = Object.values(BackendCode).map((code) => String.fromCharCode(code));
    expect(SESSION_LETTERS.concat('K', 'R', 'v').sort()).toEqual(letters.sort());
  });

  it.each(cells)('%s at the head, %s arrives', (head, letter) => {
    const isLegal = (LEGAL[head] ?? '').includes(letter);
    const expected =
      isLegal || ASYNCHRONOUS.includes(letter) || DATA.includes(letter) ? 'forward' : 'violation';
    const ledger = new OutstandingRequests();
    send(ledger, head);
    expect(reply(ledger, letter)).toBe(expected);
  });

  it.each(SESSION_LETTERS)('nothing is owed, %s arrives', (letter) => {
    const isExpected = 'ANSE'.includes(letter);
    expect(reply(new OutstandingRequests(), letter)).toBe(isExpected ? 'forward' : 'violation');
  });

  it.each(SESSION_LETTERS)("a query of maitred's own runs, %s arrives", (letter) => {
    const ledger = new OutstandingRequests();
    ledger.pushSkippedQuery();
    send(ledger, 'Q');
    const isLegal = `${LEGAL['Q'] ?? ''}NS`.includes(letter);
    // A notification is meant for whoever listens, whatever runs.
    const expected = letter === 'A' ? 'forward' : isLegal ? 'skip' : 'violation';
    expect(ledger.isHeadSkipped).toBe(true);
    expect(reply(ledger, letter)).toBe(expected);
  });

  const foreign = Object.values(FrontendCode)
    .map((code) => String.fromCharCode(code))
    .filter((letter) => !SESSION_LETTERS.includes(letter));

  it.each([...foreign, 'K', 'R', 'v', '\u0000', '\u00ff'])(
    'refuses %j, which is no reply',
    (letter) => {
      const ledger = new OutstandingRequests();
      send(ledger, 'QS');
      expect(reply(ledger, letter)).toBe('violation');
    },
  );
});

/** [what, dialogue, verdicts, flags at the end] */
const DIALOGUES: readonly (readonly [string, string, string, string])[] = [
  ['nothing', '<', '', 'Empty'],
  // Simple query
  ['a simple query that runs', '>Q', '', 'ReadyOwed'],
  ['a simple query', '>Q <TDDCZ', 'fffff', 'Empty'],
  ['an empty query', '>Q <IZ', 'ff', 'Empty'],
  ['several statements', '>Q <TDCCTDC', 'fffffff', 'ReadyOwed'],
  ['several statements to the end', '>Q <TDCCTDCZ', 'ffffffff', 'Empty'],
  ['an error in a query', '>Q <TDEZ', 'ffff', 'Empty'],
  ['an error in a query, before ReadyForQuery', '>Q <E', 'f', 'ReadyOwed'],
  ['pipelined queries', '>QQQ <CZCZ', 'ffff', 'ReadyOwed'],
  ['an error in the first of two queries', '>QQ <EZ', 'ff', 'ReadyOwed'],
  ['one ReadyForQuery too many', '>Q <CZZ', 'ffX', 'Empty'],
  // FunctionCall
  ['a function call', '>F <VZ', 'ff', 'Empty'],
  ['a function call that fails', '>F <EZ', 'ff', 'Empty'],
  ['a function call behind an extended query', '>PF <1VZ', 'fff', 'Empty'],
  // Extended query
  ['an extended query', '>PBDES <12TDDCZ', 'fffffff', 'Empty'],
  ['an extended query without Sync', '>PBDE <12nC', 'ffff', 'SyncMissing'],
  ['Flush, which has no reply', '>PH <1 >H', 'f', 'SyncMissing'],
  ['Flush alone', '>H', '', 'Empty'],
  ['Describe of a statement', '>PDS <1tTZ', 'ffff', 'Empty'],
  ['Describe of a statement without rows', '>PDS <1tnZ', 'ffff', 'Empty'],
  ['a portal in portions', '>BES <2DDsZ >ES <DsZ >ES <DCZ', 'fffffffffff', 'Empty'],
  ['an Execute of nothing', '>BES <2IZ', 'fff', 'Empty'],
  ['a Close', '>CS <3Z', 'ff', 'Empty'],
  ['Sync alone', '>S <Z', 'f', 'Empty'],
  ['Sync of which the commit fails', '>PBES <12CEZ', 'fffff', 'Empty'],
  ['two extended queries in a pipeline', '>PBESPBES <12CZ', 'ffff', 'ReadyOwed'],
  ['a simple query behind an extended one without Sync', '>PBEQ <12CCZ', 'fffff', 'Empty'],
  // Errors in the extended protocol
  ['an error in Parse: up to Sync nothing is answered', '>PBDES <EZ', 'ff', 'Empty'],
  ['an error in Bind', '>PBDES <1EZ', 'fff', 'Empty'],
  ['an error in Describe', '>PBDES <12EZ', 'ffff', 'Empty'],
  ['an error in Execute after rows', '>PBDES <12TDDEZ', 'fffffff', 'Empty'],
  ['an error, the next pipeline untouched', '>PBESPBES <EZ12C', 'fffff', 'ReadyOwed'],
  ['an error and no Sync yet', '>PBE <E', 'f', 'SyncMissing'],
  ['an error, then requests that are ignored', '>PBE <E >PBQF', 'f', 'SyncMissing'],
  ['an error, ignored requests, Sync', '>PBE <E >PBQFS <Z', 'ff', 'Empty'],
  ['an error that skips a simple query', '>PQS <EZ', 'ff', 'Empty'],
  ['an error that skips a function call', '>PF <E', 'f', 'SyncMissing'],
  ['an error in Sync skips nothing', '>SPS <EZ1', 'fff', 'ReadyOwed'],
  ['a reply to what was skipped', '>PBS <E2', 'fX', 'ReadyOwed'],
  // Order
  ['BindComplete ahead of ParseComplete', '>PBS <2', 'X', 'ReadyOwed'],
  ['ReadyForQuery ahead of CommandComplete of Execute', '>ES <Z', 'X', 'ReadyOwed'],
  // By the way
  ['notices, parameters and notifications anywhere', '<NSA >PS <N1SAZ <N', 'fffffffff', 'Empty'],
  ['the error of a server that closes', '<E', 'f', 'Empty'],
  // COPY OUT
  ['COPY OUT', '>Q <HdddcCZ', 'fffffff', 'Empty'],
  ['COPY OUT that fails', '>Q <HddEZ', 'fffff', 'Empty'],
  ['COPY OUT in the extended protocol', '>PBES <12HddcCZ', 'ffffffff', 'Empty'],
  // COPY IN, simple
  ['COPY IN that waits', '>Q <G', 'f', 'ReadyOwed CopyIn'],
  ['COPY IN', '>Q <G >dddc <CZ', 'fff', 'Empty'],
  ['COPY IN ended by CopyFail', '>Q <G >df <EZ', 'fff', 'Empty'],
  ['COPY IN, data and end sent ahead', '>Qdddc <GCZ', 'fff', 'Empty'],
  ['COPY IN, CopyFail sent ahead', '>Qdf <GEZ', 'fff', 'Empty'],
  ['COPY IN that never began, its end sent ahead', '>Qddc <EZ', 'ff', 'Empty'],
  ['COPY IN that never began, a query behind it', '>QddcQ <EZ', 'ff', 'ReadyOwed'],
  ['COPY IN that fails early, its end sent later', '>Q <GEZ >ddc', 'fff', 'Empty'],
  ['COPY IN that fails, its end sent before ReadyForQuery', '>Q <GE >dc <Z', 'fff', 'Empty'],
  ['COPY IN with Flush and Sync, which it swallows', '>Q <G >dHSdc <CZ', 'fff', 'Empty'],
  ['COPY IN with a query behind it', '>Q <G >dcQ <CZCZ', 'fffff', 'Empty'],
  ['COPY IN twice in a query', '>Q <G >dc <CG >dc <CZ', 'fffff', 'Empty'],
  ['COPY IN twice, both ends sent ahead', '>Qdcdc <GCGCZ', 'fffff', 'Empty'],
  ['COPY IN twice, the first fails', '>Qdcdc <GEZ', 'fff', 'Empty'],
  ['COPY IN between other statements', '>Q <TDCG >dc <CTDCZ', 'fffffffff', 'Empty'],
  // COPY IN, extended
  ['COPY IN by Execute', '>PBE <12G >ddcS <CZ', 'fffff', 'Empty'],
  ['COPY IN by Execute, no Sync yet', '>PBE <12G >ddc <C', 'ffff', 'SyncMissing'],
  ['COPY IN with Sync ahead: swallowed', '>PBDES <12nG', 'ffff', 'SyncMissing CopyIn'],
  ['COPY IN with Sync ahead and at the end', '>PBDES <12nG >ddcS <CZ', 'ffffff', 'Empty'],
  ['COPY IN with everything ahead', '>PBDESddcS <12nGCZ', 'ffffff', 'Empty'],
  ['COPY IN with Sync ahead, an extended query behind', '>ES <G >dcSPS <CZ1Z', 'fffff', 'Empty'],
  ['COPY IN with everything ahead, more behind', '>ESdcSQ <GCZ', 'fff', 'ReadyOwed'],
  ['COPY IN by Execute, CopyFail', '>E <G >df <E', 'ff', 'SyncMissing'],
  ['COPY IN by Execute, CopyFail and Sync', '>E <G >dfS <EZ', 'fff', 'Empty'],
  ['COPY IN by Execute that fails early', '>E <GE >ddcS <Z', 'fff', 'Empty'],
  ['COPY IN by Execute that never began', '>PBESddcS <12EZZ', 'fffff', 'Empty'],
  // COPY BOTH
  ['a stream of replication', '>Q <Wddd', 'ffff', 'ReadyOwed CopyBoth'],
  ['a stream with status updates', '>Q <Wdd >d <d >dd <d', 'fffff', 'ReadyOwed CopyBoth'],
  ['a stream that the client ends', '>Q <Wd >dc', 'ff', 'ReadyOwed CopyBoth'],
  ['a stream that ended, the client first', '>Q <Wd >dc <ddcCCZ', 'ffffffff', 'Empty'],
  ['a stream that ended, the server first', '>Q <Wdc >dc <CZ', 'fffff', 'Empty'],
  ['a stream that ended with the next timeline', '>Q <Wdc >c <TDCCZ', 'ffffffff', 'Empty'],
  ['a stream, a query behind its end', '>Q <Wd >cQ <cCZTDCZ', 'fffffffff', 'Empty'],
  ['a stream whose end was sent ahead', '>Qc <WcCZ', 'ffff', 'Empty'],
  ['a stream that breaks off', '>Q <WdE', 'fff', 'ReadyOwed'],
  ['a stream that breaks off, late messages', '>Q <WdE >dc <Z >d', 'ffff', 'Empty'],
  ['a stream that breaks off, another one', '>Q <WdEZ >Q <Wd', 'ffffff', 'ReadyOwed CopyBoth'],
  ['a stream that never began', '>Qdc <EZ', 'ff', 'Empty'],
  ['a stream, its end and a COPY IN sent ahead', '>QcQdSc <WdcCZ >d <GCZ', 'ffffffff', 'Empty'],
  ['a stream by Execute, which there is not', '>ES <W', 'X', 'ReadyOwed'],
  ['data behind the end of a stream', '>Q <Wd >c <cCZd', 'fffffX', 'Empty'],
  // COPY IN: what nobody can tell
  ['a swallowed Sync and an error', '>ES <G >dcS <E', 'ff', 'ReadyOwed Unclear'],
  ['a swallowed Sync and an error, settled', '>ES <G >dcS <EZ', 'fff', 'Empty Unclear'],
  ['a Sync that was not swallowed after all', '>ES <GEZ', 'fff', 'Empty Unclear'],
  ['the same with the later Sync', '>ES <GE >S <ZZ', 'ffff', 'Empty Unclear'],
  ['Sync in COPY IN of a query, error', '>Q <G >S <EZ', 'fff', 'Empty Unclear'],
  ['a query sent in the midst of COPY IN', '>Q <G >dQ <EZ', 'fff', 'Empty Unclear'],
  ['a Parse sent in the midst of COPY IN', '>E <G >PS <EZ', 'fff', 'Empty Unclear'],
  ['a query sent ahead of CopyInResponse', '>QdQ <GEZ', 'fff', 'Empty Unclear'],
  ['a function call ahead of CopyInResponse', '>EFS <GEZ', 'fff', 'Empty Unclear'],
  // Stray COPY messages
  ['stray COPY messages while nothing runs', '>dcf', '', 'Empty'],
  ['stray COPY messages in a pipeline', '>PcBfESdc <12CZ', 'ffff', 'Empty'],
  ['a stray CopyDone, then ReadyForQuery', '>PcS <1Z', 'ff', 'Empty'],
  ['a stray CopyDone behind Parse, then an error', '>PcBS <1EZ', 'fff', 'Empty'],
  ['a stray CopyDone only, then an error of the server', '>Pc <1E', 'ff', 'SyncMissing'],
  // maitred's own requests
  ["maitred's query ahead of a query", '! >Q <CZTDCZ', 'ssffff', 'Empty'],
  ["maitred's query reports parameters", '! >Q <SCSZ', 'ssss', 'ReadyOwed'],
  ["maitred's query fails", '! >PBES <EZ12CZ', 'ssffff', 'Empty'],
  ["maitred's query of several SETs", '! <CCZ', 'sss', 'Empty'],
  ["maitred's rollback behind an unfinished query", '>PB ~ <1212CZ', 'ffssss', 'Empty'],
  ["maitred's rollback behind a query that runs", '>E ~ <DCN12CZ', 'ffsssss', 'Empty'],
  ["maitred's rollback behind an error to come", '>PB ~ <1EZ', 'ffs', 'Empty'],
  ["maitred's rollback behind an error", '>PB <E ~ <Z', 'fs', 'Empty'],
  ["maitred's rollback that fails", '>PB ~ <121EZ', 'ffsss', 'Empty'],
  ["maitred's rollback behind COPY IN that it failed", '>E <G >f ~ <EZ', 'ffs', 'Empty'],
  ["maitred's rollback ahead of CopyInResponse", '>E ~ <GEZ', 'ffs', 'Empty Unclear'],
];

describe('OutstandingRequests: dialogues', () => {
  it.each(DIALOGUES)('%s (%s)', (_what, dialogue, verdicts, expectedFlags) => {
    const ledger = new OutstandingRequests();
    expect(play(ledger, dialogue)).toBe(verdicts);
    expect(flags(ledger)).toBe(expectedFlags);
  });

  it.each(DIALOGUES)('%s, after the ledger was used and cleared', (_what, dialogue, verdicts) => {
    const ledger = new OutstandingRequests();
    play(ledger, '>Q <W');
    ledger.clear();
    play(ledger, '>ES <GE >PPcP ! >Q');
    ledger.clear();
    expect(flags(ledger)).toBe('Empty');
    expect(play(ledger, dialogue)).toBe(verdicts);
  });

  it('tells a stream that is over from one that runs, up to ReadyForQuery', () => {
    const ledger = new OutstandingRequests();
    play(ledger, '>Q <Wd');
    expect(ledger.isStreamOver).toBe(false);
    play(ledger, '<C');
    expect([ledger.isStreamOver, ledger.isCopyBoth]).toEqual([true, false]);
    play(ledger, '<Z >Q <C');
    expect(ledger.isStreamOver).toBe(false);
    play(ledger, '<Z >Q <WC');
    ledger.clear();
    expect(ledger.isStreamOver).toBe(false);
  });

  it('counts what is owed', () => {
    const ledger = new OutstandingRequests();
    send(ledger, 'PBESQ');
    expect(ledger.length).toBe(5);
    expect(play(ledger, '<12')).toBe('ff');
    expect(ledger.length).toBe(3);
  });

  it('is not fooled by a pipeline longer than its ring', () => {
    const ledger = new OutstandingRequests();
    const rounds = 3000;
    for (let round = 0; round < rounds; round++) {
      send(ledger, 'PBES');
    }
    for (let round = 0; round < rounds; round++) {
      expect(play(ledger, round % 3 === 0 ? '<1EZ' : '<12CZ')).toMatch(/^f+$/);
    }
    expect(flags(ledger)).toBe('Empty');
  });

  it('has verdicts of its own for each outcome', () => {
    expect(new Set(Object.values(Disposition)).size).toBe(3);
  });
});
