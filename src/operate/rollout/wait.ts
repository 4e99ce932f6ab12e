import type { Clock } from '../../clock.ts'
import { asDriftwatchError } from '../../errors.ts'

export interface WaitCondition<T> {
  read(): Promise<T>
  /** Called once for each value. */
  isDone(value: T): boolean
  /** A read failed and will be retried. Called once for a series of failures. */
  onFailure(message: string): void
  readonly timeoutMs: number
  /** The pause between two reads; by default it grows with the time that has passed. */
  readonly pauseMs?: number
}

/** How the wait ended, and the last value. */
export type WaitResult<T> = { readonly kind: 'done' | 'timed-out' | 'interrupted'; readonly value: T | null }

/** With this pause, a wait uses at most a tenth of a project's read quota. */
const longestPauseMs = 1000
const shortestPauseMs = 100

/** Reads until the condition holds. Rejects if a read fails with an error that is not retryable. */
export async function waitUntil<T>(
  clock: Clock,
  signal: AbortSignal,
  condition: WaitCondition<T>,
): Promise<WaitResult<T>> {
  const begin = clock.monotonic()
  let value: T | null = null
  let failing = false
  while (!signal.aborted) {
    try {
      value = await condition.read()
      failing = false
      if (condition.isDone(value)) return { kind: 'done', value }
    } catch (thrown) {
      const error = asDriftwatchError(thrown)
      if (!error.retryable) throw error
      if (!failing) condition.onFailure(error.message)
      failing = true
    }
    const elapsed = clock.monotonic() - begin
    if (elapsed >= condition.timeoutMs) return { kind: 'timed-out', value }
    const pause = condition.pauseMs ?? Math.min(longestPauseMs, Math.max(shortestPauseMs, elapsed / 10))
    await clock.sleep(Math.min(pause, condition.timeoutMs - elapsed), signal).catch(() => {})
  }
  return { kind: 'interrupted', value }
}
