/** What {@link DnsZones} needs from around it. */
export interface DnsZonesHost {
  /** All host names that have been looked up. */
  readonly names: readonly string[];
  /** Time between two rounds, in ms; 0 turns them off. Read for each tick. */
  readonly periodMs: number;
  nowMs(): number;
  /** Asks for the serial number of a zone. Rejects when it cannot be had. */
  querySerial(zone: string): Promise<number>;
  /** The serial number of a zone is another one than before; `names` are the hosts in it. */
  onChanged(change: ZoneChange): void;
}

/** A zone whose data have changed. */
export interface ZoneChange {
  readonly zone: string;
  readonly oldSerial: number;
  readonly newSerial: number;
  readonly names: readonly string[];
}

/** What is known of one zone. */
export interface DnsZone {
  readonly name: string;
  /** 0 until it is known. */
  readonly serial: number;
  /** Host names in it, count. */
  readonly count: number;
}

/** The zone of a host name: what follows its first dot; null where there is nothing. */
export function zoneOf(name: string): string | null {
  const dot = name.indexOf('.');
  const zone = dot === -1 ? '' : name.slice(dot + 1).replace(/\.$/, '');
  return zone === '' ? null : zone;
}

/**
 * Watches the zones of the host names in use: each `dns_zone_check_period`, their serial numbers
 * are asked for, one after the other, so that a change is seen before `dns_max_ttl` is over.
 *
 * @source PgBouncer setting `dns_zone_check_period`
 */
export class DnsZones {
  readonly #host: DnsZonesHost;
  readonly #serials = new Map<string, number>();
  #nextRoundMs = Number.NEGATIVE_INFINITY;
  #isAsking = false;

  constructor(host: DnsZonesHost) {
    this.#host = host;
  }

  /** All zones, in the order in which they were first met. */
  get entries(): readonly DnsZone[] {
    const names = this.#namesByZone();
    return [...names].map(([name, { length }]) => ({
      name,
      serial: this.#serials.get(name) ?? 0,
      count: length,
    }));
  }

  /** Begins a round if it is time; once per tick. */
  onTick(): void {
    const { periodMs } = this.#host;
    const nowMs = this.#host.nowMs();
    if (periodMs === 0 || this.#isAsking || nowMs < this.#nextRoundMs) {
      return;
    }
    this.#nextRoundMs = nowMs + periodMs;
    void this.#askAll();
  }

  /** Never rejects. */
  async #askAll(): Promise<void> {
    this.#isAsking = true;
    for (const zone of this.#namesByZone().keys()) {
      // A name server that does not answer says nothing about the zone.
      const serial = await this.#host.querySerial(zone).catch(() => null);
      if (serial !== null) {
        this.#onSerial(zone, serial);
      }
    }
    this.#isAsking = false;
  }

  #onSerial(zone: string, newSerial: number): void {
    const oldSerial = this.#serials.get(zone);
    this.#serials.set(zone, newSerial);
    if (oldSerial !== undefined && oldSerial !== newSerial) {
      const names = this.#namesByZone().get(zone) ?? [];
      this.#host.onChanged({ zone, oldSerial, newSerial, names });
    }
  }

  #namesByZone(): Map<string, string[]> {
    const zones = new Map<string, string[]>();
    for (const name of this.#host.names) {
      const zone = zoneOf(name);
      if (zone !== null) {
        const names = zones.get(zone) ?? [];
        names.push(name);
        zones.set(zone, names);
      }
    }
    return zones;
  }
}
