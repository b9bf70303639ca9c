/** Longest user name, in bytes of UTF-8. */
export const MAX_USER_BYTES = 127;
/** Longest password or secret, in bytes of UTF-8. */
export const MAX_PASSWORD_BYTES = 65_530;
