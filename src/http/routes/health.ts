import { closed } from '../../config/sections/values.ts'
import { exemptFromPressure } from '../limits.ts'
import { noQuery, type Router } from '../router.ts'

/** Whether the report is up to date; if not, why. */
export type Readiness = { readonly ready: true } | { readonly ready: false; readonly reason: string }

const healthy = {
  ...closed,
  required: ['status'],
  properties: { status: { type: 'string', const: 'ok' } },
} as const

const notReady = {
  description: 'The first cycle has not completed, or the scheduler has stopped.',
  ...closed,
  required: ['status', 'reason'],
  properties: {
    status: { type: 'string', const: 'not_ready' },
    reason: { type: 'string', description: 'Why Driftwatch is not ready.' },
  },
} as const

/** The options of a route that needs no token and responds under any load. */
function describeHealth<Response extends object>(summary: string, response: Response) {
  return {
    config: { access: 'open', ...exemptFromPressure },
    schema: { summary, tags: ['operation'], security: [], querystring: noQuery, response },
  } as const
}

export function addHealthRoutes(router: Router, readiness: () => Readiness): void {
  router.get(
    '/health/live',
    describeHealth('Whether the process runs', { 200: { description: 'The process runs.', ...healthy } }),
    (_request, reply) => {
      reply.send({ status: 'ok' })
    },
  )

  router.get(
    '/health/ready',
    describeHealth('Whether the first cycle has completed and the scheduler runs', {
      200: { description: 'The first cycle has completed and the scheduler runs.', ...healthy },
      503: notReady,
    }),
    (_request, reply) => {
      const state = readiness()
      if (state.ready) reply.send({ status: 'ok' })
      else reply.code(503).send({ status: 'not_ready', reason: state.reason })
    },
  )
}
