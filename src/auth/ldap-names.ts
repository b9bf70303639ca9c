/**
 * Escapes a text for the value of an attribute in a distinguished name, so that it is nothing else.
 *
 * @source RFC 4514, "Converting an AttributeValue from ASN.1 to a String"
 */
export function escapeDnValue(text: string): string {
  return text
    .replace(/["+,;<>\\=#]/g, (character) => `\\${character}`)
    .replaceAll('\0', '\\00')
    .replace(/^ | $/g, '\\ ');
}

/**
 * Escapes a text for a value in a search filter, so that it is nothing else.
 *
 * @source RFC 4515, "String Search Filter Definition"
 */
export function escapeFilterValue(text: string): string {
  return text.replace(
    /[\\*()\0]/g,
    (character) => `\\${character.charCodeAt(0).toString(16).padStart(2, '0')}`,
  );
}

/**
 * Makes the name to bind with from the name of a user.
 *
 * It is escaped where it becomes part of a distinguished name, which is where the prefix or the
 * suffix has attributes. Other forms (`user@example.net`, `DOMAIN\user`) have no syntax to break.
 */
export function simpleBindName(prefix: string, user: string, suffix: string): string {
  const isDn = prefix.includes('=') || suffix.includes('=');
  return `${prefix}${isDn ? escapeDnValue(user) : user}${suffix}`;
}
