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
