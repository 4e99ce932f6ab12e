import { setImmediate as letOthersGoFirst } from 'node:timers/promises'
import type { Clock } from '../clock.ts'

/** How long judging may keep requests and timers waiting; a single step comes on top. */
const longestStretchMs = 10

/** Drives work in steps, one after another, and lets everything else go first in between. */
export type TimeSlices = <Value>(steps: SlicedWork<Value>) => Promise<Value>

/** Whatever is driven by the same pace waits for its turn, and shares the stretches: several in one turn of the event loop would add up. */
export function createTimeSlices(clock: Pick<Clock, 'monotonic'>): TimeSlices {
  let turn: Promise<unknown> = Promise.resolve()
  let begin = Number.NEGATIVE_INFINITY

  async function drive<Value>(steps: SlicedWork<Value>): Promise<Value> {
    for (;;) {
      if (clock.monotonic() - begin >= longestStretchMs) {
        await letOthersGoFirst()
        begin = clock.monotonic()
      }
      const step = steps.next()
      if (step.done) return step.value
    }
  }

  return steps => {
    const mine = turn.then(() => drive(steps))
    turn = mine.catch(() => undefined)
    return mine
  }
}

/**
 * Work that pauses now and then, so that whoever drives it can let others go first. It knows no time, and comes to the same
 * however it is driven.
 */
export type SlicedWork<Value> = Generator<undefined, Value, undefined>

/** Does all of it at once. */
export function runAtOnce<Value>(steps: SlicedWork<Value>): Value {
  for (;;) {
    const step = steps.next()
    if (step.done) return step.value
  }
}
