import type { Setting, SettingValue } from './setting.ts';

/** The value of a setting that needs no system calls: 0 or off. */
export function valueWithoutNative({ type }: Setting): SettingValue {
  return type === 'switch' ? false : 0;
}

/** Tells whether a value needs system calls that Node.js has no function for. */
export function needsNative(setting: Setting, value: SettingValue): boolean {
  if (setting.needsNative) {
    return value !== valueWithoutNative(setting);
  }
  return typeof value === 'string' && setting.nativeValues.includes(value);
}

/** Says which values a setting has where there are no system calls. */
export function describeWithoutNative({ type, values, nativeValues }: Setting): string {
  switch (type) {
    case 'enum':
      return values.filter((value) => !nativeValues.includes(value)).join(', ');
    case 'switch':
      return '0, off, false, no';
    default:
      return '0';
  }
}
