/**
 * Work that pauses now and then, so that whoever drives it can let others go first. It knows no time, and comes to the same
 * however it is driven.
 */
export type Steps<Value> = Generator<undefined, Value, undefined>

/** Does all of it at once. */
export function finish<Value>(steps: Steps<Value>): Value {
  for (;;) {
    const step = steps.next()
    if (step.done) return step.value
  }
}
