import underPressure from '@fastify/under-pressure'
import type { FastifyInstance } from 'fastify'
import { DriftwatchError } from '../errors.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** What is done while the event loop is behind. */
    readonly pressureHandler?: () => undefined
  }
}

/** What a client may take of the server. docs/operations.md lists these. */
export interface Limits {
  /** Of a request's target, in characters. */
  readonly urlLength: number
  /** Of the request line and all headers, in bytes. */
  readonly headerBytes: number
  readonly bodyBytes: number
  /** In which the headers must have arrived, and in which all of the request. */
  readonly headersTimeoutMs: number
  readonly requestTimeoutMs: number
  /** How often late requests are looked for. */
  readonly timeoutCheckMs: number
  /** After which a connection is closed on which nothing moves: a client that does not read its answer. */
  readonly idleTimeoutMs: number
  /** How long a connection is kept for a next request. */
  readonly keepAliveMs: number
  readonly connections: number
  /** By all callers together. */
  readonly refreshesPerMinute: number
  /** How far the event loop may be behind, in the mean of a sample, before requests are sent away. */
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
  refreshesPerMinute: 6,
  loopDelayMs: 1000,
  loopSampleMs: 5000,
}

/** The options of Fastify that go with the limits. */
export function serverOptions(limits: Limits) {
  return {
    bodyLimit: limits.bodyBytes,
    requestTimeout: limits.requestTimeoutMs,
    connectionTimeout: limits.idleTimeoutMs,
    keepAliveTimeout: limits.keepAliveMs,
    http: {
      maxHeaderSize: limits.headerBytes,
      headersTimeout: limits.headersTimeoutMs,
      connectionsCheckingInterval: limits.timeoutCheckMs,
      // Refused by `keepProtocol`: by Node.js without a body.
      requireHostHeader: false,
    },
    routerOptions: { maxParamLength: 128, ignoreTrailingSlash: true },
  }
}

/** For routes that must be answered whatever the load: `config: unpressed`. */
export const unpressed = { pressureHandler: () => undefined } as const

/** Sends away what is too large or comes while the event loop is behind. */
export function applyLimits(app: FastifyInstance, { connections, urlLength, loopDelayMs, loopSampleMs }: Limits): void {
  app.server.maxConnections = connections
  app.addHook('onRequest', ({ url }, _reply, done) => {
    const tooLong = url.length > urlLength
    done(
      tooLong
        ? new DriftwatchError('URL_TOO_LONG', `path and query are longer than ${urlLength} characters`)
        : undefined,
    )
  })
  app.register(underPressure, {
    maxEventLoopDelay: loopDelayMs,
    sampleInterval: loopSampleMs,
    pressureHandler(_request, reply, _type, delayMs) {
      // Not a single measure in a sample: it was blocked, or the process had no CPU, and is free again.
      if (delayMs === Number.POSITIVE_INFINITY) return
      reply.header('retry-after', 2)
      throw new DriftwatchError('OVERLOADED', 'Driftwatch has too much to do at this moment: ask again in two seconds')
    },
  })
}
