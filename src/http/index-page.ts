import { version } from '../version.ts'
import { preferredType } from './accept.ts'
import { noQuery, type Router } from './router.ts'

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

const text = { schema: { type: 'string' } } as const

export function addIndexRoute(router: Router): void {
  const bodies = {
    'application/json': `${JSON.stringify({ name: 'driftwatch', version, paths })}\n`,
    'text/html': renderHtml(),
    'text/plain': renderText(),
  }
  router.get(
    '/',
    {
      schema: {
        summary: 'What there is',
        tags: ['operation'],
        querystring: noQuery,
        response: {
          200: {
            description: 'The paths that Driftwatch answers.',
            content: { 'application/json': { schema: indexSchema }, 'text/html': text, 'text/plain': text },
          },
        },
      },
    },
    (request, reply) => {
      const type = preferredType(request.headers.accept, ['application/json', 'text/html', 'text/plain'])
      reply.type(`${type}; charset=utf-8`).header('vary', 'accept').send(bodies[type])
    },
  )
}

function renderText(): string {
  const width = Math.max(...paths.map(({ path }) => path.length))
  const lines = paths.map(({ path, answers }) => `${path.padEnd(width)}  ${answers}`)
  return `driftwatch ${version}\n\n${lines.join('\n')}\n`
}

function renderHtml(): string {
  const items = paths.map(({ path, answers }) => `<li><a href="${path}">${path}</a>: ${answers}</li>`)
  const title = `<title>Driftwatch</title><h1>Driftwatch ${version}</h1>`
  return `<!doctype html><html lang="en"><meta charset="utf-8">${title}<ul>${items.join('')}</ul></html>\n`
}
