import { type Clock, systemClock } from '../../src/clock.ts'

/** The real time, and as much more as a test adds: timers that are due then fire at once. */
export interface AdvancedClock extends Clock {
  advance(ms: number): void
  /** Sets the wall clock only, by so much. */
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
