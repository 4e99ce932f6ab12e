import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import { Readable } from 'node:stream'
import { TLSSocket } from 'node:tls'
import type { Certificate } from './certificate.ts'

/** What befalls every connection from now on, those that are open too. */
export type TcpFault =
  /** Nobody listens, and nobody is connected any more. */
  | 'refused'
  /** Half of an answer, and then a reset. */
  | 'reset'
  /** Half of an answer, and then the end. */
  | 'cut'
  /** Not a byte of an answer comes, ever. */
  | 'silence'
  /** The first byte of an answer comes, and no other. */
  | 'first-byte'
  /** A byte of an answer every now and then. */
  | 'drip'
  /** The answer is rubbish. */
  | 'garbage'
  /** The certificate is one that nobody trusts. */
  | 'untrusted'
  /** Each answer is this in place of the real one: pieces, of which none is made before the one before it is taken. */
  | { readonly answer: () => Iterable<Buffer> }

/** A proxy on 127.0.0.1 in front of a port there. What a fault has befallen stays so: a connection never recovers. */
export interface TcpProxy {
  readonly port: number
  /** How many connections are open, on this side. */
  open(): number
  /** How many there ever were. */
  total(): number
  /** Puts a fault on, or takes it off for connections to come. */
  set(fault: TcpFault | null): Promise<void>
  /** Leads connections to come to another port. Those that are open stay where they are. */
  lead(port: number): void
  /** Cuts every connection. */
  cut(): void
  close(): Promise<void>
}

/** The proxy ends TLS, as PostgreSQL begins it, and speaks to the server without. */
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

/** Answers PostgreSQL's request for TLS; null where none comes of it. */
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

/** `first`: nothing of the answer has been seen yet. */
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
