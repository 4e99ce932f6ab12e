import { connect, type Socket } from 'node:net'

/** The requests of one run. */
export interface Load {
  readonly port: number
  readonly path: string
  /** The expected status of each response. */
  readonly status: number
  readonly connections: number
  readonly requests: number
}

/** The result of one run. */
export interface Answered {
  readonly requestsPerSecond: number
  /** The 99th percentile of the latency. */
  readonly p99Ms: number
}

/** The timeout of a response. */
const timeoutMs = 20_000

/**
 * A load generator in a separate process, for loopback only: keep-alive connections that send one request after another.
 * It parses only as much of a response as it needs to find its end, so that it is never the bottleneck.
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

/** Yields for each complete response. Throws if a response is invalid or has no length. */
async function* readAnswers(socket: Socket, status: number): AsyncGenerator<void> {
  socket.setTimeout(timeoutMs, () => socket.destroy(new Error(`no response within ${timeoutMs} ms`)))
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
        throw new Error(`unexpected response: ${head.slice(0, 200)}`)
      missing = Number(length) - (head.length - end - endOfHead.length)
      head = ''
    }
    if (missing < 0) throw new Error('a response is longer than its content-length')
    if (missing === 0) yield
  }
  throw new Error('the connection was closed')
}

process.on('message', async (wanted: Load) => process.send?.(await load(wanted)))
