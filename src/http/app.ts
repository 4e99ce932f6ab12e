import fastify, { type FastifyBaseLogger, type FastifyInstance, LogController } from 'fastify'
import type { Rendered } from '../drift/rendered.ts'
import { DriftwatchError } from '../errors.ts'
import type { Log } from '../log.ts'
import { addDriftRoutes } from './drift.ts'
import { replyToBrokenConnection, replyWithError } from './error-replies.ts'
import { addGateRoutes } from './gate.ts'
import { setDefaultHeaders, setHeaders } from './headers.ts'
import { addHealthRoutes, type Readiness } from './health.ts'
import { addIndexRoute } from './index-page.ts'
import { addMetricsRoute, type ScrapedMetrics } from './metrics.ts'
import { addOpenapiRoute, describeRoutes } from './openapi.ts'
import type { Router } from './router.ts'

export interface AppDependencies {
  /** What is known now, as bytes: asked for at each request, so it must be at hand. */
  rendered(): Rendered
  readiness(): Readiness
  readonly metrics: ScrapedMetrics
  readonly log: Log
}

/** Everything that Driftwatch answers over HTTP. Never listens: that, and closing it, is the caller's. */
export function buildApp({ rendered, readiness, metrics, log }: AppDependencies): FastifyInstance {
  const app = fastify({
    ...limits,
    loggerInstance: log as FastifyBaseLogger,
    logController: new LogController({ disableRequestLogging: true }),
    ajv: { customOptions: { removeAdditional: false } },
    return503OnClosing: false,
    frameworkErrors(error, request, reply) {
      // Such a request has met no route, so no hook of ours has run.
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
  refuseWrites(app)
  describeRoutes(app)
  app.register((scope, _options, done) => {
    const router: Router = scope.withTypeProvider()
    addIndexRoute(router, rendered)
    addDriftRoutes(router, rendered)
    addGateRoutes(router, rendered)
    addMetricsRoute(router, metrics)
    addHealthRoutes(router, readiness)
    addOpenapiRoute(router)
    done()
  })
  return app
}

/** Requests are short, without a body, and arrive at once. */
const limits = {
  bodyLimit: 1024,
  requestTimeout: 10_000,
  routerOptions: { maxParamLength: 128, ignoreTrailingSlash: true },
}

/** Before anything of a body is read. */
function refuseWrites(app: FastifyInstance): void {
  app.addHook('onRequest', ({ method, url }, _reply, done) => {
    const read = method === 'GET' || method === 'HEAD'
    done(
      read
        ? undefined
        : new DriftwatchError('METHOD_NOT_ALLOWED', `${method} ${url} is not answered: only GET and HEAD are`),
    )
  })
}
