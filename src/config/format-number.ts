/** Significant digits of C's `%g`. */
const PRECISION = 6;

/**
 * Prints a number as C's `%g` does, which is how SHOW CONFIG prints times.
 *
 * @param value - Any finite number.
 * @returns Six significant digits without trailing zeros, such as `1.5`, `3600` or `2.14748e+09`.
 */
export function formatG(value: number): string {
  if (value === 0) {
    return '0';
  }
  const [mantissa = '', exponentText = '0'] = value.toExponential(PRECISION - 1).split('e');
  const exponent = Number(exponentText);
  if (exponent >= -4 && exponent < PRECISION) {
    return String(Number(value.toPrecision(PRECISION)));
  }
  const sign = exponent < 0 ? '-' : '+';
  const digits = String(Math.abs(exponent)).padStart(2, '0');
  return `${String(Number(mantissa))}e${sign}${digits}`;
}
