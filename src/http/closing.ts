import type { ServerResponse } from 'node:http'
import type { FastifyInstance } from 'fastify'

/** While the server closes, what has been asked is answered, and read to its end. How long that may take is the caller's. */
export function closeGently(app: FastifyInstance): void {
  const answers = new Set<ServerResponse>()
  let closing = false
  app.addHook('onRequest', (_request, { raw }, done) => {
    answers.add(raw)
    raw.once('close', () => answers.delete(raw))
    done()
  })
  app.addHook('preClose', async () => {
    closing = true
    // Node.js takes a connection for idle, and cuts it, whose answer is written and not sent yet.
    await Promise.all(
      [...answers].filter(isUnsent).map(answer => new Promise(resolve => answer.once('close', resolve))),
    )
  })
  app.addHook('onSend', (_request, reply, _payload, done) => {
    // A connection that is kept alive would hold the server open for its whole idle time.
    if (closing) reply.header('connection', 'close')
    done()
  })
}

function isUnsent({ writableEnded, writableFinished, destroyed }: ServerResponse): boolean {
  return writableEnded && !writableFinished && !destroyed
}
