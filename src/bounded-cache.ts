import { LRUCache } from 'lru-cache'

/**
 * Keeps up to `bound`, the last used: of entries, or of what `sizeOf` counts. Its room grows as it fills: made at once,
 * that of a fleet would cost a command which looks at one stack more than the look.
 */
export function createBoundedCache<Value extends object | number>(
  bound: number,
  sizeOf: (value: Value) => number = () => 1,
): LRUCache<string, Value> {
  return new LRUCache({ maxSize: bound, sizeCalculation: sizeOf })
}
