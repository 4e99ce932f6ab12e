import { styleSource } from '../../report/html.ts'
import type { Rendered } from '../../report/rendered.ts'
import { version } from '../../version.ts'
import { preferredType } from '../accept.ts'
import type { SendBody } from '../encoding.ts'
import { noQuery, type Router } from '../router.ts'

const paths = [
  { path: '/drift', answers: 'the report; ?format=text for a table' },
  { path: '/drift/gate', answers: 'the same; 200 when in sync or pending, else 503' },
  { path: '/metrics', answers: 'metrics for Prometheus' },
  { path: '/health/live', answers: 'whether the process runs' },
  { path: '/health/ready', answers: 'whether it has looked and goes on looking' },
  { path: '/docs/', answers: 'every path in detail, to try' },
  { path: '/openapi.json', answers: 'the same for programs' },
] as const

const indexSchema = {
  type: 'object',
  additionalProperties: false,
  required: ['name', 'version', 'paths'],
  properties: {
    name: { type: 'string', const: 'driftwatch' },
    version: { type: 'string' },
    paths: {
      type: 'array',
      items: {
        type: 'object',
        additionalProperties: false,
        required: ['path', 'answers'],
        properties: { path: { type: 'string' }, answers: { type: 'string' } },
      },
    },
  },
} as const

const pageCsp = `default-src 'none'; style-src ${styleSource}; frame-ancestors 'none'`

const text = { schema: { type: 'string' } } as const

/** For a person what is known now, for a program what can be asked. */
export function addIndexRoute(router: Router, rendered: () => Rendered, sendBody: SendBody): void {
  const bodies = {
    'application/json': Buffer.from(`${JSON.stringify({ name: 'driftwatch', version, paths })}\n`),
    'text/plain': Buffer.from(renderText()),
  }
  router.get(
    '/',
    {
      schema: {
        summary: 'The report for a browser, and what else there is',
        tags: ['operation'],
        querystring: noQuery,
        response: {
          200: {
            description: 'The paths that Driftwatch answers; for a browser the report as a page.',
            content: { 'application/json': { schema: indexSchema }, 'text/html': text, 'text/plain': text },
          },
        },
      },
    },
    (request, reply) => {
      const type = preferredType(request.headers.accept, ['application/json', 'text/html', 'text/plain'])
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
