import type { Clock } from '../clock.ts'
import { DriftwatchError } from '../errors.ts'

/** When a look has to be over. */
export interface Deadline {
  /** On the monotonic clock. */
  readonly at: number
  /** Aborts when it is reached, or when nobody waits any longer. */
  readonly signal: AbortSignal
  /** Rejects then: shared by all that wait, since a signal walks through its listeners to add another. */
  readonly over: Promise<never>
}

/** A deadline `ms` from now, or when `ending` aborts; and what gives its timer back. */
export function startDeadline(
  clock: Clock,
  ms: number,
  ending?: AbortSignal,
): Deadline & { readonly cancel: () => void } {
  const controller = new AbortController()
  const timeUp = () => controller.abort(new DriftwatchError('DEADLINE_EXCEEDED', `no answer within ${ms} ms`))
  const givenUp = () => controller.abort(new DriftwatchError('ABORTED', 'Driftwatch is ending'))
  const over = rejectOnAbort(controller.signal)
  over.catch(() => {})
  const cancelTimer = clock.after(ms, timeUp)
  if (ending?.aborted) givenUp()
  ending?.addEventListener('abort', givenUp, { once: true })
  return {
    at: clock.monotonic() + ms,
    signal: controller.signal,
    over,
    cancel() {
      cancelTimer()
      ending?.removeEventListener('abort', givenUp)
    },
  }
}

/** Does `work` with a deadline `ms` from now, or when `ending` aborts. */
export async function withDeadline<T>(
  clock: Clock,
  ms: number,
  ending: AbortSignal | undefined,
  work: (deadline: Deadline) => Promise<T>,
): Promise<T> {
  const deadline = startDeadline(clock, ms, ending)
  try {
    return await work(deadline)
  } finally {
    deadline.cancel()
  }
}

/** Rejects with the signal's reason when that aborts. */
export function rejectOnAbort(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason), { once: true }))
}
