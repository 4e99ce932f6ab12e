import type { Clock } from '../clock.ts'
import { formatDuration } from '../duration.ts'
import { DriftwatchError } from '../errors.ts'

/** Measures how long the event loop stalls: the process is blocked, stopped, or gets no CPU. */
export interface EventLoopMonitor {
  /** Milliseconds stalled since the start. */
  stalledMs(): number
  stop(): void
}

const intervalMs = 100

/** Shorter delays are normal in a busy process. */
const toleratedMs = 250

export function startEventLoopMonitor(clock: Pick<Clock, 'monotonic' | 'after'>): EventLoopMonitor {
  let stalled = 0
  let lastTick = clock.monotonic()
  let cancel = () => {}

  function overdueMs(): number {
    const overdue = clock.monotonic() - lastTick - intervalMs
    return overdue > toleratedMs ? overdue : 0
  }

  function tick(): void {
    stalled += overdueMs()
    lastTick = clock.monotonic()
    cancel = clock.after(intervalMs, tick)
  }

  tick()
  return {
    // After a stall, a caller may run before the overdue tick.
    stalledMs: () => stalled + overdueMs(),
    stop: () => cancel(),
  }
}

/** The error of an observation that may have failed only because of a stall. */
export function eventLoopStalled(stalledMs: number, allowedMs: number): DriftwatchError {
  const times = `${formatDuration(stalledMs)} of the ${formatDuration(allowedMs)} allowed`
  return new DriftwatchError('LOOP_BLOCKED', `event loop stalled for ${times}. Give the process more CPU.`)
}
