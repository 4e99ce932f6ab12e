import type { onRequestHookHandler } from 'fastify'
import type { Clock } from '../clock.ts'
import { DriftwatchError } from '../errors.ts'

const minuteMs = 60_000

/** Limits the requests per minute of all clients together; rejects others with RATE_LIMITED. */
export function createRateLimit(what: string, perMinute: number, clock: Clock): onRequestHookHandler {
  /** The times of the last admitted requests, oldest first. */
  const admitted: number[] = []
  return (_request, reply, done) => {
    const now = clock.monotonic()
    const waitMs = (admitted.at(-perMinute) ?? Number.NEGATIVE_INFINITY) + minuteMs - now
    if (waitMs > 0) {
      const seconds = Math.ceil(waitMs / 1000)
      reply.header('retry-after', seconds)
      done(new DriftwatchError('RATE_LIMITED', `too many ${what} requests; retry after ${seconds} s`))
      return
    }
    admitted.push(now)
    if (admitted.length > perMinute) admitted.shift()
    done()
  }
}
