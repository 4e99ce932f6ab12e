import type { Clock } from '../clock.ts'
import { asDriftwatchError } from '../errors.ts'
import type { Log } from '../log.ts'
import { startTimetable, type Timetable } from './timetable.ts'

export interface Scheduler {
  /** Runs once at once, then by the schedule. Resolves when the first run is over. */
  start(): Promise<void>
  /** Runs once now, out of turn; while a run is under way it joins that one. Resolves when the run is over. */
  runNow(): Promise<void>
  /** From now on runs are due by another schedule. */
  reschedule(timing: Pick<SchedulerOptions, 'schedule' | 'jitterMs'>): void
  /** Runs nothing any more, and resolves when what was running is over. */
  stop(): Promise<void>
  /** How long ago, in milliseconds, a run was last begun; infinite before the first. */
  sinceLastTick(): number
}

export interface SchedulerOptions {
  /** A cron expression, in UTC. */
  readonly schedule: string
  /** At most so much is waited at random before a run, so that many monitors do not look all at once. */
  readonly jitterMs: number
  readonly clock: Clock
  readonly log: Log
  /** One run. What it throws is logged, and ends nothing. */
  run(): Promise<void>
}

export function createScheduler({ clock, log, run, ...initial }: SchedulerOptions): Scheduler {
  let timing: Pick<SchedulerOptions, 'schedule' | 'jitterMs'> = initial
  let running: Promise<void> | null = null
  let lastTick = Number.NEGATIVE_INFINITY

  /** A run that is due while another is under way is left out. */
  function tick(): Promise<void> {
    if (running !== null) {
      log.warn('a cycle was left out: the one before it is still running')
      return running
    }
    lastTick = clock.monotonic()
    running = run()
      .catch(thrown => log.error({ err: asDriftwatchError(thrown) }, 'a cycle failed'))
      .finally(() => {
        running = null
      })
    return running
  }

  let timetable: Timetable | null = null
  return {
    async start() {
      const first = tick()
      // Made while the first run waits for its answers: it takes a while.
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
