import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Clock } from '../clock.ts'

/** A queue that holds one item: what is put in takes the place of what still waits. */
export interface LatestQueue<T> {
  /** Returns at once, before anything is done. */
  put(item: T): void
  /** Drops what waits; resolves when what is under way is over. */
  close(): Promise<void>
}

export interface LatestQueueOptions<T> {
  readonly clock: Clock
  /** From the end of one piece of work to the beginning of the next. */
  readonly gapMs: number
  /** Never rejects. `ending` aborts when the queue is closed. */
  work(item: T, ending: AbortSignal): Promise<void>
}

export function createLatestQueue<T extends object>({ clock, gapMs, work }: LatestQueueOptions<T>): LatestQueue<T> {
  const ending = new AbortController()
  let waiting: T | null = null
  let running: Promise<void> | null = null
  let lastEnd = Number.NEGATIVE_INFINITY

  function take(): T | null {
    const item = ending.signal.aborted ? null : waiting
    waiting = null
    return item
  }

  async function drain(): Promise<void> {
    while (waiting !== null) {
      const pauseMs = lastEnd + gapMs - clock.monotonic()
      if (pauseMs > 0) await clock.sleep(pauseMs, ending.signal).catch(() => {})
      // Whoever puts something in goes on first.
      await nextTurn()
      const item = take()
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
