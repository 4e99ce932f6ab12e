import type { Clock } from '../../clock.ts'

/** Limits the age of long-lived connections, because the name of a host can lead to another server at any time. */
export interface ConnectionAge {
  /** Called when a connection is opened. The result tells whether it must be replaced by now. */
  start(): () => boolean
  /** Every connection that is open now must be replaced. */
  expireAll(): void
}

const defaultMaxAgeMs = 10 * 60_000

/** Connections that were opened together are not replaced together. */
const jitterShare = 0.2

/** `maxAgeMs` returns the current limit. */
export function createConnectionAge(
  clock: Pick<Clock, 'monotonic'>,
  maxAgeMs: () => number = () => defaultMaxAgeMs,
): ConnectionAge {
  let generation = 0
  return {
    start() {
      const openedIn = generation
      const openedAt = clock.monotonic()
      const share = 1 - Math.random() * jitterShare
      return () => generation !== openedIn || clock.monotonic() - openedAt >= maxAgeMs() * share
    },
    expireAll() {
      generation += 1
    },
  }
}
