import type { ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { FastifyInstance } from 'fastify'

/** The share of connections that may be kept alive. The rest is reserved for new clients. */
const keepAliveShare = 0.9

/**
 * Completes all responses while the server closes; the caller limits the time for that. While nearly all connections are
 * in use, closes each one after its next response.
 */
export function drainConnections(app: FastifyInstance, maxConnections: number): void {
  const connections = new Set<Socket>()
  const lastResponses = new WeakMap<Socket, ServerResponse>()
  let closing = false
  app.server.on('connection', connection => {
    connections.add(connection)
    connection.once('close', () => connections.delete(connection))
  })
  app.addHook('onRequest', ({ raw: { socket } }, { raw: response }, done) => {
    if (closing || connections.size > maxConnections * keepAliveShare) closeAfter(response)
    lastResponses.set(socket, response)
    done()
  })
  app.addHook('preClose', async () => {
    closing = true
    const responses = [...connections].flatMap(connection => lastResponses.get(connection) ?? [])
    responses.forEach(closeAfter)
    // Node.js treats a connection as idle, and closes it, when its response is written but not yet sent.
    await Promise.all(
      responses.filter(isUnsent).map(response => new Promise(resolve => response.once('close', resolve))),
    )
  })
}

/** A kept-alive connection would delay the shutdown for its whole idle time. */
function closeAfter(response: ServerResponse): void {
  if (!response.headersSent) response.setHeader('connection', 'close')
}

function isUnsent({ writableEnded, writableFinished, destroyed }: ServerResponse): boolean {
  return writableEnded && !writableFinished && !destroyed
}
