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
 * Looks now. A cycle that is under way may have looked before what the caller changed: then the next one is waited for,
 * and whoever asks meanwhile waits for the same. Rejects with CYCLE_FAILED where no cycle completes.
 */
export function createRefresh({ scheduler, clock, lastCycle }: RefreshDependencies): () => Promise<CycleSummary> {
  /** The cycle that completes now, or null. */
  async function look(): Promise<CycleSummary | null> {
    const before = lastCycle()
    await scheduler.runNow()
    const after = lastCycle()
    return after?.id === before?.id ? null : after
  }

  return async () => {
    const asked = clock.monotonic()
    const first = look()
    const wasUnderWay = scheduler.sinceLastTick() > clock.monotonic() - asked
    const cycle = wasUnderWay ? await first.then(look) : await first
    if (cycle) return cycle
    throw new DriftwatchError('CYCLE_FAILED', 'the cycle did not complete: Driftwatch ends, or its log says why')
  }
}
