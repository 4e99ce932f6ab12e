import { unpressed } from '../limits.ts'
import { noQuery, type Router } from '../router.ts'

/** Whether what is answered can be believed; if not, why. */
export type Readiness = { readonly ready: true } | { readonly ready: false; readonly reason: string }

const healthy = {
  type: 'object',
  additionalProperties: false,
  required: ['status'],
  properties: { status: { type: 'string', const: 'ok' } },
} as const

const notReady = {
  description: 'Not yet, or no longer.',
  type: 'object',
  additionalProperties: false,
  required: ['status', 'reason'],
  properties: {
    status: { type: 'string', const: 'not_ready' },
    reason: { type: 'string', description: 'What is missing.' },
  },
} as const

export function addHealthRoutes(router: Router, readiness: () => Readiness): void {
  router.get(
    '/health/live',
    {
      config: { access: 'open', ...unpressed },
      schema: {
        summary: 'Whether the process runs',
        tags: ['operation'],
        security: [],
        querystring: noQuery,
        response: { 200: { description: 'It does.', ...healthy } },
      },
    },
    (_request, reply) => {
      reply.send({ status: 'ok' })
    },
  )

  router.get(
    '/health/ready',
    {
      config: { access: 'open', ...unpressed },
      schema: {
        summary: 'Whether the first cycle is done and the scheduler ticks',
        tags: ['operation'],
        security: [],
        querystring: noQuery,
        response: { 200: { description: 'Both.', ...healthy }, 503: notReady },
      },
    },
    (_request, reply) => {
      const state = readiness()
      if (state.ready) reply.send({ status: 'ok' })
      else reply.code(503).send({ status: 'not_ready', reason: state.reason })
    },
  )
}
