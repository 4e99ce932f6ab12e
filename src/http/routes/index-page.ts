import { closed } from '../../config/sections/values.ts'
import { styleSource } from '../../report/html.ts'
import type { Rendered } from '../../report/rendered.ts'
import { version } from '../../version.ts'
import { selectMediaType } from '../accept.ts'
import type { SendBody } from '../encoding.ts'
import { noQuery, type Router } from '../router.ts'

const paths = [
  { path: '/drift', answers: 'the report as JSON; as text with ?format=text' },
  { path: '/drift/gate', answers: 'the report; status 200 if everything is in sync or pending, otherwise 503' },
  { path: '/metrics', answers: 'Prometheus metrics' },
  { path: '/health/live', answers: 'whether the process runs' },
  { path: '/health/ready', answers: 'whether the first cycle has completed and the scheduler runs' },
  { path: '/docs/', answers: 'interactive API documentation' },
  { path: '/openapi.json', answers: 'the API description as OpenAPI 3.1' },
] as const

const indexSchema = {
  ...closed,
  required: ['name', 'version', 'paths'],
  properties: {
    name: { type: 'string', const: 'driftwatch' },
    version: { type: 'string' },
    paths: {
      type: 'array',
      items: {
        ...closed,
        required: ['path', 'answers'],
        properties: { path: { type: 'string' }, answers: { type: 'string' } },
      },
    },
  },
} as const

const pageCsp = `default-src 'none'; style-src ${styleSource}; frame-ancestors 'none'`

const text = { schema: { type: 'string' } } as const

/** Adds `/`: the report as a page for browsers, the list of paths for other clients. */
export function addIndexRoute(router: Router, rendered: () => Rendered, sendBody: SendBody): void {
  const bodies = {
    'application/json': Buffer.from(`${JSON.stringify({ name: 'driftwatch', version, paths })}\n`),
    'text/plain': Buffer.from(renderText()),
  }
  router.get(
    '/',
    {
      schema: {
        summary: 'The report as a page, or the list of paths',
        tags: ['operation'],
        querystring: noQuery,
        response: {
          200: {
            description: 'The report as a page for browsers; the list of paths for other clients.',
            content: { 'application/json': { schema: indexSchema }, 'text/html': text, 'text/plain': text },
          },
        },
      },
    },
    (request, reply) => {
      const type = selectMediaType(request.headers.accept, ['application/json', 'text/html', 'text/plain'])
      reply.type(`${type}; charset=utf-8`)
      if (type === 'text/html') reply.header('content-security-policy', pageCsp)
      sendBody(request, reply, type === 'text/html' ? rendered().html() : bodies[type])
    },
  )
}

function renderText(): string {
  const width = Math.max(...paths.map(({ path }) => path.length))
  const lines = paths.map(({ path, answers }) => `${path.padEnd(width)}  ${answers}`)
  return `driftwatch ${version}\n\n${lines.join('\n')}\n`
}
