import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import type { ConnectionError, FastifyError, FastifyReply, FastifyRequest, FastifySchemaValidationError } from 'fastify'
import { closed } from '../config/sections/values.ts'
import { asDriftwatchError, DriftwatchError, type ErrorCode, errorCodes, errorTable } from '../errors.ts'
import type { Log } from '../log.ts'
import { prose } from '../printable.ts'
import { defaultHeaderLines } from './headers.ts'
import type { Turns } from './turns.ts'

/** The body of every error response. */
export const errorSchema = {
  ...closed,
  required: ['error'],
  properties: {
    error: {
      ...closed,
      required: ['code', 'message'],
      properties: {
        code: { type: 'string', enum: errorCodes, description: 'An error code of docs/errors.md.' },
        message: { type: 'string', description: 'What failed, and what to do.' },
      },
    },
  },
} as const

/** The responses to invalid parameters and unknown names. */
export const badRequest = { description: 'A query parameter is invalid.', ...errorSchema } as const
export const notFound = { description: 'The stack or check does not exist.', ...errorSchema } as const

/** A URL as logs and errors show it: only its path, because the rest may hold secrets. */
export function pathOf(url: string): string {
  const path = url.replace(/^[a-z][a-z\d+.-]*:\/\/(?:.*@)?[^/?#]*/is, '')
  return path.replace(/(?:[?#;]|%3f|%23|%3b).*$/is, '')
}

/** Responds with the error, and logs it at the level of its code. */
export function replyWithError(thrown: FastifyError | Error, request: FastifyRequest, reply: FastifyReply, log: Log) {
  const [error, status = errorTable[error.code].httpStatus] = asRejection(thrown, request)
  const { code } = error
  const message = prose(error.message)
  const bug = code === 'BUG'
  log[errorTable[code].logLevel](
    { code, method: request.method, url: prose(pathOf(request.url)), ...(bug && { err: thrown }) },
    'request rejected',
  )
  return reply
    .code(status)
    .type('application/json; charset=utf-8')
    .send(JSON.stringify({ error: { code, message: bug ? bugMessage : message } }))
}

const bugMessage = 'Driftwatch failed to handle the request. Please report a bug with the log line of this request.'

/** Errors of Fastify with a code and message of our own. */
const fastifyErrors: Readonly<Record<string, readonly [ErrorCode, message: string]>> = {
  FST_ERR_BAD_URL: ['USAGE', 'invalid percent-encoding in the path: expected UTF-8'],
  FST_ERR_CTP_BODY_TOO_LARGE: ['BODY_TOO_LARGE', 'the request must not have a body'],
  FST_ERR_MAX_PARAM_LENGTH: ['ROUTE_NOT_FOUND', 'a name in the path is longer than any name of a stack or check'],
}

/** The error, with a status if it is not that of its code. */
function asRejection(thrown: FastifyError | Error, request: FastifyRequest): [DriftwatchError, status?: number] {
  if (thrown instanceof DriftwatchError || !('code' in thrown)) return [asDriftwatchError(thrown)]
  if (thrown.validation) return [new DriftwatchError('USAGE', describeProblem(thrown, request))]
  const known = fastifyErrors[thrown.code]
  if (known) return [new DriftwatchError(...known)]
  const { statusCode = 500, message } = thrown
  if (statusCode < 400 || statusCode >= 500) return [asDriftwatchError(thrown)]
  return [new DriftwatchError('USAGE', message, { cause: thrown }), statusCode]
}

function describeProblem({ validation, validationContext, message }: FastifyError, request: FastifyRequest): string {
  const [problem] = validation ?? []
  return validationContext === 'querystring' && problem ? describeParameter(problem, request) : message
}

function describeParameter(
  { keyword, params, instancePath, message }: FastifySchemaValidationError,
  request: FastifyRequest,
) {
  const [, name = '', index] = instancePath.split('/')
  const parameter = `query parameter ${JSON.stringify(name || params.additionalProperty)}`
  if (keyword === 'additionalProperties') return `unknown ${parameter}: expected ${listParameters(request)}`
  if (keyword === 'enum' && Array.isArray(params.allowedValues)) {
    const several = index === undefined ? '' : '; repeat it for several values'
    return `invalid ${parameter}: expected one of ${params.allowedValues.join(', ')}${several}`
  }
  const isRepeated = keyword === 'type' && Array.isArray((request.query as Record<string, unknown>)[name])
  return isRepeated ? `duplicate ${parameter}` : `invalid ${parameter}: ${message}`
}

function listParameters(request: FastifyRequest): string {
  const schema = request.routeOptions.schema?.querystring as { properties?: object } | undefined
  return Object.keys(schema?.properties ?? {}).join(', ') || 'no parameters'
}

const connectionErrors: Readonly<Record<string, readonly [status: string, code: ErrorCode, message: string]>> = {
  HPE_HEADER_OVERFLOW: [
    '431 Request Header Fields Too Large',
    'HEADERS_TOO_LARGE',
    'the headers of the request are too large',
  ],
  ERR_HTTP_REQUEST_TIMEOUT: ['408 Request Timeout', 'REQUEST_TIMEOUT', 'the request did not arrive in time'],
}

const invalidRequest = ['400 Bad Request', 'USAGE', 'invalid HTTP/1.1 request'] as const

/** Responds to a client that violates HTTP, after the responses to its earlier requests, and closes the connection. */
export function replyToConnectionError(error: ConnectionError, socket: Socket, turns: Turns): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy()
    return
  }
  // What follows cannot be parsed either.
  socket.pause()
  const [status, code, message] = connectionErrors[error.code] ?? invalidRequest
  turns.end(socket, () => endConnection(socket, status, code, message))
}

/** Responds to CONNECT, which Node.js would answer by closing the connection. */
export function replyToConnect({ method = '' }: IncomingMessage, socket: Socket, turns: Turns): void {
  // Node.js no longer handles what happens on this connection.
  socket.on('error', () => socket.destroy()).on('timeout', () => socket.destroy())
  const message = `${method} is not supported: use GET or HEAD`
  turns.end(socket, () =>
    endConnection(socket, '405 Method Not Allowed', 'METHOD_NOT_ALLOWED', message, 'allow: GET, HEAD\r\n'),
  )
}

/** Sends an error as the last response of a connection. */
function endConnection(socket: Socket, status: string, code: ErrorCode, message: string, headers = ''): void {
  const body = JSON.stringify({ error: { code, message } })
  const head = `content-type: application/json; charset=utf-8\r\ncontent-length: ${Buffer.byteLength(body)}\r\n`
  socket.end(`HTTP/1.1 ${status}\r\n${head}${headers}${defaultHeaderLines}connection: close\r\n\r\n${body}`)
  // The connection closes when the client has closed its side.
  socket.resume()
}
