/** Locales to ask for the abbreviation of a zone: each knows those of its own region only. */
const ZONE_LOCALES = ['en-US', 'en-GB', 'en-CA', 'en-AU', 'en-NZ', 'en-IN', 'en-ZA'];

function twoDigits(value: number): string {
  return String(value).padStart(2, '0');
}

/** As strftime's `%Z` for a zone without an abbreviation: `+0545`, or `-03` for whole hours. */
function offsetName(offsetMinutes: number): string {
  const minutes = Math.abs(offsetMinutes);
  const rest = minutes % 60 === 0 ? '' : twoDigits(minutes % 60);
  return `${offsetMinutes < 0 ? '-' : '+'}${twoDigits(Math.floor(minutes / 60))}${rest}`;
}

function findZoneName(date: Date): string {
  // Asking Intl for what is known already would cost megabytes.
  if (String(date).endsWith('(Coordinated Universal Time)')) {
    return 'UTC';
  }
  for (const locale of ZONE_LOCALES) {
    const formatter = new Intl.DateTimeFormat(locale, { timeZoneName: 'short' });
    const part = formatter.formatToParts(date).find(({ type }) => type === 'timeZoneName');
    // PostgreSQL would read `GMT+2` as two hours *behind* UTC, so that is no answer.
    if (part !== undefined && /^[A-Z]+$/.test(part.value)) {
      return part.value;
    }
  }
  return offsetName(-date.getTimezoneOffset());
}

/**
 * Writes points in time as `YYYY-MM-DD HH:MM:SS TZ`, in the time zone of the process.
 *
 * Meant to live as long as one result set: it remembers the name of the zone for each UTC offset
 * it meets, since looking that up costs far more than all the rest.
 */
export class TimestampFormatter {
  readonly #zoneNames = new Map<number, string>();

  /** Formats a point in time. @param epochMs - ms since 1970 UTC. */
  format(epochMs: number): string {
    const date = new Date(epochMs);
    const day = `${twoDigits(date.getMonth() + 1)}-${twoDigits(date.getDate())}`;
    const time = [date.getHours(), date.getMinutes(), date.getSeconds()].map(twoDigits).join(':');
    return `${String(date.getFullYear())}-${day} ${time} ${this.#zoneName(date)}`;
  }

  #zoneName(date: Date): string {
    const offset = date.getTimezoneOffset();
    let name = this.#zoneNames.get(offset);
    if (name === undefined) {
      name = findZoneName(date);
      this.#zoneNames.set(offset, name);
    }
    return name;
  }
}
