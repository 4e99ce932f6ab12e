import { preferredEncoding } from './encoding.ts'
import { createGzipParts } from './gzip-parts.ts'
import { noQuery, type Router } from './router.ts'

/** Whatever has metrics in the exposition format. */
export interface ScrapedMetrics {
  readonly contentType: string
  /** The same bytes for as long as nothing changes. */
  drift(): Buffer
  /** What may be another at each scrape. */
  runtime(): Promise<Buffer>
}

export function addMetricsRoute(router: Router, metrics: ScrapedMetrics): void {
  const gzip = createGzipParts()
  router.get(
    '/metrics',
    {
      schema: {
        summary: 'The metrics, for Prometheus',
        tags: ['operation'],
        querystring: noQuery,
        response: {
          200: { description: 'The exposition format.', content: { 'text/plain': { schema: { type: 'string' } } } },
        },
      },
    },
    async (request, reply) => {
      const [drift, runtime] = [metrics.drift(), await metrics.runtime()]
      reply.type(metrics.contentType).header('vary', 'accept-encoding')
      const encoding = preferredEncoding(request.headers['accept-encoding'], ['gzip'])
      if (encoding === null) return reply.send(Buffer.concat([drift, runtime]))
      return reply.header('content-encoding', encoding).send(await gzip(drift, runtime))
    },
  )
}
