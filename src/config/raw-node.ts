import type { Place } from './config-error.ts';

/**
 * A configuration file as written, before the settings table gives its texts a meaning. Each file
 * format is read into this shape, so that checks and messages are the same for all.
 */
export type RawNode = RawText | RawEmpty | RawMap | RawList;

/** A single value; whether it was quoted does not matter. */
export interface RawText {
  readonly kind: 'text';
  readonly place: Place;
  readonly text: string;
  /** The text came from outside of the file and is not repeated in messages. */
  readonly isHidden?: boolean;
}

/** A key without a value, or with YAML's null. */
export interface RawEmpty {
  readonly kind: 'empty';
  readonly place: Place;
}

/** Keys with values, in the order of the file, repeated keys included. */
export interface RawMap {
  readonly kind: 'map';
  readonly place: Place;
  readonly entries: readonly RawEntry[];
}

/** A key and what stands under it. */
export interface RawEntry {
  readonly key: string;
  readonly keyPlace: Place;
  readonly value: RawNode;
}

/** Several values in order. */
export interface RawList {
  readonly kind: 'list';
  readonly place: Place;
  readonly items: readonly RawNode[];
}
