import { BackendCode as B, FrontendCode as F } from '../protocol/codes.ts';

/** What a reply means to the request that it answers. */
export const ReplyEffect = {
  /** The request cannot have this reply. */
  Violation: 0,
  /** A part of the answer: more follows. */
  Part: 1,
  /** The end of the answer. */
  End: 2,
  /** The end of one statement of a simple query, which may hold many. */
  EndOfStatement: 3,
  /** The end of an Execute, and of the COPY that it may have been. */
  EndOfExecute: 4,
  /** The server reads COPY data from now on. */
  CopyIn: 5,
  /** A stream of replication begins. */
  CopyBoth: 6,
} as const;

/** By type byte of the request and of the reply. */
const EFFECTS: readonly (readonly [request: number, reply: number, effect: number])[] = [
  [F.Query, B.CommandComplete, ReplyEffect.EndOfStatement],
  [F.Query, B.RowDescription, ReplyEffect.Part],
  [F.Query, B.EmptyQueryResponse, ReplyEffect.Part],
  [F.Query, B.CopyOutResponse, ReplyEffect.Part],
  [F.Query, B.CopyBothResponse, ReplyEffect.CopyBoth],
  [F.Query, B.CopyInResponse, ReplyEffect.CopyIn],
  [F.FunctionCall, B.FunctionCallResponse, ReplyEffect.Part],
  [F.Parse, B.ParseComplete, ReplyEffect.End],
  [F.Bind, B.BindComplete, ReplyEffect.End],
  [F.Close, B.CloseComplete, ReplyEffect.End],
  [F.Describe, B.ParameterDescription, ReplyEffect.Part],
  [F.Describe, B.RowDescription, ReplyEffect.End],
  [F.Describe, B.NoData, ReplyEffect.End],
  [F.Execute, B.CommandComplete, ReplyEffect.EndOfExecute],
  [F.Execute, B.PortalSuspended, ReplyEffect.EndOfExecute],
  [F.Execute, B.EmptyQueryResponse, ReplyEffect.EndOfExecute],
  [F.Execute, B.CopyOutResponse, ReplyEffect.Part],
  [F.Execute, B.CopyInResponse, ReplyEffect.CopyIn],
];

/**
 * HOT PATH: {@link ReplyEffect} of replies that are neither rows, errors, ReadyForQuery nor what comes
 * by the way. The index is `request << 8 | reply`; the request, 0 for none, is below 128.
 *
 * @source PostgreSQL manual, "Message Flow"
 */
export const REPLY_EFFECTS: Uint8Array = (() => {
  const effects = new Uint8Array(128 << 8);
  for (const [request, reply, effect] of EFFECTS) {
    effects[(request << 8) | reply] = effect;
  }
  return effects;
})();
