import { setTimeout as delay } from 'node:timers/promises'

/** Milliseconds since 1970-01-01 UTC. */
export type EpochMs = number

/** The only source of time. It is passed to all code that needs it. */
export interface Clock {
  /** The wall clock, for display and for comparison with external timestamps. */
  now(): EpochMs
  /** Milliseconds since an arbitrary start, without jumps, for durations and deadlines. */
  monotonic(): number
  /** Resolves after `ms`, or rejects with the signal's reason if it aborts earlier. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>
  /** Calls back once after `ms` (at most 24 days) and does not keep the process alive. Returns a function that cancels. */
  after(ms: number, callback: () => void): () => void
}

/** A clock whose wall clock jumps only in `resync`. */
export interface SteadyClock extends Clock {
  /** Adopts the system's wall clock. Returns the size of the jump, or 0. */
  resync(): number
}

/** Smaller jumps are ignored, because time synchronization adjusts the wall clock constantly. */
const smallestJumpMs = 1000

/** Its timestamps stay comparable when the wall clock is set. After a jump, shift earlier timestamps by its size. */
export function createSteadyClock(clock: Clock): SteadyClock {
  const offset = () => clock.now() - clock.monotonic()
  let adopted = offset()
  return {
    ...clock,
    now: () => Math.round(adopted + clock.monotonic()),
    resync() {
      const jump = Math.round(offset() - adopted)
      if (Math.abs(jump) < smallestJumpMs) return 0
      adopted += jump
      return jump
    },
  }
}

/** The longest timer of Node.js. A longer one would fire at once. */
const longestTimerMs = 2 ** 31 - 1

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  sleep: (ms, signal) => delay(ms, undefined, { ...(signal && { signal }) }),
  after(ms, callback) {
    const timer = setTimeout(callback, Math.min(ms, longestTimerMs))
    timer.unref()
    return () => clearTimeout(timer)
  },
}

/** RFC 3339 in UTC with milliseconds, the format of reports and log lines. */
export function formatTime(moment: EpochMs): string {
  return new Date(moment).toISOString()
}

/** The time of an RFC 3339 text, or null if it is invalid. */
export function parseTime(text: string): EpochMs | null {
  const moment = Date.parse(text)
  return Number.isNaN(moment) ? null : moment
}
