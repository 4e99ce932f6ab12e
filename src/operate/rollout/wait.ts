import { asDriftwatchError } from '../../errors.ts'
import { interrupted } from '../interrupted.ts'
import type { OperationOptions } from './operation.ts'
import { failed } from './planned-step.ts'

export interface WaitCondition<T> {
  read(): Promise<T>
  /** Called once for each value. */
  isDone(value: T): boolean
  readonly timeoutMs: number
  /** The pause between two reads; by default it grows with the time that has passed. */
  readonly pauseMs?: number
}

/** How the wait ended, and the last value. */
export type WaitResult<T> = { readonly kind: 'done' | 'timed-out' | 'interrupted'; readonly value: T | null }

/** With this pause, a wait uses at most a tenth of a project's read quota. */
const longestPauseMs = 1000
const shortestPauseMs = 100

type Waiter = Pick<OperationOptions, 'clock' | 'signal' | 'print'>

/** Resolves with the value for which the condition holds. Rejects with INTERRUPTED, or with STEP_FAILED and `late`. */
export async function awaitDone<T>(waiter: Waiter, late: string, condition: WaitCondition<T>): Promise<T> {
  const { kind, value } = await waitUntil(waiter, condition)
  if (kind === 'interrupted') throw interrupted()
  if (kind === 'timed-out' || value === null) throw failed(late)
  return value
}

/**
 * Reads until the condition holds. Prints the first of several failures in a row. Rejects if a read fails with an error
 * that is not retryable.
 */
export async function waitUntil<T>(
  { clock, signal, print }: Waiter,
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
      if (!failing) print(`read failed, retrying: ${error.message}`)
      failing = true
    }
    const elapsed = clock.monotonic() - begin
    if (elapsed >= condition.timeoutMs) return { kind: 'timed-out', value }
    const pause = condition.pauseMs ?? Math.min(longestPauseMs, Math.max(shortestPauseMs, elapsed / 10))
    await clock.sleep(Math.min(pause, condition.timeoutMs - elapsed), signal).catch(() => {})
  }
  return { kind: 'interrupted', value }
}
