import swagger from '@fastify/swagger'
import swaggerUi from '@fastify/swagger-ui'
import type { FastifyInstance } from 'fastify'
import { version } from '../version.ts'
import type { Auth } from './auth.ts'
import type { SendBody } from './encoding.ts'
import { noQuery, type Router } from './router.ts'

/** The page runs its own scripts and talks to nobody else. */
const pageCsp =
  "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; object-src 'none'; frame-ancestors 'none'"

/** Collects the schemas of the routes that are added after it, and serves `/docs`. */
export function describeRoutes(app: FastifyInstance, auth: Auth | null): void {
  app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'Driftwatch',
        description: 'Whether each Cloud Run release stack is what it is meant to be.',
        version,
      },
      components: { securitySchemes: { bearer: { type: 'http', scheme: 'bearer' } } },
      ...(auth?.for === 'all' && { security: [{ bearer: [] }] }),
      tags: [
        { name: 'drift', description: 'The report and its parts.' },
        { name: 'gate', description: 'The report as a status code.' },
        { name: 'operation', description: 'Metrics, health and these pages.' },
      ],
    },
  })
  app.register(swaggerUi, { routePrefix: '/docs', staticCSP: pageCsp, uiConfig: { validatorUrl: null } })
}

export function addOpenapiRoute(router: Router, sendBody: SendBody): void {
  let body: Buffer | undefined
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
      body ??= Buffer.from(JSON.stringify(router.swagger()))
      sendBody(request, reply.type('application/json; charset=utf-8'), body)
    },
  )
}
