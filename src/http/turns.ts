import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { FastifyInstance } from 'fastify'

/** Requests that wait on one connection before it is read no further. */
const maxUnread = 16

/** Handles what arrives on each connection one after the other. */
export interface Turns {
  /** Handles a request when the responses to all earlier ones of its connection have been sent. */
  handle(request: IncomingMessage, response: ServerResponse, handler: RequestListener): void
  /** Calls `work` then, or at once if it is the request in progress that cannot be completed. */
  end(socket: Socket, work: () => void): void
}

type Work = (done: () => void) => void

interface Line {
  readonly waiting: Work[]
  isBusy: boolean
  request: IncomingMessage | null
}

/**
 * Limits the work that waits because of pipelining: `maxWaiting` for all connections together. Beyond it, the connection
 * is closed.
 */
export function createTurns(maxWaiting: number): Turns {
  const lines = new WeakMap<Socket, Line>()
  let total = 0

  function openLine(socket: Socket): Line {
    const line: Line = { waiting: [], isBusy: false, request: null }
    lines.set(socket, line)
    socket.once('close', () => {
      total -= line.waiting.length
      line.waiting.length = 0
    })
    return line
  }

  function start(socket: Socket, line: Line, work: Work): void {
    line.isBusy = true
    work(() => {
      line.isBusy = false
      const next = socket.destroyed ? undefined : line.waiting.shift()
      if (next === undefined) return
      total--
      if (line.waiting.length < maxUnread) socket.resume()
      start(socket, line, next)
    })
  }

  function take(socket: Socket, work: Work): void {
    const line = lines.get(socket) ?? openLine(socket)
    if (!line.isBusy) {
      start(socket, line, work)
      return
    }
    if (total >= maxWaiting) socket.destroy()
    if (socket.destroyed) return
    line.waiting.push(work)
    total++
    if (line.waiting.length >= maxUnread) socket.pause()
  }

  return {
    end(socket, work) {
      const { isBusy = false, request = null } = lines.get(socket) ?? {}
      if (isBusy && request?.complete === false) work()
      else take(socket, work)
    },
    handle(request, response, handler) {
      const { socket } = request
      take(socket, done => {
        const line = lines.get(socket)
        if (line) line.request = request
        response.once('close', done)
        handler(request, response)
      })
    },
  }
}

/**
 * Starts a request when the response to the one before it has been sent, so that a connection holds one response at a
 * time, however many requests it pipelines and however slowly it is read.
 */
export function answerInTurn(app: FastifyInstance, turns: Turns): void {
  const handle = app.routing
  const handleInTurn: RequestListener = (request, response) => turns.handle(request, response, handle)
  app.server.off('request', handle).on('request', handleInTurn)
  // Without a listener Node.js responds with an empty 417 to anything but `100-continue`.
  app.server.on('checkExpectation', handleInTurn)
}
