import { LRUCache } from 'lru-cache'

/**
 * A cache of the most recently used values, up to `bound` entries, or up to `bound` in the unit of `sizeOf`. Memory is
 * allocated as it fills (`maxSize`), not in advance (`max`), which keeps short commands cheap.
 */
export function createBoundedCache<Value extends object | number>(
  bound: number,
  sizeOf: (value: Value) => number = () => 1,
): LRUCache<string, Value> {
  return new LRUCache({ maxSize: bound, sizeCalculation: sizeOf })
}
