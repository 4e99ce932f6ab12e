import { Readable } from 'node:stream'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { createGzipParts, preferredEncoding } from '../encoding.ts'
import { unpressed } from '../limits.ts'
import { noQuery, type Router } from '../router.ts'

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
      config: unpressed,
      schema: {
        summary: 'The metrics, for Prometheus',
        tags: ['operation'],
        querystring: noQuery,
        response: {
          200: { description: 'The exposition format.', content: { 'text/plain': { schema: { type: 'string' } } } },
        },
      },
    },
    (request, reply) => {
      sendMetrics(request, reply).catch(error => reply.send(error))
    },
  )

  async function sendMetrics(request: FastifyRequest, reply: FastifyReply): Promise<void> {
    const [drift, runtime] = [metrics.drift(), await metrics.runtime()]
    reply.type(metrics.contentType).header('vary', 'accept-encoding')
    const encoding = preferredEncoding(request.headers['accept-encoding'], ['gzip'])
    if (encoding === null) reply.send(Readable.from([drift, runtime]))
    else reply.header('content-encoding', encoding).send(await gzip(drift, runtime))
  }
}
