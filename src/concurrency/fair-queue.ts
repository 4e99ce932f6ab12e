import { createBoundedCache } from '../bounded-cache.ts'
import type { Clock } from '../clock.ts'
import type { Deadline } from './deadline.ts'

/** Runs at most 32 tasks at once. The caller that has waited longest since its last run goes first. */
export interface FairQueue {
  /**
   * Runs the task once a slot is free. A task that takes longer than `slotMs` continues, but its slot goes to the next one,
   * so that tasks that hang do not block the queue. Rejects at the deadline if no slot became free; a running task must
   * observe its deadline itself.
   */
  run<Value>(request: FairQueueRequest, task: () => Promise<Value>): Promise<Value>
}

export interface FairQueueRequest {
  /** Tasks of the same caller share one place in the order. */
  readonly caller: string
  readonly deadline: Pick<Deadline, 'signal' | 'over'>
  readonly slotMs: number
}

interface Waiting {
  /** The number of the caller's last run; 0 before the first. */
  readonly lastRun: number
  readonly signal: AbortSignal
  begin(): void
}

const maxRunning = 32
const maxRemembered = 10_000

export function createFairQueue(clock: Pick<Clock, 'after'>): FairQueue {
  const lastRuns = createBoundedCache<number>(maxRemembered)
  let waiting: Waiting[] = []
  let runs = 0
  let freeSlots = maxRunning
  let isSorting = false

  function assignSlots(): void {
    while (freeSlots > 0) {
      const next = waiting.shift()
      if (!next) return
      if (next.signal.aborted) continue
      freeSlots -= 1
      next.begin()
    }
  }

  /** Requests of the same moment are sorted before the first one begins. */
  function enqueue(request: Waiting): void {
    waiting.push(request)
    if (isSorting) return
    isSorting = true
    queueMicrotask(() => {
      isSorting = false
      waiting = waiting.toSorted((first, second) => first.lastRun - second.lastRun)
      assignSlots()
    })
  }

  /** Returns a function that frees the slot, if the timer has not done so already. */
  function occupySlot(caller: string, slotMs: number): () => void {
    runs += 1
    lastRuns.set(caller, runs)
    let isFree = false
    const free = () => {
      cancelTimer()
      if (isFree) return
      isFree = true
      freeSlots += 1
      assignSlots()
    }
    const cancelTimer = clock.after(slotMs, free)
    return free
  }

  return {
    async run({ caller, deadline, slotMs }, task) {
      const { promise: slot, resolve: begin } = Promise.withResolvers<void>()
      enqueue({ lastRun: lastRuns.get(caller) ?? 0, signal: deadline.signal, begin })
      await Promise.race([slot, deadline.over])
      const free = occupySlot(caller, slotMs)
      try {
        return await task()
      } finally {
        free()
      }
    },
  }
}
