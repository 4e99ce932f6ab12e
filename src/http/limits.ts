import underPressure from '@fastify/under-pressure'
import type { FastifyInstance } from 'fastify'
import { DriftwatchError } from '../errors.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Called while the event loop is overloaded. */
    readonly pressureHandler?: () => undefined
  }
}

/** The limits for clients. Listed in docs/operations.md. */
export interface Limits {
  /** Characters of path and query. */
  readonly urlLength: number
  /** Bytes of the request line and all headers. */
  readonly headerBytes: number
  readonly bodyBytes: number
  /** Time for the headers to arrive, and for the complete request. */
  readonly headersTimeoutMs: number
  readonly requestTimeoutMs: number
  /** The interval for finding late requests. */
  readonly timeoutCheckMs: number
  /** Time without any traffic after which a connection is closed, for example if a client does not read. */
  readonly idleTimeoutMs: number
  /** How long an idle connection is kept alive. */
  readonly keepAliveMs: number
  readonly connections: number
  /** Requests that wait for earlier ones on their connection, of all connections together. */
  readonly waitingRequests: number
  /** For all clients together. */
  readonly refreshesPerMinute: number
  /** The mean event loop delay of a sample above which requests are rejected. */
  readonly loopDelayMs: number
  readonly loopSampleMs: number
}

export const defaultLimits: Limits = {
  urlLength: 2048,
  headerBytes: 16_384,
  bodyBytes: 1024,
  headersTimeoutMs: 5000,
  requestTimeoutMs: 10_000,
  timeoutCheckMs: 1000,
  idleTimeoutMs: 90_000,
  keepAliveMs: 72_000,
  connections: 1000,
  waitingRequests: 10_000,
  refreshesPerMinute: 6,
  loopDelayMs: 1000,
  loopSampleMs: 5000,
}

/** The options of Fastify for the limits. */
export function buildServerOptions(limits: Limits) {
  return {
    bodyLimit: limits.bodyBytes,
    requestTimeout: limits.requestTimeoutMs,
    connectionTimeout: limits.idleTimeoutMs,
    keepAliveTimeout: limits.keepAliveMs,
    http: {
      maxHeaderSize: limits.headerBytes,
      headersTimeout: limits.headersTimeoutMs,
      connectionsCheckingInterval: limits.timeoutCheckMs,
      // Rejected by `enforceHttp11`, because Node.js would respond without a body.
      requireHostHeader: false,
    },
    routerOptions: { maxParamLength: 128, ignoreTrailingSlash: true },
  }
}

/** The config of routes that must respond under any load. */
export const exemptFromPressure = { pressureHandler: () => undefined } as const

/** Rejects requests that are too large, and all requests while the event loop is overloaded. */
export function applyLimits(app: FastifyInstance, { connections, urlLength, loopDelayMs, loopSampleMs }: Limits): void {
  app.server.maxConnections = connections
  app.addHook('onRequest', ({ url }, _reply, done) => {
    if (url.length <= urlLength) done()
    else done(new DriftwatchError('URL_TOO_LONG', `the path and query are longer than ${urlLength} characters`))
  })
  app.register(underPressure, {
    maxEventLoopDelay: loopDelayMs,
    sampleInterval: loopSampleMs,
    pressureHandler(_request, reply, _type, delayMs) {
      // A sample without measurements: the event loop was blocked, and is free again.
      if (delayMs === Number.POSITIVE_INFINITY) return
      reply.header('retry-after', 2)
      throw new DriftwatchError('OVERLOADED', 'Driftwatch is overloaded; retry after 2 s')
    },
  })
}
