import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Clock } from '../clock.ts'

/** A queue of length one: a new item replaces the waiting one. */
export interface LatestQueue<T> {
  /** Returns before any work is done. */
  put(item: T): void
  /** Drops the waiting item, and resolves when the running work has ended. */
  close(): Promise<void>
}

export interface LatestQueueOptions<T> {
  readonly clock: Clock
  /** The pause between two items. */
  readonly gapMs: number
  /** Must not reject. `ending` aborts when the queue is closed. */
  work(item: T, ending: AbortSignal): Promise<void>
}

export function createLatestQueue<T extends object>({ clock, gapMs, work }: LatestQueueOptions<T>): LatestQueue<T> {
  const ending = new AbortController()
  let waiting: T | null = null
  let running: Promise<void> | null = null
  let lastEnd = Number.NEGATIVE_INFINITY

  async function drain(): Promise<void> {
    while (waiting !== null) {
      const pauseMs = lastEnd + gapMs - clock.monotonic()
      if (pauseMs > 0) await clock.sleep(pauseMs, ending.signal).catch(() => {})
      // The caller of `put` continues first.
      await nextTurn()
      const item = ending.signal.aborted ? null : waiting
      waiting = null
      if (item !== null) await work(item, ending.signal)
      lastEnd = clock.monotonic()
    }
    running = null
  }

  return {
    put(item) {
      if (ending.signal.aborted) return
      waiting = item
      running ??= drain()
    },
    async close() {
      ending.abort()
      await running
    },
  }
}
