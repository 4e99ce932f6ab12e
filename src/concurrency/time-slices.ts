import { setImmediate as yieldToEventLoop } from 'node:timers/promises'
import type { Clock } from '../clock.ts'

/** How long one slice may block the event loop, plus one step. */
const sliceMs = 10

/** Work that yields often, so that it can be paused. Its result does not depend on the pauses. */
export type SlicedWork<Value> = Generator<undefined, Value, undefined>

/** Runs work in slices of about 10 ms, with the event loop in between. */
export type TimeSlices = <Value>(work: SlicedWork<Value>) => Promise<Value>

/** All work given to one instance runs in order and shares its slices, because parallel slices would add up. */
export function createTimeSlices(clock: Pick<Clock, 'monotonic'>): TimeSlices {
  let last: Promise<unknown> = Promise.resolve()
  let begin = Number.NEGATIVE_INFINITY

  async function run<Value>(work: SlicedWork<Value>): Promise<Value> {
    for (;;) {
      if (clock.monotonic() - begin >= sliceMs) {
        await yieldToEventLoop()
        begin = clock.monotonic()
      }
      const step = work.next()
      if (step.done) return step.value
    }
  }

  return work => {
    const result = last.then(() => run(work))
    last = result.catch(() => undefined)
    return result
  }
}

/** Runs work without pauses. */
export function runAtOnce<Value>(work: SlicedWork<Value>): Value {
  for (;;) {
    const step = work.next()
    if (step.done) return step.value
  }
}
