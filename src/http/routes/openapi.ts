import swagger from '@fastify/swagger'
import swaggerUi from '@fastify/swagger-ui'
import type { FastifyInstance } from 'fastify'
import { version } from '../../version.ts'
import type { CurrentAuth } from '../auth.ts'
import type { SendBody } from '../encoding.ts'
import { noQuery, type Router } from '../router.ts'

/** The page runs its own scripts and talks to nobody else. */
const pageCsp =
  "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; object-src 'none'; frame-ancestors 'none'"

/** Collects the schemas of the routes that are added after it, and serves `/docs`. */
export function describeRoutes(app: FastifyInstance, auth: CurrentAuth): void {
  app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'Driftwatch',
        description: 'Whether each Cloud Run release stack is what it is meant to be.',
        version,
      },
      components: { securitySchemes: { bearer: { type: 'http', scheme: 'bearer' } } },
      tags: [
        { name: 'drift', description: 'The report and its parts.' },
        { name: 'gate', description: 'The report as a status code.' },
        { name: 'operation', description: 'Metrics, health and these pages.' },
      ],
    },
  })
  app.register(swaggerUi, {
    routePrefix: '/docs',
    staticCSP: pageCsp,
    uiConfig: { validatorUrl: null },
    transformSpecification: description => withSecurity(description, asksAlways(auth)),
    transformSpecificationClone: false,
  })
}

export function addOpenapiRoute(router: Router, auth: CurrentAuth, sendBody: SendBody): void {
  const bodies = new Map<boolean, Buffer>()
  router.get(
    '/openapi.json',
    {
      schema: {
        summary: 'This description',
        tags: ['operation'],
        querystring: noQuery,
        response: { 200: { description: 'OpenAPI 3.1.', content: { 'application/json': { schema: {} } } } },
      },
    },
    (request, reply) => {
      const closed = asksAlways(auth)
      const body = bodies.get(closed) ?? Buffer.from(JSON.stringify(withSecurity(router.swagger(), closed)))
      bodies.set(closed, body)
      sendBody(request, reply.type('application/json; charset=utf-8'), body)
    },
  )
}

function asksAlways(auth: CurrentAuth): boolean {
  return auth()?.for === 'all'
}

/** Routes that differ say so themselves. */
function withSecurity(description: object, closed: boolean): object {
  return closed ? { ...description, security: [{ bearer: [] }] } : description
}
