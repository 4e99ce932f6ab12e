import type { Clock } from '../clock.ts'
import type { CycleSummary } from '../drift/store.ts'
import { DriftwatchError } from '../errors.ts'
import type { Scheduler } from './scheduler.ts'

export interface RefreshDependencies {
  readonly scheduler: Pick<Scheduler, 'runNow' | 'sinceLastTick'>
  readonly clock: Pick<Clock, 'monotonic'>
  /** The last completed cycle. */
  lastCycle(): CycleSummary | null
}

/**
 * Runs a cycle now and returns it. A running cycle may have read resources before the caller changed them, so a caller
 * that finds one waits for the next; all callers share that cycle. Rejects with CYCLE_FAILED if no cycle completes.
 */
export function createRefresh({ scheduler, clock, lastCycle }: RefreshDependencies): () => Promise<CycleSummary> {
  /** Returns null if the cycle does not complete. */
  async function runNow(): Promise<CycleSummary | null> {
    const before = lastCycle()
    await scheduler.runNow()
    const after = lastCycle()
    return after?.id === before?.id ? null : after
  }

  return async () => {
    const requestedAt = clock.monotonic()
    const first = runNow()
    const wasRunning = scheduler.sinceLastTick() > clock.monotonic() - requestedAt
    const cycle = wasRunning ? await first.then(runNow) : await first
    if (cycle) return cycle
    throw new DriftwatchError(
      'CYCLE_FAILED',
      'the cycle did not complete. Driftwatch is shutting down, or its log has the reason.',
    )
  }
}
