import pRetry from 'p-retry'
import type { Clock } from '../clock.ts'
import { asDriftwatchError, DriftwatchError } from '../errors.ts'

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

/** So much of the time that is left goes to one attempt that hangs: the rest is for one more. */
const shareOfOneAttempt = 0.6

/**
 * Calls until it succeeds, fails for good, or the deadline is reached: three attempts at most, with backoff and jitter.
 * `call` is told how many milliseconds it may take, and rejects with one of our errors. When time runs out between two
 * attempts, the error is that of the last one.
 */
export async function retry<T>(clock: Clock, deadline: Deadline, call: (timeoutMs: number) => Promise<T>): Promise<T> {
  let last: DriftwatchError | null = null
  const once = async () => {
    const left = deadline.at - clock.monotonic()
    if (left <= 0) throw new DriftwatchError('DEADLINE_EXCEEDED', 'there was no time left to ask')
    // What is called may not hear of the signal.
    return Promise.race([call(Math.max(1, Math.floor(left * shareOfOneAttempt))), deadline.over])
  }
  try {
    return await pRetry(once, {
      retries: 2,
      minTimeout: 100,
      maxTimeout: 1000,
      randomize: true,
      signal: deadline.signal,
      shouldRetry({ error }) {
        last = asDriftwatchError(error)
        return last.retryable && deadline.at > clock.monotonic()
      },
    })
  } catch (error) {
    throw deadline.signal.aborted && last !== null ? last : error
  }
}

/** Rejects with the signal's reason when that aborts. */
export function rejectOnAbort(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason), { once: true }))
}
