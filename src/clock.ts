import { setTimeout as delay } from 'node:timers/promises'

/** A moment, in milliseconds since 1970 UTC. */
export type EpochMs = number

/** The only reader of the time. Whoever needs it is handed one. */
export interface Clock {
  /** The wall clock: for what is shown, and compared with times that others report. */
  now(): EpochMs
  /** Milliseconds from an arbitrary start that never jump: for durations and deadlines. */
  monotonic(): number
  /** Resolves after `ms`; rejects with the signal's reason when that aborts first. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>
  /**
   * Calls back once after `ms`, or after 24 days where that is sooner, without keeping the process alive; returns what
   * cancels it.
   */
  after(ms: number, callback: () => void): () => void
}

/** A clock whose wall clock does not jump between two calls of `settle`. */
export interface SteadyClock extends Clock {
  /** Takes over what the wall clock has been set to; returns by how much it was set, 0 where it was not. */
  resync(): number
}

/** The wall clock is set little by little all the time: less than this is let be. */
const smallestJumpMs = 1000

/**
 * What is noted by it can be compared, whatever the wall clock is set to meanwhile. After a jump, what was noted before
 * has to be moved by as much.
 */
export function createSteadyClock(clock: Clock): SteadyClock {
  const offset = () => clock.now() - clock.monotonic()
  let settled = offset()
  return {
    ...clock,
    now: () => Math.round(settled + clock.monotonic()),
    resync() {
      const jump = Math.round(offset() - settled)
      if (Math.abs(jump) < smallestJumpMs) return 0
      settled += jump
      return jump
    },
  }
}

/** What Node.js can wait for: a longer timer would fire at once. */
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

/** RFC 3339 in UTC with milliseconds, as every report and log line shows a moment. */
export function formatTime(moment: EpochMs): string {
  return new Date(moment).toISOString()
}

/** The moment that an RFC 3339 text names, or null where it names none. */
export function parseTime(text: string): EpochMs | null {
  const moment = Date.parse(text)
  return Number.isNaN(moment) ? null : moment
}
