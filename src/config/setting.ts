/** What a value of a setting looks like in a file. `time` is kept in ms and `size` in bytes. */
export type SettingType = 'switch' | 'int' | 'uint' | 'time' | 'size' | 'str' | 'enum' | 'list';

/** How often operators touch a setting: the chapters of docs/CONFIG.md. */
export type SettingGroup = 'essential' | 'frequent' | 'infrequent';

/**
 * What maitred does with a setting: `supported` acts on it; `not-yet` accepts only the default and
 * refuses any other value by name; `ignored` has no meaning here and is accepted with a warning.
 */
export type Support = 'supported' | 'not-yet' | 'ignored';

/** Any value a setting can have once parsed. `null` means inherited, or not set. */
export type SettingValue = boolean | number | string | readonly string[] | null;

/**
 * Values in PgBouncer's own file format that are not supported yet and still do no harm: they are
 * taken as the default, with a warning.
 */
export interface Tolerance {
  /** As SHOW CONFIG spells them. */
  readonly values: readonly string[] | 'any';
  /** What happens instead, as a clause. */
  readonly instead: string;
}

/** A check of one text beyond its type: returns what is wrong as a clause, or `null` when fine. */
export type TextCheck = (text: string) => string | null;

/**
 * One row of the settings table. `V` is the type of the parsed value, `S` the literal support
 * state, so that the typed results (see config.ts) follow from the table itself.
 */
export interface Setting<
  T extends SettingType = SettingType,
  V extends SettingValue = SettingValue,
  S extends Support = Support,
> {
  readonly type: T;
  /** Parsed default: ms for `time`, bytes for `size`. */
  readonly default: V;
  /** `false` when SHOW CONFIG prints no default, although an effective one exists. */
  readonly hasDefault: boolean;
  readonly support: S;
  /** Why an `ignored` setting has no effect; empty otherwise. */
  readonly ignoredBecause: string;
  /** What an ini file may have although it is not supported yet; `null` for nothing. */
  readonly tolerated: Tolerance | null;
  readonly reloadable: boolean;
  readonly group: SettingGroup;
  readonly doc: string;
  readonly aliases: readonly string[];
  /** Smallest and largest parsed value, both included; meaningful for numbers only. */
  readonly min: number;
  readonly max: number;
  /** Values of an `enum` in canonical spelling, and those refused by name for now. */
  readonly values: readonly string[];
  readonly notYetValues: readonly string[];
  /** Numbers written in octal with a leading zero, such as file modes. */
  readonly octal: boolean;
  /** A `time` that takes whole seconds only. */
  readonly wholeSeconds: boolean;
  /** Which numbers mean "inherit from the wider scope" at database and user level. */
  readonly inherit: 'never' | 'negative' | 'zero-or-less';
  /** The value may never be printed in a message. */
  readonly secret: boolean;
  /** Query text where `<empty>` means an empty query and an empty text means none (`null`). */
  readonly emptyQueryMarker: boolean;
  /** Of a text, or of each item of a list. */
  readonly check: TextCheck | null;
  /** Any value but 0 or off needs system calls that Node.js has no function for. */
  readonly needsNative: boolean;
  /** Values of an `enum` that need them. */
  readonly nativeValues: readonly string[];
  /** What `check` accepts, for messages; empty when any text is. */
  readonly allowed: string;
}

/** What a table row says; the rest has defaults. */
export interface SettingSpec<D, S extends Support> {
  readonly default: D;
  readonly doc: string;
  readonly group?: SettingGroup;
  readonly support?: S;
  readonly ignoredBecause?: string;
  readonly tolerated?: Tolerance;
  readonly hasDefault?: boolean;
  readonly reloadable?: boolean;
  readonly aliases?: readonly string[];
  readonly min?: number;
  readonly max?: number;
  readonly notYetValues?: readonly string[];
  readonly octal?: boolean;
  readonly wholeSeconds?: boolean;
  readonly inherit?: 'negative' | 'zero-or-less';
  readonly secret?: boolean;
  readonly emptyQueryMarker?: boolean;
  readonly check?: TextCheck;
  readonly needsNative?: boolean;
  readonly nativeValues?: readonly string[];
  readonly allowed?: string;
}

/** Largest value of PgBouncer's 32-bit integers, used as the upper bound of counts. */
export const INT_MAX = 2_147_483_647;

/** Largest value of PgBouncer's unsigned 32-bit integers. */
export const UINT_MAX = 4_294_967_295;

/** Longest accepted time in ms: INT_MAX seconds, about 68 years. */
const TIME_MAX_MS = INT_MAX * 1000;

function defaultMax(type: SettingType): number {
  return type === 'time' ? TIME_MAX_MS : INT_MAX;
}

