import type { Socket } from 'node:net'
import type { ConnectionError, FastifyError, FastifyReply, FastifyRequest, FastifySchemaValidationError } from 'fastify'
import { asDriftwatchError, DriftwatchError, type ErrorCode, errorTable } from '../errors.ts'
import type { Log } from '../log.ts'
import { prose } from '../printable.ts'
import { defaultHeaderLines } from './headers.ts'

/** The body of every answer that is an error. */
export const errorSchema = {
  type: 'object',
  additionalProperties: false,
  required: ['error'],
  properties: {
    error: {
      type: 'object',
      additionalProperties: false,
      required: ['code', 'message'],
      properties: {
        code: {
          type: 'string',
          enum: Object.keys(errorTable) as ErrorCode[],
          description: 'A code of docs/errors.md.',
        },
        message: { type: 'string', description: 'What is wrong with the request, and what to do.' },
      },
    },
  },
} as const

/** The answers to a request that a schema refuses, or that names what there is not. */
export const badRequest = { description: 'A query parameter makes no sense.', ...errorSchema } as const
export const notFound = { description: 'There is no such stack or check.', ...errorSchema } as const

/** Answers with what was thrown, in our own words, and logs it at the level of its code. */
export function replyWithError(thrown: FastifyError | Error, request: FastifyRequest, reply: FastifyReply, log: Log) {
  const { error, status } = asRefusal(thrown, request)
  const { code } = error
  const message = prose(error.message)
  const bug = code === 'BUG'
  log[errorTable[code].logLevel](
    { code, method: request.method, url: prose(request.url), ...(bug && { err: thrown }) },
    'request refused',
  )
  return reply
    .code(status)
    .type('application/json; charset=utf-8')
    .send(JSON.stringify({ error: { code, message: bug ? bugMessage : message } }))
}

const bugMessage = 'Driftwatch failed to answer: please report it, with what its log says about this request'

interface Refusal {
  readonly error: DriftwatchError
  readonly status: number
}

function asRefusal(thrown: FastifyError | Error, request: FastifyRequest): Refusal {
  if (thrown instanceof DriftwatchError) return refusal(thrown)
  if (!('code' in thrown)) return refusal(asDriftwatchError(thrown))
  if (thrown.validation) return refusal(new DriftwatchError('USAGE', describeProblem(thrown, request)))
  if (thrown.code === 'FST_ERR_BAD_URL') {
    return refusal(new DriftwatchError('USAGE', 'the path is not valid percent-encoding: encode its parts as UTF-8'))
  }
  if (thrown.code === 'FST_ERR_CTP_BODY_TOO_LARGE') {
    return refusal(new DriftwatchError('BODY_TOO_LARGE', 'no path takes a body: leave it out'))
  }
  if (thrown.code === 'FST_ERR_MAX_PARAM_LENGTH') {
    return refusal(new DriftwatchError('ROUTE_NOT_FOUND', 'no stack or check has a name as long as that in the path'))
  }
  const { statusCode = 500, message } = thrown
  if (statusCode < 400 || statusCode >= 500) return refusal(asDriftwatchError(thrown))
  return { error: new DriftwatchError('USAGE', message, { cause: thrown }), status: statusCode }
}

function refusal(error: DriftwatchError): Refusal {
  return { error, status: errorTable[error.code].httpStatus }
}

function describeProblem({ validation, validationContext, message }: FastifyError, request: FastifyRequest): string {
  const [problem] = validation ?? []
  if (validationContext !== 'querystring' || problem === undefined) return message
  return describeParameter(problem, request) ?? message
}

function describeParameter(problem: FastifySchemaValidationError, request: FastifyRequest): string | null {
  const { keyword, params, instancePath } = problem
  const [, name, index] = instancePath.split('/')
  if (keyword === 'additionalProperties') {
    return `unknown query parameter ${JSON.stringify(params.additionalProperty)}: this path takes ${takenBy(request)}`
  }
  if (keyword === 'enum' && Array.isArray(params.allowedValues)) {
    const several = index === undefined ? '' : '; repeat it to name several'
    return `query parameter ${JSON.stringify(name)} must be one of ${params.allowedValues.join(', ')}${several}`
  }
  return keyword === 'type' ? `query parameter ${JSON.stringify(name)} may be given only once` : null
}

function takenBy(request: FastifyRequest): string {
  const schema = request.routeOptions.schema?.querystring as { properties?: object } | undefined
  return Object.keys(schema?.properties ?? {}).join(', ') || 'none'
}

const connectionErrors: Record<string, readonly [status: string, code: ErrorCode, message: string]> = {
  HPE_HEADER_OVERFLOW: [
    '431 Request Header Fields Too Large',
    'HEADERS_TOO_LARGE',
    'the headers of the request are too large',
  ],
  ERR_HTTP_REQUEST_TIMEOUT: ['408 Request Timeout', 'REQUEST_TIMEOUT', 'the request did not arrive in time'],
}

const unreadable = ['400 Bad Request', 'USAGE', 'this is no request of HTTP/1.1'] as const

/** Answers a peer that does not speak HTTP as it should, and hangs up. */
export function replyToBrokenConnection(error: ConnectionError, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy()
    return
  }
  const [status, code, message] = connectionErrors[error.code] ?? unreadable
  const body = JSON.stringify({ error: { code, message } })
  const head = `content-type: application/json; charset=utf-8\r\ncontent-length: ${Buffer.byteLength(body)}\r\n`
  socket.end(`HTTP/1.1 ${status}\r\n${head}${defaultHeaderLines}connection: close\r\n\r\n${body}`)
}
