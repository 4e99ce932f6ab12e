import { createTask } from 'node-cron'
import { type Clock, systemClock } from '../clock.ts'

/** Calls `onDue` at the times of a cron expression until it is closed. */
export interface Timetable {
  close(): void
}

export interface TimetableOptions {
  /** A cron expression, in UTC. */
  readonly schedule: string
  /** The longest random delay before a call. */
  readonly jitterMs: number
  readonly waiter?: Pick<Clock, 'after'>
  onDue(): void
}

/** The wall clock can be set at any time, so it is read again after this time. */
const longestWaitMs = 60_000

/**
 * Takes the times from node-cron but waits by itself. The timer of node-cron stops for an hour when the clock is set back
 * by one hour, and makes up for each missed run when the clock is set forward. Both read the system clock.
 */
export function startTimetable({ schedule, jitterMs, waiter = systemClock, onDue }: TimetableOptions): Timetable {
  const task = createTask(schedule, () => {}, { timezone: 'UTC' })
  let last = Number.NaN
  let cancel = () => {}

  /** A timer can fire slightly early, so the last run is not due again. */
  function nextRun(): number {
    const runs = task.getNextRuns(2).map(run => run.getTime())
    return runs.find(run => run !== last) ?? Number.POSITIVE_INFINITY
  }

  function arm(): void {
    const run = nextRun()
    const waitMs = Math.max(0, run - systemClock.now()) + Math.random() * jitterMs
    cancel = waiter.after(Math.min(waitMs, longestWaitMs), () => {
      const isDue = waitMs <= longestWaitMs || systemClock.now() >= run
      if (isDue) last = run
      arm()
      if (isDue) onDue()
    })
  }

  arm()
  return {
    close() {
      cancel()
      void task.destroy()
    },
  }
}