function build<T extends SettingType, V extends SettingValue, S extends Support>(
  type: T,
  value: V,
  values: readonly string[],
  spec: SettingSpec<unknown, S>,
): Setting<T, V, S> {
  return {
    type,
    default: value,
    hasDefault: spec.hasDefault ?? value !== null,
    // Safe: S defaults to 'supported' exactly when the row names no support.
    support: spec.support ?? ('supported' as S),
    ignoredBecause: spec.ignoredBecause ?? '',
    tolerated: spec.tolerated ?? null,
    reloadable: spec.reloadable ?? true,
    group: spec.group ?? 'infrequent',
    doc: spec.doc,
    aliases: spec.aliases ?? [],
    min: spec.min ?? 0,
    max: spec.max ?? defaultMax(type),
    values,
    notYetValues: spec.notYetValues ?? [],
    octal: spec.octal ?? false,
    wholeSeconds: spec.wholeSeconds ?? false,
    inherit: spec.inherit ?? 'never',
    secret: spec.secret ?? false,
    emptyQueryMarker: spec.emptyQueryMarker ?? false,
    check: spec.check ?? null,
    needsNative: spec.needsNative ?? false,
    nativeValues: spec.nativeValues ?? [],
    allowed: spec.allowed ?? '',
  };
}

type Plain<D, V> = V | Extract<D, null>;

/** Declares an on/off setting. */
export function onOff<S extends Support = 'supported'>(
  spec: SettingSpec<boolean, S>,
): Setting<'switch', boolean, S> {
  return build('switch', spec.default, [], spec);
}

/** Declares a whole number without a unit; a `null` default means inherited. */
export function int<D extends number | null, S extends Support = 'supported'>(
  spec: SettingSpec<D, S>,
): Setting<'int', Plain<D, number>, S> {
  return build('int', spec.default as Plain<D, number>, [], spec);
}

/** Declares a length of time; default and range are in ms. */
export function time<D extends number | null, S extends Support = 'supported'>(
  spec: SettingSpec<D, S>,
): Setting<'time', Plain<D, number>, S> {
  return build('time', spec.default as Plain<D, number>, [], spec);
}

/** Declares a number of bytes. */
export function size<S extends Support = 'supported'>(
  spec: SettingSpec<number, S>,
): Setting<'size', number, S> {
  return build('size', spec.default, [], spec);
}

/** Declares a text; a `null` default means not set. */
export function str<D extends string | null, S extends Support = 'supported'>(
  spec: SettingSpec<D, S>,
): Setting<'str', Plain<D, string>, S> {
  return build('str', spec.default as Plain<D, string>, [], spec);
}

/** Declares the text of a query that may be absent (`null`) or empty (`''`). */
export function checkQuery<S extends Support = 'supported'>(
  spec: SettingSpec<string | null, S>,
): Setting<'str', string | null, S> {
  return build('str', spec.default, [], { hasDefault: true, ...spec, emptyQueryMarker: true });
}

/** Declares a choice among `values`, which are matched without regard to case. */
export function oneOf<
  const V extends string,
  D extends NoInfer<V> | null,
  S extends Support = 'supported',
>(values: readonly V[], spec: SettingSpec<D, S>): Setting<'enum', Plain<D, V>, S> {
  return build('enum', spec.default as Plain<D, V>, values, spec);
}

/** Declares a list of words, written as a YAML list or separated by commas or spaces. */
export function list<S extends Support = 'supported'>(
  spec: SettingSpec<readonly string[], S>,
): Setting<'list', readonly string[], S> {
  return build('list', spec.default, [], spec);
}

type CamelCase<Name extends string> = Name extends `${infer Head}_${infer Tail}`
  ? `${Head}${Capitalize<CamelCase<Tail>>}`
  : Name;

type UnitSuffix<S> = S extends { readonly type: 'time' }
  ? 'Ms'
  : S extends { readonly type: 'size' }
    ? 'Bytes'
    : '';

/** Names the typed property of a setting: camelCase with the unit last (`queryTimeoutMs`). */
export type PropertyName<Name extends string, S> = `${CamelCase<Name>}${UnitSuffix<S>}`;

/** A table of settings by PgBouncer's names. */
export type SettingTable = Readonly<Record<string, Setting>>;

/** The typed values of a table; settings that are not supported yet have none. */
export type ValuesOf<Table extends SettingTable> = {
  readonly [
    Name in keyof Table & string as Table[Name]['support'] extends 'not-yet'
      ? never
      : PropertyName<Name, Table[Name]>
  ]: Table[Name]['default'];
};

/**
 * Turns PgBouncer's name of a setting into that of its typed property.
 *
 * @param name - PgBouncer's spelling, such as `query_timeout`.
 * @param setting - Its table row, for the unit.
 * @returns The property, such as `queryTimeoutMs`.
 */
export function propertyName(name: string, setting: Setting): string {
  const camel = name.replace(/_(.)/g, (_match, letter: string) => letter.toUpperCase());
  if (setting.type === 'time') {
    return `${camel}Ms`;
  }
  return setting.type === 'size' ? `${camel}Bytes` : camel;
}
