import pRetry from 'p-retry'
import type { Clock } from '../clock.ts'
import { asDriftwatchError, DriftwatchError } from '../errors.ts'
import type { Deadline } from './deadline.ts'

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
