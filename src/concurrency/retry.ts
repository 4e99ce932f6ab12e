import pRetry from 'p-retry'
import type { Clock } from '../clock.ts'
import { asDriftwatchError, DriftwatchError } from '../errors.ts'
import type { Deadline } from './deadline.ts'

const maxRetries = 2
const firstBackoffMs = 100

/** The share of the remaining time that one attempt may take, so that an attempt that hangs leaves time for another. */
const attemptShare = 0.6

/**
 * Makes up to three attempts, with backoff and jitter, until one succeeds, fails with an error that is not retryable, or
 * the deadline is reached. `call` gets the milliseconds that it may take, and rejects with a coded error. If the deadline
 * is reached between two attempts, the error is that of the last attempt.
 */
export async function retry<T>(clock: Clock, deadline: Deadline, call: (timeoutMs: number) => Promise<T>): Promise<T> {
  let last: DriftwatchError | null = null
  const attempt = async () => {
    const left = deadline.at - clock.monotonic()
    if (left <= 0) throw new DriftwatchError('DEADLINE_EXCEEDED', 'no time left to send the request')
    // The call may not support cancellation.
    return Promise.race([call(Math.max(1, Math.floor(left * attemptShare))), deadline.over])
  }
  try {
    return await pRetry(attempt, {
      retries: maxRetries,
      signal: deadline.signal,
      // The clock waits, not p-retry.
      minTimeout: 0,
      async shouldRetry({ error, retriesConsumed }) {
        last = asDriftwatchError(error)
        if (!last.retryable || deadline.at <= clock.monotonic()) return false
        await clock.sleep(firstBackoffMs * 2 ** retriesConsumed * (1 + Math.random()), deadline.signal)
        return true
      },
    })
  } catch (error) {
    throw deadline.signal.aborted && last !== null ? last : error
  }
}
