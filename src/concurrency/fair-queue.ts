import { createBoundedCache } from '../bounded-cache.ts'
import type { Clock } from '../clock.ts'
import type { Deadline } from './deadline.ts'

/** Lets a few work at once. Who has waited longest since its last turn comes first, whatever became of that. */
export interface FairQueue {
  /**
   * Does the work when its turn comes. After `turnMs` it goes on, and the next begins beside it: what hangs keeps nobody
   * waiting for long. Rejects with the reason of `until` where no turn came before; the work knows its own deadline.
   */
  run<Value>(turn: FairQueueRequest, work: () => Promise<Value>): Promise<Value>
}

export interface FairQueueRequest {
  /** Who takes it: one name takes turns fairly with the others. */
  readonly who: string
  readonly until: Pick<Deadline, 'signal' | 'over'>
  readonly turnMs: number
}

interface Waiting {
  /** The number of its last turn; 0 before the first. */
  readonly last: number
  readonly signal: AbortSignal
  begin(): void
}

const mostAtOnce = 32
const mostRemembered = 10_000

export function createFairQueue(clock: Pick<Clock, 'after'>): FairQueue {
  const lastTurns = createBoundedCache<number>(mostRemembered)
  let waiting: Waiting[] = []
  let count = 0
  let free = mostAtOnce
  let isSorting = false

  function giveTurns(): void {
    while (free > 0) {
      const next = waiting.shift()
      if (!next) return
      if (next.signal.aborted) continue
      free -= 1
      next.begin()
    }
  }

  /** All who come at the same moment are put into order before any of them begins. */
  function line(one: Waiting): void {
    waiting.push(one)
    if (isSorting) return
    isSorting = true
    queueMicrotask(() => {
      isSorting = false
      waiting = waiting.toSorted((first, second) => first.last - second.last)
      giveTurns()
    })
  }

  /** Returns what ends the turn, for whoever is done sooner. */
  function begin(who: string, turnMs: number): () => void {
    count += 1
    lastTurns.set(who, count)
    let isOver = false
    const end = () => {
      cancelTimer()
      if (isOver) return
      isOver = true
      free += 1
      giveTurns()
    }
    const cancelTimer = clock.after(turnMs, end)
    return end
  }

  return {
    async run({ who, until, turnMs }, work) {
      const { promise: myTurn, resolve } = Promise.withResolvers<void>()
      line({ last: lastTurns.get(who) ?? 0, signal: until.signal, begin: resolve })
      await Promise.race([myTurn, until.over])
      const end = begin(who, turnMs)
      try {
        return await work()
      } finally {
        end()
      }
    },
  }
}
