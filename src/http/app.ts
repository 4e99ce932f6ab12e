import fastify, { type FastifyBaseLogger, type FastifyInstance, LogController } from 'fastify'
import type { Clock } from '../clock.ts'
import type { CloudLog } from '../cloud-log.ts'
import { DriftwatchError } from '../errors.ts'
import type { Rendered } from '../report/rendered.ts'
import { type CurrentAuth, requireAuth } from './auth.ts'
import { drainConnections } from './drain-connections.ts'
import { createBodySender } from './encoding.ts'
import { pathOf, replyToConnectionError, replyWithError } from './error-replies.ts'
import { setDefaultHeaders, setHeaders } from './headers.ts'
import { enforceHttp11 } from './http11.ts'
import { applyLimits, buildServerOptions, defaultLimits, type Limits } from './limits.ts'
import { createRouteValidator } from './route-validators.ts'
import type { Router } from './router.ts'
import { addDocsRoutes } from './routes/docs-page.ts'
import { addDriftRoutes } from './routes/drift.ts'
import { addGateRoutes } from './routes/gate.ts'
import { addHealthRoutes, type Readiness } from './routes/health.ts'
import { addIndexRoute } from './routes/index-page.ts'
import { addMetricsRoute, type ScrapedMetrics } from './routes/metrics.ts'
import { addOpenapiRoute, describeRoutes } from './routes/openapi.ts'
import { addRefreshRoute, type Refresh } from './routes/refresh.ts'
import { answerInTurn, createTurns } from './turns.ts'

export interface AppDependencies {
  /** The rendered report. Called for each request, so it must not compute anything. */
  rendered(): Rendered
  readiness(): Readiness
  readonly metrics: ScrapedMetrics
  readonly refresh: Refresh
  /** Called for each request. Null: all clients may read, and none may start an action. */
  readonly auth: CurrentAuth
  readonly limits?: Limits
  readonly clock: Clock
  readonly log: CloudLog
}

/** Builds the HTTP server. The caller makes it listen, and closes it. */
export function buildApp(dependencies: AppDependencies): FastifyInstance {
  const { rendered, readiness, metrics, refresh, auth, limits = defaultLimits, clock, log } = dependencies
  const turns = createTurns(limits.waitingRequests)
  const app = fastify({
    ...buildServerOptions(limits),
    loggerInstance: omitInfo(log) as FastifyBaseLogger,
    // A logger for each request would take more time than the request.
    childLoggerFactory: logger => logger,
    logController: new LogController({ disableRequestLogging: true }),
    // Reports are already rendered and errors are small, so compiled serializers would save nothing.
    schemaController: {
      compilersFactory: {
        buildValidator: createRouteValidator,
        buildSerializer: () => () => body => JSON.stringify(body),
      },
    },
    return503OnClosing: false,
    frameworkErrors(error, request, reply) {
      // No hooks have run for such a request, so the connection is not tracked and must be closed.
      reply.header('connection', 'close')
      setDefaultHeaders(reply)
      replyWithError(error, request, reply, log)
    },
    clientErrorHandler: (error, socket) => replyToConnectionError(error, socket, turns),
  })
  answerInTurn(app, turns)
  app.setErrorHandler((error: Error, request, reply) => replyWithError(error, request, reply, log))
  app.setNotFoundHandler(({ url }) => {
    throw new DriftwatchError('ROUTE_NOT_FOUND', `unknown path ${JSON.stringify(pathOf(url))}. GET / lists all paths.`)
  })
  setHeaders(app)
  drainConnections(app, limits.connections)
  enforceHttp11(app, turns)
  applyLimits(app, limits)
  rejectMethods(app)
  rejectBodies(app)
  requireAuth(app, auth)
  describeRoutes(app)
  app.register((scope, _options, done) => {
    const router: Router = scope.withTypeProvider()
    const sendBody = createBodySender()
    addIndexRoute(router, rendered, sendBody)
    addDriftRoutes(router, rendered, sendBody)
    addGateRoutes(router, rendered, sendBody)
    addMetricsRoute(router, metrics)
    addHealthRoutes(router, readiness)
    addRefreshRoute(router, refresh, limits.refreshesPerMinute, clock)
    addOpenapiRoute(router, auth, sendBody)
    addDocsRoutes(router, sendBody)
    done()
  })
  return app
}

/** The log of Fastify itself. Its info lines repeat those of Driftwatch. */
function omitInfo(log: CloudLog): CloudLog {
  return log.isLevelEnabled('info') ? log.child({}, { level: 'warn' }) : log
}

/** Rejects unsupported methods before a body is read. Only `/refresh` takes POST. */
function rejectMethods(app: FastifyInstance): void {
  app.addHook('onRequest', (request, reply, done) => {
    const { method, url } = request
    const allowed = /^\/refresh\/*(\?|$)/.test(url) ? ['POST'] : ['GET', 'HEAD']
    if (allowed.includes(method)) return done()
    reply.header('allow', allowed.join(', '))
    done(
      new DriftwatchError(
        'METHOD_NOT_ALLOWED',
        `${method} ${pathOf(url)} is not supported: use ${allowed.join(' or ')}`,
      ),
    )
  })
}

/** Reads bodies of any type only up to the limit, and rejects them. */
function rejectBodies(app: FastifyInstance): void {
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => {
    done(body.length > 0 ? new DriftwatchError('USAGE', 'the request must not have a body') : null)
  })
}
