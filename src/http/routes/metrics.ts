import { Readable } from 'node:stream'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { createGzipParts, selectEncoding } from '../encoding.ts'
import { exemptFromPressure } from '../limits.ts'
import { noQuery, type Router } from '../router.ts'

/** Metrics in the Prometheus exposition format. */
export interface ScrapedMetrics {
  readonly contentType: string
  /** The metrics of the report: the same buffer until the report changes. */
  drift(): Buffer
  /** The metrics of the process, which change with each scrape. */
  runtime(): Promise<Buffer>
}

export function addMetricsRoute(router: Router, metrics: ScrapedMetrics): void {
  const gzip = createGzipParts()
  router.get(
    '/metrics',
    {
      config: exemptFromPressure,
      schema: {
        summary: 'Prometheus metrics',
        tags: ['operation'],
        querystring: noQuery,
        response: {
          200: {
            description: 'Metrics in the Prometheus exposition format.',
            content: { 'text/plain': { schema: { type: 'string' } } },
          },
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
    const encoding = selectEncoding(request.headers['accept-encoding'], ['gzip'])
    if (encoding === null) reply.send(Readable.from([drift, runtime]))
    else reply.header('content-encoding', encoding).send(await gzip(drift, runtime))
  }
}
