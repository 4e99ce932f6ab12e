import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import { Readable } from 'node:stream'
import { TLSSocket } from 'node:tls'
import type { Certificate } from './certificate.ts'

/** A fault of all connections, including the open ones. */
export type TcpFault =
  /** Nothing listens, and all connections are closed. */
  | 'refused'
  /** Half of a response, then a reset. */
  | 'reset'
  /** Half of a response, then the end. */
  | 'cut'
  /** Not a single byte of a response. */
  | 'silence'
  /** Only the first byte of a response. */
  | 'first-byte'
  /** One byte of a response at a time, slowly. */
  | 'drip'
  /** A response of invalid bytes. */
  | 'garbage'
  /** An untrusted certificate. */
  | 'untrusted'
  /** These chunks instead of each response; each is created only after the previous one was read. */
  | { readonly answer: () => Iterable<Buffer> }

/** A proxy on 127.0.0.1 in front of a local port. A connection never recovers from a fault. */
export interface TcpProxy {
  readonly port: number
  /** The number of open client connections. */
  open(): number
  /** The number of client connections so far. */
  total(): number
  /** Starts a fault, or ends it for new connections. */
  set(fault: TcpFault | null): Promise<void>
  /** Sends new connections to another port. Open connections keep theirs. */
  lead(port: number): void
  /** Closes every connection. */
  cut(): void
  close(): Promise<void>
}

/** The proxy terminates TLS as PostgreSQL starts it, and connects to the server without TLS. */
export interface ProxyTls {
  readonly trusted: Certificate
  readonly untrusted: Certificate
}

const dripMs = 100

export async function startTcpProxy(firstPort: number, tls: ProxyTls | null = null): Promise<TcpProxy> {
  const sockets = new Set<Socket>()
  let upstreamPort = firstPort
  let fault: TcpFault | null = null
  let total = 0

  const accept = async (raw: Socket) => {
    total += 1
    sockets.add(raw)
    raw.on('close', () => sockets.delete(raw)).on('error', () => {})
    const client = tls === null ? raw : await encrypt(raw, fault === 'untrusted' ? tls.untrusted : tls.trusted)
    if (client === null) return
    const server = connect(upstreamPort, '127.0.0.1')
    server.on('error', () => client.destroy()).on('end', () => client.end())
    client.on('close', () => server.destroy())
    client.on('data', chunk => server.write(chunk))
    let poison: TcpFault | null = null
    server.on('data', chunk => {
      const first = poison === null
      poison ??= fault
      if (poison === null) client.write(chunk)
      else befall({ client, raw }, poison, chunk, first)
    })
  }

  let listener: Server | null = await listen(accept, 0)
  const { port } = listener.address() as AddressInfo
  const cut = () => {
    for (const socket of sockets) socket.resetAndDestroy()
  }
  const closeListener = async () => {
    const closing = listener
    listener = null
    if (closing === null) return
    const closed = once(closing, 'close')
    closing.close()
    cut()
    await closed
  }
  return {
    port,
    open: () => sockets.size,
    total: () => total,
    async set(next) {
      if (next === 'refused') await closeListener()
      else listener ??= await listen(accept, port)
      fault = next
    },
    lead(to) {
      upstreamPort = to
    },
    cut,
    close: closeListener,
  }
}

async function listen(accept: (client: Socket) => Promise<void>, port: number): Promise<Server> {
  const server = createServer(socket => void accept(socket)).listen(port, '127.0.0.1')
  await once(server, 'listening')
  return server
}

/** Responds to PostgreSQL's TLS request; null if no TLS connection results. */
async function encrypt(raw: Socket, { key, cert }: Certificate): Promise<TLSSocket | null> {
  await once(raw, 'data').catch(() => null)
  raw.write('S')
  const client = new TLSSocket(raw, { isServer: true, key, cert })
  client.on('error', () => raw.destroy())
  return once(client, 'secure').then(
    () => client,
    () => null,
  )
}

/** `first`: this is the start of the response. */
function befall(
  { client, raw }: { readonly client: Socket; readonly raw: Socket },
  fault: TcpFault,
  chunk: Buffer,
  first: boolean,
): void {
  if (typeof fault === 'object') {
    Readable.from(fault.answer()).pipe(client, { end: false })
    return
  }
  const half = chunk.subarray(0, Math.ceil(chunk.length / 2))
  if (fault === 'reset') client.write(half, () => raw.resetAndDestroy())
  else if (fault === 'cut') client.end(half)
  else if (fault === 'first-byte' && first) client.write(chunk.subarray(0, 1))
  else if (fault === 'garbage' && first) client.write(Buffer.alloc(64, 0x5a))
  else if (fault === 'drip' && first) drip(client, chunk)
}

function drip(client: Socket, bytes: Buffer): void {
  let at = 0
  const timer = setInterval(() => {
    if (at < bytes.length && client.writable) client.write(bytes.subarray(at, ++at))
    else clearInterval(timer)
  }, dripMs)
  client.on('close', () => clearInterval(timer))
}
