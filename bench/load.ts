import { connect, type Socket } from 'node:net'

/** What is asked, and how much of it. */
export interface Load {
  readonly port: number
  readonly path: string
  /** What every answer is to have. */
  readonly status: number
  readonly connections: number
  readonly requests: number
}

/** How it was answered. */
export interface Answered {
  readonly requestsPerSecond: number
  /** The time within which 99 of 100 answers were there. */
  readonly p99Ms: number
}

/** No answer takes so long. */
const patienceMs = 20_000

/**
 * A load generator in a process of its own, on loopback alone: so many connections that are kept, on each one request
 * after another, until all are answered. It reads just enough of an answer to know where that ends, so that it is never
 * what is slow.
 */
async function load({ port, path, status, connections, requests }: Load): Promise<Answered> {
  const request = Buffer.from(`GET ${path} HTTP/1.1\r\nhost: 127.0.0.1\r\naccept: application/json\r\n\r\n`)
  const latencies: number[] = []
  let left = requests
  const begin = performance.now()
  const run = async () => {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true })
    const answers = readAnswers(socket, status)
    while (left > 0) {
      left -= 1
      const sent = performance.now()
      socket.write(request)
      await answers.next()
      latencies.push(performance.now() - sent)
    }
    socket.destroy()
  }
  await Promise.all(Array.from({ length: connections }, run))
  const seconds = (performance.now() - begin) / 1000
  latencies.sort((one, other) => one - other)
  return { requestsPerSecond: requests / seconds, p99Ms: latencies[Math.floor(latencies.length * 0.99)] ?? 0 }
}

const endOfHead = '\r\n\r\n'

/** Yields when an answer has arrived whole. Throws where it is no answer, or without a length. */
async function* readAnswers(socket: Socket, status: number): AsyncGenerator<void> {
  socket.setTimeout(patienceMs, () => socket.destroy(new Error(`no answer within ${patienceMs} ms`)))
  let head = ''
  let missing = 0
  for await (const chunk of socket as AsyncIterable<Buffer>) {
    if (missing > 0) missing -= chunk.length
    else {
      head += chunk.toString('latin1')
      const end = head.indexOf(endOfHead)
      if (end === -1) continue
      const length = /\r\ncontent-length: (\d+)/i.exec(head.slice(0, end))?.[1]
      if (length === undefined || !head.startsWith(`HTTP/1.1 ${status} `))
        throw new Error(`not what was asked for: ${head.slice(0, 200)}`)
      missing = Number(length) - (head.length - end - endOfHead.length)
      head = ''
    }
    if (missing < 0) throw new Error('an answer is longer than it says')
    if (missing === 0) yield
  }
  throw new Error('the connection was closed')
}

process.on('message', async (wanted: Load) => process.send?.(await load(wanted)))
