import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Status } from '../../checks/status.ts'
import type { Page, Rendered } from '../../report/rendered.ts'
import { reportSchema, stackReportSchema } from '../../report/report.ts'
import type { SendBody } from '../encoding.ts'
import { badRequest, notFound } from '../error-replies.ts'
import { formatOf, reportAnswer, typeOf } from '../report-format.ts'
import type { Router } from '../router.ts'
import { findStack, partQuery, stackParams } from './drift.ts'

const statusCodes = { in_sync: 200, pending: 200, drifted: 503, unknown: 503 } as const satisfies Record<Status, number>

const gateRoute = {
  summary: 'The report as a gate',
  description: 'The report, for uptime checks and `curl -f`. It takes no filters, and is never answered with 304.',
  tags: ['gate'],
  querystring: partQuery,
  response: {
    200: reportAnswer('Everything is in sync or pending.', reportSchema),
    503: reportAnswer('Something is drifted or unknown.', reportSchema),
    400: badRequest,
  },
} as const

const stackGateRoute = {
  summary: 'One stack as a gate',
  tags: ['gate'],
  params: stackParams,
  querystring: partQuery,
  response: {
    200: reportAnswer('The stack is in sync or pending.', stackReportSchema),
    503: reportAnswer('The stack is drifted or unknown.', stackReportSchema),
    400: badRequest,
    404: notFound,
  },
} as const

export function addGateRoutes(router: Router, rendered: () => Rendered, sendBody: SendBody): void {
  /** Without an ETag: a 304 would pass for success. */
  function sendGate(request: FastifyRequest, reply: FastifyReply, page: Page): void {
    sendBody(request, reply.code(statusCodes[page.status]).type(typeOf(page)), page.body)
  }

  router.get('/drift/gate', { schema: gateRoute }, (request, reply) => {
    sendGate(request, reply, rendered().report(formatOf(request, request.query.format)))
  })

  router.get('/drift/:stack/gate', { schema: stackGateRoute }, (request, reply) => {
    sendGate(request, reply, findStack(rendered(), request.params.stack, formatOf(request, request.query.format)))
  })
}
