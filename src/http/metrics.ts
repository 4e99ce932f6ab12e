import { noQuery, type Router } from './router.ts'

/** Whatever has metrics in the exposition format. */
export interface ScrapedMetrics {
  readonly contentType: string
  text(): Promise<string>
}

export function addMetricsRoute(router: Router, metrics: ScrapedMetrics): void {
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
    async (_request, reply) => reply.type(metrics.contentType).send(await metrics.text()),
  )
}
