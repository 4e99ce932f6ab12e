import type { ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { FastifyInstance } from 'fastify'

/** So much of the connections there may be is kept for next requests: the rest is for who has something to ask. */
const keptShare = 0.9

/**
 * While the server closes, what has been asked is answered, and read to its end. How long that may take is the caller's.
 * While nearly all `most` connections are taken, each is closed with its next answer.
 */
export function drainConnections(app: FastifyInstance, most: number): void {
  const connections = new Set<Socket>()
  const lastAnswers = new WeakMap<Socket, ServerResponse>()
  let closing = false
  app.server.on('connection', connection => {
    connections.add(connection)
    connection.once('close', () => connections.delete(connection))
  })
  app.addHook('onRequest', ({ raw: { socket } }, { raw: answer }, done) => {
    if (closing || connections.size > most * keptShare) endAfter(answer)
    lastAnswers.set(socket, answer)
    done()
  })
  app.addHook('preClose', async () => {
    closing = true
    const answers = [...connections].flatMap(connection => lastAnswers.get(connection) ?? [])
    answers.forEach(endAfter)
    // Node.js takes a connection for idle, and cuts it, whose answer is written and not sent yet.
    await Promise.all(answers.filter(isUnsent).map(answer => new Promise(resolve => answer.once('close', resolve))))
  })
}

/** A connection that is kept alive would hold the server open for its whole idle time. */
function endAfter(answer: ServerResponse): void {
  if (!answer.headersSent) answer.setHeader('connection', 'close')
}

function isUnsent({ writableEnded, writableFinished, destroyed }: ServerResponse): boolean {
  return writableEnded && !writableFinished && !destroyed
}
