/**
 * SQLSTATEs that maitred itself sends.
 *
 * @source PostgreSQL manual, "PostgreSQL Error Codes"
 */
export const SqlState = {
  ConnectionFailure: '08006',
  ProtocolViolation: '08P01',
  FeatureNotSupported: '0A000',
  CharacterNotInRepertoire: '22021',
  IdleInTransactionTimeout: '25P03',
  TransactionTimeout: '25P04',
  InvalidAuthorization: '28000',
  InvalidPassword: '28P01',
  InvalidCatalogName: '3D000',
  SyntaxError: '42601',
  InsufficientPrivilege: '42501',
  UndefinedObject: '42704',
  TooManyConnections: '53300',
  ProgramLimitExceeded: '54000',
  ObjectNotInPrerequisiteState: '55000',
  QueryCanceled: '57014',
  AdminShutdown: '57P01',
  CannotConnectNow: '57P03',
  IdleSessionTimeout: '57P05',
  ConfigFileError: 'F0000',
  InternalError: 'XX000',
  SuccessfulCompletion: '00000',
} as const;
/** One of the SQLSTATEs of {@link SqlState}. */
export type SqlState = (typeof SqlState)[keyof typeof SqlState];
