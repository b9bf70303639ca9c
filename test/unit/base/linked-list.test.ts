import { describe, expect, it } from 'vitest';
import { InvariantError } from '../../../src/base/assert.ts';
import { LinkedList, type ListNode } from '../../../src/base/linked-list.ts';

class Item implements ListNode<Item> {
  listPrev: Item | null = null;
  listNext: Item | null = null;
  list: LinkedList<Item> | null = null;
  readonly name: string;

  constructor(name: string) {
    this.name = name;
  }
}

/** Names from head to tail; fails when the way back differs. */
function names(list: LinkedList<Item>): string {
  const forth = list.toArray().map(({ name }) => name);
  const back: string[] = [];
  for (let item = list.tail; item !== null; item = item.listPrev) {
    back.unshift(item.name);
  }
  expect(back).toEqual(forth);
  expect(list.length).toBe(forth.length);
  return forth.join('');
}

function filled(text: string): { list: LinkedList<Item>; items: readonly Item[] } {
  const list = new LinkedList<Item>('test');
  const items = Array.from(text).map((name) => new Item(name));
  for (const item of items) {
    list.push(item);
  }
  return { list, items };
}

describe('LinkedList', () => {
  it('is empty at first', () => {
    const { list } = filled('');
    expect(names(list)).toBe('');
    expect([list.head, list.tail]).toEqual([null, null]);
  });

  it('appends and prepends', () => {
    const { list } = filled('bc');
    list.unshift(new Item('a'));
    list.push(new Item('d'));
    expect(names(list)).toBe('abcd');
  });

  it.each([
    [0, 'bc'],
    [1, 'ac'],
    [2, 'ab'],
  ])('removes the member at %d', (index, rest) => {
    const { list, items } = filled('abc');
    const item = items[index] ?? new Item('none');
    list.remove(item);
    expect(names(list)).toBe(rest);
    expect([item.list, item.listPrev, item.listNext]).toEqual([null, null, null]);
    list.push(item);
    expect(names(list)).toBe(rest + item.name);
  });

  it('is empty once the last member is removed', () => {
    const { list, items } = filled('a');
    for (const item of items) {
      list.remove(item);
    }
    expect(names(list)).toBe('');
    expect([list.head, list.tail]).toEqual([null, null]);
    list.unshift(new Item('b'));
    expect(names(list)).toBe('b');
  });

  it('refuses a member of any list, and a stranger, by name', () => {
    const { list, items } = filled('a');
    const other = new LinkedList<Item>('other');
    for (const item of items) {
      for (const act of [list, other].flatMap((target) => [
        () => target.push(item),
        () => target.unshift(item),
      ])) {
        expect(act).toThrow(InvariantError);
      }
      expect(() => other.remove(item)).toThrow('node in list test on its way into or out of other');
    }
    expect(() => list.remove(new Item('x'))).toThrow(
      'node in no list on its way into or out of test',
    );
    expect(names(list)).toBe('a');
  });

  it('lets members go while a copy is walked', () => {
    const { list } = filled('abc');
    for (const item of list.toArray()) {
      list.remove(item);
    }
    expect(names(list)).toBe('');
  });
});
