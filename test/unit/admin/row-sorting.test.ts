import { describe, expect, it } from 'vitest';
import type { Row } from '../../../src/admin/row-condition.ts';
import { RowSorter, type SortKey } from '../../../src/admin/row-sorting.ts';
import { columnOf, type ColumnType } from '../../../src/admin/show-columns.ts';

function key(index: number, type: ColumnType, isDescending = false): SortKey {
  return { column: columnOf('c', type), index, isDescending };
}

function sort(rows: readonly Row[], keys: readonly SortKey[], most = Infinity): Row[] {
  const sorter = new RowSorter(keys, most);
  for (const row of rows) {
    sorter.add(row);
  }
  return [...sorter.sorted()];
}

/** Numbers below 97 in an order that is none, each with the place that it had. */
const NUMBERED: readonly Row[] = Array.from({ length: 1003 }, (_, place) => [
  String((place * 7919) % 97),
  String(place),
]);

describe('RowSorter', () => {
  it.each([false, true])(
    'sorts many rows by number, descending: %s, and equal ones stay',
    (down) => {
      const expected = NUMBERED.toSorted((a, b) => (Number(a[0]) - Number(b[0])) * (down ? -1 : 1));
      expect(sort(NUMBERED, [key(0, 'int4', down)])).toEqual(expected);
    },
  );

  it('sorts by one column after the other', () => {
    const rows: Row[] = [
      ['b', '10'],
      ['a', '9'],
      ['b', '9'],
      ['a', '10'],
    ];
    expect(sort(rows, [key(0, 'text'), key(1, 'int4', true)])).toEqual([
      ['a', '10'],
      ['a', '9'],
      ['b', '10'],
      ['b', '9'],
    ]);
  });

  it('tells NULL, the empty text and others apart, NULL being the largest', () => {
    const rows: Row[] = [[null], ['='], [''], ['\u0001'], ['a\nb']];
    expect(sort(rows, [key(0, 'text')])).toEqual([[''], ['\u0001'], ['='], ['a\nb'], [null]]);
    expect(sort(rows, [key(0, 'text', true)])[0]).toEqual([null]);
  });

  it.each([0, 1, 100, 250])('gives the first %i of them when that is all', (most) => {
    const all = sort(NUMBERED, [key(0, 'int4')]);
    const some = sort(NUMBERED, [key(0, 'int4')], most);
    expect(some.slice(0, most)).toEqual(all.slice(0, most));
  });

  it('has nothing to say of no rows', () => {
    expect(sort([], [key(0, 'int4')])).toEqual([]);
  });
});
