import { type Clock, formatTime } from '../../clock.ts'
import { closed } from '../../config/sections/values.ts'
import type { CycleSummary } from '../../drift/store.ts'
import { errorSchema } from '../error-replies.ts'
import { createRateLimit } from '../rate-limit.ts'
import { noQuery, type Router } from '../router.ts'

/** Resolves when a cycle that started after the call has completed; rejects with CYCLE_FAILED. */
export type Refresh = () => Promise<CycleSummary>

const refreshed = {
  ...closed,
  required: ['cycle'],
  properties: {
    cycle: {
      ...closed,
      required: ['id', 'startedAt', 'durationMs'],
      properties: {
        id: { type: 'integer', description: 'The ID of the cycle, as in the report.' },
        startedAt: { type: 'string', format: 'date-time', description: 'When the cycle started: after the request.' },
        durationMs: { type: 'number' },
      },
    },
  },
} as const

export function addRefreshRoute(router: Router, refresh: Refresh, perMinute: number, clock: Clock): void {
  router.post(
    '/refresh',
    {
      config: { access: 'acting' },
      // Runs after the hooks of all routes, so that requests rejected by them do not count.
      onRequest: createRateLimit('refresh', perMinute, clock),
      schema: {
        summary: 'Runs a cycle now',
        description: `Responds when a cycle that started after the request has completed. Concurrent requests share one cycle. Requires \`server.auth\`. At most ${perMinute} requests per minute.`,
        tags: ['operation'],
        security: [{ bearer: [] }],
        querystring: noQuery,
        response: {
          200: { description: 'The completed cycle.', ...refreshed },
          401: { description: 'The token is missing or was rejected.', ...errorSchema },
          403: { description: 'The caller is not allowed, or `server.auth` is not set.', ...errorSchema },
          429: { description: 'Too many requests. The `retry-after` header has the seconds to wait.', ...errorSchema },
          503: { description: 'The cycle failed.', ...errorSchema },
        },
      },
    },
    async (_request, reply) => {
      const { id, startedAt, durationMs } = await refresh()
      return reply.send({ cycle: { id, startedAt: formatTime(startedAt), durationMs } })
    },
  )
}
