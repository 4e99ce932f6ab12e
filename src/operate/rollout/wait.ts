import type { Clock } from '../../clock.ts'
import { asDriftwatchError } from '../../errors.ts'

export interface Waiting<T> {
  look(): Promise<T>
  /** Whether that is what was waited for. Called once for each look. */
  isDone(seen: T): boolean
  /** A look failed that may succeed a moment later. Called once for each row of failures. */
  onFailure(message: string): void
  /** Gives up after so long. */
  readonly longestMs: number
  /** How long it rests between two looks; left out: the longer, the longer it takes. */
  readonly pauseMs?: number
}

/** What came of waiting, and the last that was seen. */
export type Waited<T> = { readonly kind: 'done' | 'too-long' | 'interrupted'; readonly seen: T | null }

/** At most a tenth of the read requests that a project may make in a minute. */
const longestPauseMs = 1000
const shortestPauseMs = 100

/** Looks again and again, the less often the longer it takes. Rejects where looking is refused for good. */
export async function waitUntil<T>(clock: Clock, signal: AbortSignal, waiting: Waiting<T>): Promise<Waited<T>> {
  const begin = clock.monotonic()
  let seen: T | null = null
  let failing = false
  while (!signal.aborted) {
    try {
      seen = await waiting.look()
      failing = false
      if (waiting.isDone(seen)) return { kind: 'done', seen }
    } catch (thrown) {
      const error = asDriftwatchError(thrown)
      if (!error.retryable) throw error
      if (!failing) waiting.onFailure(error.message)
      failing = true
    }
    const elapsed = clock.monotonic() - begin
    if (elapsed >= waiting.longestMs) return { kind: 'too-long', seen }
    const pause = waiting.pauseMs ?? Math.min(longestPauseMs, Math.max(shortestPauseMs, elapsed / 10))
    await clock.sleep(Math.min(pause, waiting.longestMs - elapsed), signal).catch(() => {})
  }
  return { kind: 'interrupted', seen }
}
