/** A user of the system. */
export interface SystemUser {
  readonly uid: number;
  /** Its primary group. */
  readonly gid: number;
}

const NUMBER = /^\d+$/;

/** Finds the line of a name in a file of the format of passwd(5). */
function findEntry(text: string, name: string): readonly string[] | null {
  const lines = text.split('\n').map((line) => line.split(':'));
  return lines.find(([first]) => first === name) ?? null;
}

/** A field that must be a number, or null. */
function numberAt(fields: readonly string[], index: number): number | null {
  const text = fields[index] ?? '';
  return NUMBER.test(text) ? Number(text) : null;
}

/**
 * Finds a user by name.
 *
 * @param passwd - Text of /etc/passwd.
 * @returns `null` when it is not there, or its line is not whole.
 * @source passwd(5)
 */
export function findUser(passwd: string, name: string): SystemUser | null {
  const fields = name === '' ? null : findEntry(passwd, name);
  if (fields === null) {
    return null;
  }
  const uid = numberAt(fields, 2);
  const gid = numberAt(fields, 3);
  return uid === null || gid === null ? null : { uid, gid };
}

/**
 * Finds the id of a group by name or number.
 *
 * @param group - Text of /etc/group.
 * @returns `null` when no group has that name.
 * @source group(5)
 */
export function findGroupId(group: string, nameOrNumber: string): number | null {
  if (NUMBER.test(nameOrNumber)) {
    return Number(nameOrNumber);
  }
  const fields = nameOrNumber === '' ? null : findEntry(group, nameOrNumber);
  return fields === null ? null : numberAt(fields, 2);
}
