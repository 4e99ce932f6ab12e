import swagger from '@fastify/swagger'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { version } from '../../version.ts'
import type { CurrentAuth } from '../auth.ts'
import type { SendBody } from '../encoding.ts'
import { noQuery, type Router } from '../router.ts'

/** Collects the schemas of all routes added later. */
export function describeRoutes(app: FastifyInstance): void {
  app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'Driftwatch',
        description: 'Detects drift between the configuration and the release stacks on Cloud Run.',
        version,
      },
      components: { securitySchemes: { bearer: { type: 'http', scheme: 'bearer' } } },
      tags: [
        { name: 'drift', description: 'The report and parts of it.' },
        { name: 'gate', description: 'The report as an HTTP status.' },
        { name: 'operation', description: 'Metrics, health and documentation.' },
      ],
    },
  })
}

export function addOpenapiRoute(router: Router, auth: CurrentAuth, sendBody: SendBody): void {
  const bodies = new Map<boolean, Buffer>()

  function sendDescription(request: FastifyRequest, reply: FastifyReply): void {
    const closed = isAlwaysRequired(auth)
    const body = bodies.get(closed) ?? Buffer.from(JSON.stringify(withSecurity(router.swagger(), closed)))
    bodies.set(closed, body)
    sendBody(request, reply.type('application/json; charset=utf-8'), body)
  }

  const schema = {
    summary: 'The API description',
    tags: ['operation'],
    querystring: noQuery,
    response: {
      200: { description: 'The API description as OpenAPI 3.1.', content: { 'application/json': { schema: {} } } },
    },
  } as const
  router.get('/openapi.json', { schema }, sendDescription)
  router.get('/docs/json', { schema: { ...schema, hide: true } }, sendDescription)
}

function isAlwaysRequired(auth: CurrentAuth): boolean {
  return auth()?.for === 'all'
}

/** Sets the default; routes may override it. */
function withSecurity(description: object, closed: boolean): object {
  return closed ? { ...description, security: [{ bearer: [] }] } : description
}
