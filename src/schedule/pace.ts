import { setImmediate as letOthersGoFirst } from 'node:timers/promises'
import type { Clock } from '../clock.ts'
import type { Steps } from '../grants/steps.ts'

/** How long judging may keep requests and timers waiting; a single step comes on top. */
const longestStretchMs = 10

/** Drives work in steps, one after another, and lets everything else go first in between. */
export type Pace = <Value>(steps: Steps<Value>) => Promise<Value>

/** Whatever is driven by the same pace waits for its turn: several stretches in one turn of the event loop would add up. */
export function createPace(clock: Pick<Clock, 'monotonic'>): Pace {
  let turn: Promise<unknown> = Promise.resolve()
  return steps => {
    const mine = turn.then(() => drive(steps, clock))
    turn = mine.catch(() => undefined)
    return mine
  }
}

async function drive<Value>(steps: Steps<Value>, clock: Pick<Clock, 'monotonic'>): Promise<Value> {
  for (;;) {
    await letOthersGoFirst()
    const begin = clock.monotonic()
    do {
      const step = steps.next()
      if (step.done) return step.value
    } while (clock.monotonic() - begin < longestStretchMs)
  }
}
