import type { FastifyReply, FastifyRequest } from 'fastify'
import { checkKinds } from '../../checks/check.ts'
import { statuses } from '../../checks/status.ts'
import { DriftwatchError } from '../../errors.ts'
import type { Page, Rendered } from '../../report/rendered.ts'
import { checkReportSchema, reportSchema, stackReportSchema } from '../../report/report.ts'
import type { SendBody } from '../encoding.ts'
import { badRequest, notFound } from '../error-replies.ts'
import { formatOf, formatParameter, reportAnswer, typeOf } from '../report-format.ts'
import type { Router } from '../router.ts'

/** Stacks of one page. */
const mostOfPage = 1000

const reportQuery = {
  type: 'object',
  additionalProperties: false,
  properties: {
    format: formatParameter,
    status: {
      type: 'array',
      items: { type: 'string', enum: statuses },
      description: 'Shows only checks of this status. Repeat it to name several.',
    },
    check: {
      type: 'array',
      items: { type: 'string', enum: checkKinds },
      description: 'Shows only checks of this name. Repeat it to name several.',
    },
    limit: {
      type: 'integer',
      minimum: 1,
      maximum: mostOfPage,
      description:
        'Shows at most so many stacks, by name. Where there are more, the header `Link` names the next page.',
    },
    after: { type: 'string', maxLength: 128, description: 'Shows only stacks whose names come after this one.' },
  },
} as const

/** The query of a part of the report, and of a gate. */
export const partQuery = {
  type: 'object',
  additionalProperties: false,
  properties: { format: formatParameter },
} as const

const stackName = { type: 'string', description: 'The name of a stack of the config.' } as const

export const stackParams = { type: 'object', required: ['stack'], properties: { stack: stackName } } as const

const checkParams = {
  type: 'object',
  required: ['stack', 'check'],
  properties: { stack: stackName, check: { type: 'string', description: 'The name of a check of that stack.' } },
} as const

const notModified = { type: 'null', description: 'Nothing has changed since the answer with this ETag.' } as const

const reportRoute = {
  summary: 'The report',
  description: 'Every state, and the worst status of all. Always 200: the gate turns it into a status code.',
  tags: ['drift'],
  querystring: reportQuery,
  response: { 200: reportAnswer('The report.', reportSchema), 304: notModified, 400: badRequest },
} as const

const stackRoute = {
  summary: 'One stack of the report',
  tags: ['drift'],
  params: stackParams,
  querystring: partQuery,
  response: { 200: reportAnswer('One stack.', stackReportSchema), 304: notModified, 400: badRequest, 404: notFound },
} as const

const checkRoute = {
  summary: 'One check of the report',
  tags: ['drift'],
  params: checkParams,
  querystring: partQuery,
  response: { 200: reportAnswer('One check.', checkReportSchema), 304: notModified, 400: badRequest, 404: notFound },
} as const

export function addDriftRoutes(router: Router, rendered: () => Rendered, sendBody: SendBody): void {
  function sendUnlessFresh(request: FastifyRequest, reply: FastifyReply, page: Page): void {
    reply.headers({ etag: page.etag, 'cache-control': 'no-cache', vary: 'accept, accept-encoding' })
    if (matchesEtag(request.headers['if-none-match'], page.etag)) reply.code(304).send()
    else sendBody(request, reply.type(typeOf(page)), page.body)
  }

  router.get('/drift', { schema: reportRoute }, (request, reply) => {
    const { format, status, check, after, limit } = request.query
    const filter = {
      statuses: status,
      checks: check,
      after,
      limit: after === undefined ? limit : (limit ?? mostOfPage),
    }
    const page = rendered().report(formatOf(request, format), filter)
    if (page.last !== null) reply.header('link', `<${nextPage(request.url, page.last)}>; rel="next"`)
    sendUnlessFresh(request, reply, page)
  })

  router.get('/drift/:stack', { schema: stackRoute }, (request, reply) => {
    const format = formatOf(request, request.query.format)
    sendUnlessFresh(request, reply, findStack(rendered(), request.params.stack, format))
  })

  router.get('/drift/:stack/:check', { schema: checkRoute }, (request, reply) => {
    const { stack, check } = request.params
    const format = formatOf(request, request.query.format)
    sendUnlessFresh(request, reply, findCheck(rendered(), stack, check, format))
  })
}

/** The same question, relative to the path, for what comes after this stack. */
function nextPage(url: string, last: string): string {
  const query = new URLSearchParams(url.split('?')[1])
  query.set('after', last)
  return `?${query}`
}

/** The page of a stack; throws STACK_NOT_FOUND. */
export function findStack(rendered: Rendered, stack: string, format: Page['format']): Page {
  const page = rendered.stack(stack, format)
  if (page) return page
  throw new DriftwatchError(
    'STACK_NOT_FOUND',
    `there is no stack ${JSON.stringify(stack)}: GET /drift lists those that the config names`,
  )
}

function findCheck(rendered: Rendered, stack: string, check: string, format: Page['format']): Page {
  const page = rendered.check(stack, check, format)
  if (page) return page
  const checks = rendered.names.get(stack)
  if (!checks) return findStack(rendered, stack, format)
  throw new DriftwatchError(
    'CHECK_NOT_FOUND',
    `stack ${JSON.stringify(stack)} has no check ${JSON.stringify(check)}: it has ${checks.join(', ') || 'none'}`,
  )
}

/** Whether `If-None-Match` names this entity tag, compared weakly: the client has it already. */
export function matchesEtag(ifNoneMatch: string | undefined, etag: string): boolean {
  if (ifNoneMatch === undefined) return false
  if (ifNoneMatch.trim() === '*') return true
  return [...ifNoneMatch.matchAll(/"[^"]*"/g)].some(([opaque]) => opaque === etag.replace(/^W\//, ''))
}
