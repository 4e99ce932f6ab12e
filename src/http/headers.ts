import type { FastifyInstance, FastifyReply } from 'fastify'

/** What every answer carries unless it says otherwise: nothing here is to be framed, sniffed, run or kept. */
const defaults = Object.entries({
  'cache-control': 'no-store',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
})

/** The same as lines of an answer that is written by hand. */
export const defaultHeaderLines = defaults.map(([name, value]) => `${name}: ${value}\r\n`).join('')

export function setDefaultHeaders(reply: FastifyReply): void {
  for (const [name, value] of defaults) {
    if (!reply.hasHeader(name)) reply.header(name, value)
  }
}

/** Sets the headers of every answer. */
export function setHeaders(app: FastifyInstance): void {
  app.addHook('onSend', (_request, reply, _payload, done) => {
    setDefaultHeaders(reply)
    done()
  })
}
