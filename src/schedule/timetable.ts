import { createTask } from 'node-cron'
import { type Clock, systemClock } from '../clock.ts'

/** Calls when a cron expression says so, as long as it is not closed. */
export interface Timetable {
  close(): void
}

export interface TimetableOptions {
  /** A cron expression, in UTC. */
  readonly schedule: string
  /** At most so much is waited at random before a call, so that many monitors do not look all at once. */
  readonly jitterMs: number
  /** What waits; the system's clock unless said. */
  readonly waiter?: Pick<Clock, 'after'>
  onDue(): void
}

/** The wall clock may be set at any time: it is read again after so long. */
const longestWaitMs = 60_000

/**
 * node-cron says when, and this waits: its own timer stops for an hour when the clock is set back by one, and goes
 * through every run that it missed when the clock is set forward. It reads the system's time, and so does this.
 */
export function startTimetable({ schedule, jitterMs, waiter = systemClock, onDue }: TimetableOptions): Timetable {
  const task = createTask(schedule, () => {}, { timezone: 'UTC' })
  let last = Number.NaN
  let cancel = () => {}

  /** A timer may fire a little early: what was called for is not called for again. */
  function nextRun(): number {
    const runs = task.getNextRuns(2).map(run => run.getTime())
    return runs.find(run => run !== last) ?? Number.POSITIVE_INFINITY
  }

  function wait(run: number, waitMs: number): void {
    cancel = waiter.after(Math.min(waitMs, longestWaitMs), () => {
      const isDue = waitMs <= longestWaitMs || systemClock.now() >= run
      if (isDue) last = run
      arm()
      if (isDue) onDue()
    })
  }

  function arm(): void {
    const run = nextRun()
    wait(run, Math.max(0, run - systemClock.now()) + Math.random() * jitterMs)
  }

  arm()
  return {
    close() {
      cancel()
      void task.destroy()
    },
  }
}
