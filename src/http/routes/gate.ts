import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Status } from '../../checks/status.ts'
import type { Page, Rendered } from '../../report/rendered.ts'
import { reportSchema, stackReportSchema } from '../../report/report.ts'
import type { SendBody } from '../encoding.ts'
import { badRequest, notFound } from '../error-replies.ts'
import { describeReport, getContentType, selectFormat } from '../report-format.ts'
import type { Router } from '../router.ts'
import { findStack, partQuery, stackParams } from './drift.ts'

const statusCodes = { in_sync: 200, pending: 200, drifted: 503, unknown: 503 } as const satisfies Record<Status, number>

const gateRoute = {
  summary: 'The report as a gate',
  description: 'The report for uptime checks and `curl -f`. It has no filters and never responds with 304.',
  tags: ['gate'],
  querystring: partQuery,
  response: {
    200: describeReport('All checks are in sync or pending.', reportSchema),
    503: describeReport('At least one check is drifted or unknown.', reportSchema),
    400: badRequest,
  },
} as const

const stackGateRoute = {
  summary: 'One stack as a gate',
  tags: ['gate'],
  params: stackParams,
  querystring: partQuery,
  response: {
    200: describeReport('All checks of the stack are in sync or pending.', stackReportSchema),
    503: describeReport('At least one check of the stack is drifted or unknown.', stackReportSchema),
    400: badRequest,
    404: notFound,
  },
} as const

export function addGateRoutes(router: Router, rendered: () => Rendered, sendBody: SendBody): void {
  /** Sends no ETag, because clients would treat a 304 as success. */
  function sendGate(request: FastifyRequest, reply: FastifyReply, page: Page): void {
    sendBody(request, reply.code(statusCodes[page.status]).type(getContentType(page)), page.body)
  }

  router.get('/drift/gate', { schema: gateRoute }, (request, reply) => {
    sendGate(request, reply, rendered().report(selectFormat(request, request.query.format)))
  })

  router.get('/drift/:stack/gate', { schema: stackGateRoute }, (request, reply) => {
    sendGate(request, reply, findStack(rendered(), request.params.stack, selectFormat(request, request.query.format)))
  })
}
