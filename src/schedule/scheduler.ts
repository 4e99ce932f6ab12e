import type { Clock } from '../clock.ts'
import { asDriftwatchError } from '../errors.ts'
import type { Log } from '../log.ts'
import { startTimetable, type Timetable } from './timetable.ts'

export interface Scheduler {
  /** Runs immediately, then by the schedule. Resolves when the first run is over. */
  start(): Promise<void>
  /** Runs now, or joins a run that is in progress. Resolves when the run is over. */
  runNow(): Promise<void>
  /** Changes the schedule. */
  reschedule(timing: Pick<SchedulerOptions, 'schedule' | 'jitterMs'>): void
  /** Starts no more runs. Resolves when the current run is over. */
  stop(): Promise<void>
  /** Milliseconds since the last run started; infinite before the first. */
  sinceLastTick(): number
}

export interface SchedulerOptions {
  /** A cron expression, in UTC. */
  readonly schedule: string
  /** The longest random delay before a run, so that many monitors do not run at the same moment. */
  readonly jitterMs: number
  readonly clock: Clock
  readonly log: Log
  /** Errors of a run are logged; the schedule continues. */
  run(): Promise<void>
}

export function createScheduler({ clock, log, run, ...initial }: SchedulerOptions): Scheduler {
  let timing: Pick<SchedulerOptions, 'schedule' | 'jitterMs'> = initial
  let running: Promise<void> | null = null
  let lastTick = Number.NEGATIVE_INFINITY

  function tick(): Promise<void> {
    if (running !== null) {
      log.warn('cycle skipped: previous cycle still running')
      return running
    }
    lastTick = clock.monotonic()
    running = run()
      .catch(thrown => log.error({ err: asDriftwatchError(thrown) }, 'cycle failed'))
      .finally(() => {
        running = null
      })
    return running
  }

  let timetable: Timetable | null = null
  return {
    async start() {
      const first = tick()
      // Loading the schedule takes a while, so it happens while the first run waits for responses.
      timetable = startTimetable({ ...timing, onDue: () => void tick() })
      await first
    },
    reschedule(next) {
      timing = next
      if (timetable === null) return
      timetable.close()
      timetable = startTimetable({ ...timing, onDue: () => void tick() })
    },
    runNow: () => running ?? tick(),
    async stop() {
      timetable?.close()
      await running
    },
    sinceLastTick: () => clock.monotonic() - lastTick,
  }
}
