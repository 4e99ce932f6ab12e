import { type Clock, formatTime } from '../../clock.ts'
import type { CycleSummary } from '../../drift/store.ts'
import { errorSchema } from '../error-replies.ts'
import { createRateLimit } from '../rate-limit.ts'
import { noQuery, type Router } from '../router.ts'

/** Looks now: resolves when a cycle that began after the question has completed; rejects with CYCLE_FAILED. */
export type Refresh = () => Promise<CycleSummary>

const refreshed = {
  type: 'object',
  additionalProperties: false,
  required: ['cycle'],
  properties: {
    cycle: {
      type: 'object',
      additionalProperties: false,
      required: ['id', 'startedAt', 'durationMs'],
      properties: {
        id: { type: 'integer', description: 'As in the report.' },
        startedAt: { type: 'string', format: 'date-time', description: 'After the question.' },
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
      // After the hooks of all routes, so that what these refuse does not count.
      onRequest: createRateLimit(perMinute, clock),
      schema: {
        summary: 'Looks now',
        description: `Answers when a cycle that began after the question has completed; who asks meanwhile waits for the same one. Only with \`server.auth\`, and ${perMinute} times a minute.`,
        tags: ['operation'],
        security: [{ bearer: [] }],
        querystring: noQuery,
        response: {
          200: { description: 'The cycle.', ...refreshed },
          401: { description: 'There is no token, or it is refused.', ...errorSchema },
          403: { description: 'The caller may not, or nobody may.', ...errorSchema },
          429: { description: 'Too often: `retry-after` says when again.', ...errorSchema },
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
