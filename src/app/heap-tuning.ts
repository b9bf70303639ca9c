import { setFlagsFromString } from 'node:v8';

/**
 * Has young objects collected by the thread that serves clients, without help from others. Little of
 * what a pooler makes lives on, so there is nothing to share out; but a helper that finds no core free
 * keeps all clients waiting for its end. Asked for before the first collection.
 */
export function tuneHeap(): void {
  setFlagsFromString('--no-parallel-scavenge');
}
