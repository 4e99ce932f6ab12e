import fastify, { type FastifyBaseLogger, type FastifyInstance, LogController } from 'fastify'
import type { Clock } from '../clock.ts'
import type { CloudLog } from '../cloud-log.ts'
import { DriftwatchError } from '../errors.ts'
import type { Rendered } from '../report/rendered.ts'
import { type CurrentAuth, requireAuth } from './auth.ts'
import { drainConnections } from './drain-connections.ts'
import { createBodySender } from './encoding.ts'
import { replyToBrokenConnection, replyWithError } from './error-replies.ts'
import { setDefaultHeaders, setHeaders } from './headers.ts'
import { enforceHttp11 } from './http11.ts'
import { applyLimits, defaultLimits, type Limits, serverOptions } from './limits.ts'
import { createRouteValidator } from './route-validators.ts'
import type { Router } from './router.ts'
import { addDriftRoutes } from './routes/drift.ts'
import { addGateRoutes } from './routes/gate.ts'
import { addHealthRoutes, type Readiness } from './routes/health.ts'
import { addIndexRoute } from './routes/index-page.ts'
import { addMetricsRoute, type ScrapedMetrics } from './routes/metrics.ts'
import { addOpenapiRoute, describeRoutes } from './routes/openapi.ts'
import { addRefreshRoute, type Refresh } from './routes/refresh.ts'

export interface AppDependencies {
  /** What is known now, as bytes: asked for at each request, so it must be at hand. */
  rendered(): Rendered
  readiness(): Readiness
  readonly metrics: ScrapedMetrics
  readonly refresh: Refresh
  /** Null: whoever reaches the port may read, and nobody may act. Asked for at each request. */
  readonly auth: CurrentAuth
  readonly limits?: Limits
  readonly clock: Clock
  readonly log: CloudLog
}

/** Everything that Driftwatch answers over HTTP. Never listens: that, and closing it, is the caller's. */
export function buildApp(dependencies: AppDependencies): FastifyInstance {
  const { rendered, readiness, metrics, refresh, auth, limits = defaultLimits, clock, log } = dependencies
  const app = fastify({
    ...serverOptions(limits),
    loggerInstance: withoutInfo(log) as FastifyBaseLogger,
    // A logger for each request would cost more than the request.
    childLoggerFactory: logger => logger,
    logController: new LogController({ disableRequestLogging: true }),
    // What is answered is rendered already, and errors are small: a serializer that is compiled for each route serves nobody.
    schemaController: {
      compilersFactory: {
        buildValidator: createRouteValidator,
        buildSerializer: () => () => body => JSON.stringify(body),
      },
    },
    return503OnClosing: false,
    frameworkErrors(error, request, reply) {
      // Such a request has met no route, so no hook of ours has run: nor would one know when to give its connection back.
      reply.header('connection', 'close')
      setDefaultHeaders(reply)
      replyWithError(error, request, reply, log)
    },
    clientErrorHandler: replyToBrokenConnection,
  })
  app.setErrorHandler((error: Error, request, reply) => replyWithError(error, request, reply, log))
  app.setNotFoundHandler(({ url }) => {
    throw new DriftwatchError('ROUTE_NOT_FOUND', `there is no ${JSON.stringify(url)}: GET / lists the paths there are`)
  })
  setHeaders(app)
  drainConnections(app, limits.connections)
  enforceHttp11(app)
  applyLimits(app, limits)
  refuseMethods(app)
  refuseBodies(app)
  requireAuth(app, auth)
  describeRoutes(app, auth)
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
    done()
  })
  return app
}

/** For Fastify itself: what it tells in lines of info is told already. */
function withoutInfo(log: CloudLog): CloudLog {
  return log.isLevelEnabled('info') ? log.child({}, { level: 'warn' }) : log
}

/** Before anything of a body is read. Only what acts is posted. */
function refuseMethods(app: FastifyInstance): void {
  app.addHook('onRequest', (request, reply, done) => {
    const { method, url } = request
    const allowed = /^\/refresh\/*(\?|$)/.test(url) ? ['POST'] : ['GET', 'HEAD']
    if (allowed.includes(method)) return done()
    reply.header('allow', allowed.join(', '))
    done(new DriftwatchError('METHOD_NOT_ALLOWED', `${method} ${url} is not answered: only ${allowed.join(' and ')}`))
  })
}

/** Whatever its type, a body is read no further than the limit. */
function refuseBodies(app: FastifyInstance): void {
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => {
    done(body.length > 0 ? new DriftwatchError('USAGE', 'no path takes a body: leave it out') : null)
  })
}
