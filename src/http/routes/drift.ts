import type { FastifyReply, FastifyRequest } from 'fastify'
import { checkKinds } from '../../checks/check.ts'
import { statuses } from '../../checks/status.ts'
import { closed } from '../../config/sections/values.ts'
import { DriftwatchError } from '../../errors.ts'
import type { Page, Rendered } from '../../report/rendered.ts'
import { checkReportSchema, reportSchema, stackReportSchema } from '../../report/report.ts'
import type { SendBody } from '../encoding.ts'
import { badRequest, notFound } from '../error-replies.ts'
import { describeReport, formatParameter, getContentType, selectFormat } from '../report-format.ts'
import type { Router } from '../router.ts'

/** The maximum number of stacks on a page. */
const maxPageSize = 1000

const reportQuery = {
  ...closed,
  properties: {
    format: formatParameter,
    status: {
      type: 'array',
      items: { type: 'string', enum: statuses },
      description: 'Only checks with this status. Repeat it for several statuses.',
    },
    check: {
      type: 'array',
      items: { type: 'string', enum: checkKinds },
      description: 'Only checks with this name. Repeat it for several checks.',
    },
    limit: {
      type: 'integer',
      minimum: 1,
      maximum: maxPageSize,
      description:
        'The maximum number of stacks, sorted by name. If there are more, the `Link` header has the URL of the next page.',
    },
    after: { type: 'string', maxLength: 128, description: 'Only stacks whose names sort after this one.' },
  },
} as const

/** The query schema of parts of the report and of gates. */
export const partQuery = { ...closed, properties: { format: formatParameter } } as const

const stackName = { type: 'string', description: 'The name of the stack.' } as const

export const stackParams = { type: 'object', required: ['stack'], properties: { stack: stackName } } as const

const checkParams = {
  type: 'object',
  required: ['stack', 'check'],
  properties: { stack: stackName, check: { type: 'string', description: 'The name of the check.' } },
} as const

const notModified = {
  type: 'null',
  description: 'The report has not changed since the response with this ETag.',
} as const

const reportRoute = {
  summary: 'The report',
  description:
    'The state of every check, and the worst status. The HTTP status is always 200; use `/drift/gate` for a status code that depends on the report.',
  tags: ['drift'],
  querystring: reportQuery,
  response: { 200: describeReport('The report.', reportSchema), 304: notModified, 400: badRequest },
} as const

const stackRoute = {
  summary: 'One stack of the report',
  tags: ['drift'],
  params: stackParams,
  querystring: partQuery,
  response: { 200: describeReport('One stack.', stackReportSchema), 304: notModified, 400: badRequest, 404: notFound },
} as const

const checkRoute = {
  summary: 'One check of the report',
  tags: ['drift'],
  params: checkParams,
  querystring: partQuery,
  response: { 200: describeReport('One check.', checkReportSchema), 304: notModified, 400: badRequest, 404: notFound },
} as const

export function addDriftRoutes(router: Router, rendered: () => Rendered, sendBody: SendBody): void {
  function sendIfModified(request: FastifyRequest, reply: FastifyReply, page: Page): void {
    reply.headers({ etag: page.etag, 'cache-control': 'no-cache', vary: 'accept, accept-encoding' })
    if (matchesEtag(request.headers['if-none-match'], page.etag)) reply.code(304).send()
    else sendBody(request, reply.type(getContentType(page)), page.body)
  }

  router.get('/drift', { schema: reportRoute }, (request, reply) => {
    const { format, status, check, after, limit } = request.query
    const filter = {
      statuses: status,
      checks: check,
      after,
      limit: after === undefined ? limit : (limit ?? maxPageSize),
    }
    const page = rendered().report(selectFormat(request, format), filter)
    if (page.last !== null) reply.header('link', `<${nextPage(request.url, page.last)}>; rel="next"`)
    sendIfModified(request, reply, page)
  })

  router.get('/drift/:stack', { schema: stackRoute }, (request, reply) => {
    const format = selectFormat(request, request.query.format)
    sendIfModified(request, reply, findStack(rendered(), request.params.stack, format))
  })

  router.get('/drift/:stack/:check', { schema: checkRoute }, (request, reply) => {
    const { stack, check } = request.params
    const format = selectFormat(request, request.query.format)
    sendIfModified(request, reply, findCheck(rendered(), stack, check, format))
  })
}

/** The query of the next page, after the stack `last`. */
function nextPage(url: string, last: string): string {
  const query = new URLSearchParams(url.split('?')[1])
  query.set('after', last)
  return `?${query}`
}

/** The page of a stack; throws STACK_NOT_FOUND. */
export function findStack(rendered: Rendered, stack: string, format: Page['format']): Page {
  const page = rendered.stack(stack, format)
  if (page) return page
  throw new DriftwatchError('STACK_NOT_FOUND', `unknown stack ${JSON.stringify(stack)}. GET /drift lists all stacks.`)
}

function findCheck(rendered: Rendered, stack: string, check: string, format: Page['format']): Page {
  const page = rendered.check(stack, check, format)
  if (page) return page
  const checks = rendered.names.get(stack)
  if (!checks) return findStack(rendered, stack, format)
  throw new DriftwatchError(
    'CHECK_NOT_FOUND',
    `stack ${JSON.stringify(stack)} has no check ${JSON.stringify(check)}: its checks are ${checks.join(', ') || '(none)'}`,
  )
}

/** Whether `If-None-Match` contains this entity tag, by weak comparison. */
export function matchesEtag(ifNoneMatch: string | undefined, etag: string): boolean {
  if (ifNoneMatch === undefined) return false
  if (ifNoneMatch.trim() === '*') return true
  return [...ifNoneMatch.matchAll(/"[^"]*"/g)].some(([opaque]) => opaque === etag.replace(/^W\//, ''))
}
