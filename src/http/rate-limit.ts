import type { onRequestHookHandler } from 'fastify'
import type { Clock } from '../clock.ts'
import { DriftwatchError } from '../errors.ts'

const minuteMs = 60_000

/** Lets in so many requests in any minute, whoever asks; refuses others with RATE_LIMITED. For a route that acts. */
export function createRateLimit(perMinute: number, clock: Clock): onRequestHookHandler {
  /** When the last ones were let in, the oldest first. */
  const admitted: number[] = []
  return (_request, reply, done) => {
    const now = clock.monotonic()
    const waitMs = (admitted.at(-perMinute) ?? Number.NEGATIVE_INFINITY) + minuteMs - now
    if (waitMs > 0) {
      const seconds = Math.ceil(waitMs / 1000)
      reply.header('retry-after', seconds)
      done(new DriftwatchError('RATE_LIMITED', `asked for too often: ask again in ${seconds}s`))
      return
    }
    admitted.push(now)
    if (admitted.length > perMinute) admitted.shift()
    done()
  }
}
