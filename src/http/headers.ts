import type { FastifyInstance, FastifyReply } from 'fastify'

/** The default headers: no framing, sniffing, scripts or caching. */
const defaults: readonly (readonly [name: string, value: string])[] = Object.entries({
  'cache-control': 'no-store',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
})

/** The default headers as lines, for responses that are written to the socket. */
export const defaultHeaderLines = defaults.map(([name, value]) => `${name}: ${value}\r\n`).join('')

export function setDefaultHeaders(reply: FastifyReply): void {
  for (const [name, value] of defaults) {
    if (!reply.hasHeader(name)) reply.header(name, value)
  }
}

/** Sets the default headers of every response. */
export function setHeaders(app: FastifyInstance): void {
  app.addHook('onSend', (_request, reply, _payload, done) => {
    setDefaultHeaders(reply)
    done()
  })
}
