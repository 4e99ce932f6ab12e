import { type Clock, systemClock } from '../../src/clock.ts'

/** The real time plus what a test adds; timers that become due fire at once. */
export interface AdvancedClock extends Clock {
  advance(ms: number): void
  /** Changes only the wall clock, by this amount. */
  set(ms: number): void
}

export function createAdvancedClock(): AdvancedClock {
  const timers = new Set<{ at: number; fire: () => void }>()
  let ahead = 0
  let setBy = 0
  const monotonic = () => systemClock.monotonic() + ahead
  const after = (ms: number, callback: () => void) => {
    const cancelReal = systemClock.after(ms, () => timer.fire())
    const cancel = () => {
      cancelReal()
      timers.delete(timer)
    }
    const timer = {
      at: monotonic() + ms,
      fire() {
        cancel()
        callback()
      },
    }
    timers.add(timer)
    return cancel
  }
  return {
    now: () => systemClock.now() + ahead + setBy,
    monotonic,
    sleep: (ms, signal) =>
      new Promise((resolve, reject) => {
        const cancel = after(ms, resolve)
        const giveUp = () => {
          cancel()
          reject(signal?.reason)
        }
        if (signal?.aborted) giveUp()
        signal?.addEventListener('abort', giveUp, { once: true })
      }),
    after,
    set(ms) {
      setBy += ms
    },
    advance(ms) {
      ahead += ms
      for (const timer of [...timers]) if (timer.at <= monotonic()) timer.fire()
    },
  }
}
