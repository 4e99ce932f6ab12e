import type { Clock } from '../../src/clock.ts'

/** A clock that moves only when a test advances it; sleeps end and timers fire on the way. */
export interface VirtualClock extends Clock {
  /** Advances the clock, and runs everything that becomes due. */
  advance(ms: number): void
  /** The number of pending sleeps. */
  sleepers(): number
}

export function createVirtualClock(start: number): VirtualClock {
  const timers = new Set<{ readonly at: number; readonly fire: () => void }>()
  let now = start
  let sleepers = 0
  const after = (ms: number, callback: () => void) => {
    const timer = { at: now + ms, fire: callback }
    timers.add(timer)
    return () => void timers.delete(timer)
  }
  return {
    now: () => now,
    monotonic: () => now,
    after,
    sleep: (ms, signal) =>
      new Promise((resolve, reject) => {
        if (signal?.aborted) return reject(signal.reason)
        sleepers += 1
        const wake = (end: () => void) => {
          sleepers -= 1
          cancel()
          signal?.removeEventListener('abort', giveUp)
          end()
        }
        const giveUp = () => wake(() => reject(signal?.reason))
        const cancel = after(ms, () => wake(resolve))
        signal?.addEventListener('abort', giveUp, { once: true })
      }),
    sleepers: () => sleepers,
    advance(ms) {
      const until = now + ms
      for (;;) {
        const [next] = [...timers].filter(({ at }) => at <= until).sort((one, other) => one.at - other.at)
        if (next === undefined) break
        timers.delete(next)
        now = Math.max(now, next.at)
        next.fire()
      }
      now = until
    },
  }
}
