import type { ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { FastifyInstance } from 'fastify'

/** The share of connections that may be kept alive. The rest is reserved for new clients. */
const keepAliveShare = 0.9

/**
 * Completes all responses while the server closes. The caller limits the time for that. Also closes each connection after
 * its next response while nearly all `most` connections are in use.
 */
export function drainConnections(app: FastifyInstance, most: number): void {
  const connections = new Set<Socket>()
  const lastResponses = new WeakMap<Socket, ServerResponse>()
  let closing = false
  app.server.on('connection', connection => {
    connections.add(connection)
    connection.once('close', () => connections.delete(connection))
  })
  app.addHook('onRequest', ({ raw: { socket } }, { raw: answer }, done) => {
    if (closing || connections.size > most * keepAliveShare) closeAfter(answer)
    lastResponses.set(socket, answer)
    done()
  })
  app.addHook('preClose', async () => {
    closing = true
    const answers = [...connections].flatMap(connection => lastResponses.get(connection) ?? [])
    answers.forEach(closeAfter)
    // Node.js treats a connection as idle, and closes it, when its response is written but not yet sent.
    await Promise.all(answers.filter(isUnsent).map(answer => new Promise(resolve => answer.once('close', resolve))))
  })
}

/** A kept-alive connection would delay the shutdown for its whole idle time. */
function closeAfter(answer: ServerResponse): void {
  if (!answer.headersSent) answer.setHeader('connection', 'close')
}

function isUnsent({ writableEnded, writableFinished, destroyed }: ServerResponse): boolean {
  return writableEnded && !writableFinished && !destroyed
}
