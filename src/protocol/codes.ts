/**
 * Type bytes of messages from a frontend.
 *
 * @source PostgreSQL manual, "Message Formats"
 */
export const FrontendCode = {
  Bind: 0x42, // B
  Close: 0x43, // C
  Describe: 0x44, // D
  Execute: 0x45, // E
  FunctionCall: 0x46, // F
  Flush: 0x48, // H
  Parse: 0x50, // P
  Query: 0x51, // Q
  Sync: 0x53, // S
  Terminate: 0x58, // X
  CopyDone: 0x63, // c
  CopyData: 0x64, // d
  CopyFail: 0x66, // f
  /** PasswordMessage, SASLInitialResponse, SASLResponse and GSSResponse share this byte. */
  Password: 0x70, // p
} as const;

/**
 * Type bytes of messages from a backend.
 *
 * @source PostgreSQL manual, "Message Formats"
 */
export const BackendCode = {
  ParseComplete: 0x31, // 1
  BindComplete: 0x32, // 2
  CloseComplete: 0x33, // 3
  NotificationResponse: 0x41, // A
  CommandComplete: 0x43, // C
  DataRow: 0x44, // D
  ErrorResponse: 0x45, // E
  CopyInResponse: 0x47, // G
  CopyOutResponse: 0x48, // H
  EmptyQueryResponse: 0x49, // I
  BackendKeyData: 0x4b, // K
  NoticeResponse: 0x4e, // N
  Authentication: 0x52, // R
  ParameterStatus: 0x53, // S
  RowDescription: 0x54, // T
  FunctionCallResponse: 0x56, // V
  CopyBothResponse: 0x57, // W
  ReadyForQuery: 0x5a, // Z
  CopyDone: 0x63, // c
  CopyData: 0x64, // d
  NoData: 0x6e, // n
  PortalSuspended: 0x73, // s
  ParameterDescription: 0x74, // t
  NegotiateProtocolVersion: 0x76, // v
} as const;

/** Authentication request codes, the int32 at the start of an Authentication message. */
export const AuthenticationCode = {
  Ok: 0,
  CleartextPassword: 3,
  Md5Password: 5,
  Sasl: 10,
  SaslContinue: 11,
  SaslFinal: 12,
} as const;

/** Request codes that stand where a startup packet has its protocol version. */
export const StartupCode = {
  Cancel: 80877102,
  Ssl: 80877103,
  GssEnc: 80877104,
} as const;

/** Protocol version 3.0 as it stands in a startup packet. */
export const PROTOCOL_3_0 = 0x00030000;
/** Protocol version 3.2, the newest that maitred speaks. Its cancel keys are 4 to 256 bytes long. */
export const PROTOCOL_3_2 = 0x00030002;

/** Bytes of a message header: the type byte and the int32 length, which counts itself. */
export const HEADER_BYTES = 5;
/** Largest startup packet accepted, as PostgreSQL's MAX_STARTUP_PACKET_LENGTH, in bytes. */
export const MAX_STARTUP_PACKET_BYTES = 10_000;
/**
 * Longest message of a kind that is short by nature, by its length field: PostgreSQL 14 and later close
 * the connection over a longer one, as their PQ_SMALL_MESSAGE_LIMIT, in bytes.
 */
export const MAX_SHORT_MESSAGE_BYTES = 10_000;
/** Largest authentication message accepted, as PostgreSQL's PG_MAX_AUTH_TOKEN_LENGTH, in bytes. */
export const MAX_AUTH_MESSAGE_BYTES = 65_535;

/** Transaction status byte of ReadyForQuery. */
export const TransactionStatus = {
  Idle: 0x49, // I
  InTransaction: 0x54, // T
  Failed: 0x45, // E
} as const;
