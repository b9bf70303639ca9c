import { assert } from './assert.ts';

/** What an object needs to be a member of one {@link LinkedList} at a time. */
export interface ListNode<T extends ListNode<T>> {
  listPrev: T | null;
  listNext: T | null;
  list: LinkedList<T> | null;
}

/**
 * Intrusive doubly linked list: membership costs no allocation and removal is O(1). A connection's
 * state is the list it is in, so the counts shown to operators are list lengths and cannot drift.
 */
export class LinkedList<T extends ListNode<T>> {
  /** Name for assertions and snapshots. */
  readonly name: string;
  head: T | null = null;
  tail: T | null = null;
  /** Members, count. */
  length = 0;

  constructor(name: string) {
    this.name = name;
  }

  #expect(node: T, list: LinkedList<T> | null): void {
    if (node.list !== list) {
      const where = node.list === null ? 'in no list' : `in list ${node.list.name}`;
      assert(false, `node ${where} on its way into or out of ${this.name}`);
    }
  }

  /** Appends `node`, which must be in no list. */
  push(node: T): void {
    this.#expect(node, null);
    node.list = this;
    node.listPrev = this.tail;
    node.listNext = null;
    if (this.tail === null) {
      this.head = node;
    } else {
      this.tail.listNext = node;
    }
    this.tail = node;
    this.length++;
  }

  /** Prepends `node`, which must be in no list. */
  unshift(node: T): void {
    this.#expect(node, null);
    node.list = this;
    node.listNext = this.head;
    node.listPrev = null;
    if (this.head === null) {
      this.tail = node;
    } else {
      this.head.listPrev = node;
    }
    this.head = node;
    this.length++;
  }

  /** Takes `node` out of this list. */
  remove(node: T): void {
    this.#expect(node, this);
    if (node.listPrev === null) {
      this.head = node.listNext;
    } else {
      node.listPrev.listNext = node.listNext;
    }
    if (node.listNext === null) {
      this.tail = node.listPrev;
    } else {
      node.listNext.listPrev = node.listPrev;
    }
    node.listPrev = null;
    node.listNext = null;
    node.list = null;
    this.length--;
  }

  /** Copies the members, oldest first, so that the caller may change the list while it walks. */
  toArray(): T[] {
    const members: T[] = [];
    for (let node = this.head; node !== null; node = node.listNext) {
      members.push(node);
    }
    return members;
  }
}
