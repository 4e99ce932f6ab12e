import { once } from 'node:events'
import {
  type ClientHttp2Session,
  connect,
  constants,
  createServer,
  type IncomingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2'
import type { AddressInfo } from 'node:net'
import { pipeline, Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'

/** A fault of a response. */
export type GrpcFault =
  /** No response. */
  | 'silence'
  /** The response starts and never continues. */
  | 'first-byte'
  /** One byte at a time, slowly. */
  | 'drip'
  /** Half of the response, then the stream is reset. */
  | 'reset'
  /** Half of the response, then the stream ends. */
  | 'cut'
  /** Bytes that are not a valid message. */
  | 'garbage'
  /** A message of 50 MiB. */
  | 'huge'
  /** The stream is refused as if there were too many. */
  | 'refused'

/** A proxy on 127.0.0.1 in front of a gRPC server without TLS. The fault of a response depends on the request. */
export interface GrpcProxy {
  readonly port: number
  /** Sets the fault of requests that contain this text or use this method; of all requests if null. */
  set(fault: GrpcFault | null, about?: string | null): void
  /** Makes the resources of these full names unparseable in every response. */
  spoil(names: readonly string[]): void
  close(): Promise<void>
}

interface Answer {
  readonly headers: IncomingHttpHeaders
  readonly body: Buffer
  /** Null if there are only headers. */
  readonly trailers: IncomingHttpHeaders | null
}

const dripMs = 100

/** 50 MiB in chunks, each created only when it is read. */
function* hugeMessage(): Generator<Buffer> {
  const piece = Buffer.alloc(64 * 1024)
  yield headOf(800 * piece.length)
  for (let sent = 0; sent < 800; sent++) yield piece
}

export async function startGrpcProxy(upstream: () => string): Promise<GrpcProxy> {
  const sessions = new Set<ServerHttp2Session>()
  let spoiled: readonly string[] = []
  let current: { readonly fault: GrpcFault; readonly about: string | null } | null = null
  let session: ClientHttp2Session | null = null
  const upstreamSession = () => {
    if (session === null || session.closed || session.destroyed) {
      session = connect(`http://${upstream()}`).on('error', () => {})
    }
    return session
  }
  const server = createServer()
  server.on('session', opened => {
    sessions.add(opened)
    opened.on('close', () => sessions.delete(opened)).on('error', () => {})
  })
  server.on('stream', async (stream, headers) => {
    stream.on('error', () => {})
    const request = await buffer(stream).catch(() => null)
    if (request === null) return
    const asked = `${headers[':path']} ${request.toString('latin1')}`
    const fault = current && asked.includes(current.about ?? '') ? current.fault : null
    if (fault === 'silence') return
    if (fault === 'refused') return stream.close(constants.NGHTTP2_REFUSED_STREAM)
    const answer = await ask(upstreamSession(), headers, request).catch(() => null)
    if (stream.destroyed) return
    for (const name of spoiled) if (answer) spoilIn(answer.body, name)
    if (answer === null) stream.close(constants.NGHTTP2_INTERNAL_ERROR)
    else if (fault === null || answer.trailers === null) pass(stream, answer)
    else befall(stream, answer, fault)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    set(fault, about = null) {
      current = fault && { fault, about }
    },
    spoil(names) {
      spoiled = names
    },
    async close() {
      const closed = once(server, 'close')
      server.close()
      for (const open of sessions) open.destroy()
      session?.destroy()
      await closed
    },
  }
}

function ask(session: ClientHttp2Session, headers: IncomingHttpHeaders, body: Buffer): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const sent = Object.fromEntries(Object.entries(headers).filter(([name]) => name !== 'host'))
    const stream = session.request(sent)
    let answered: IncomingHttpHeaders = {}
    let trailers: IncomingHttpHeaders | null = null
    stream.on('response', got => {
      answered = got
    })
    stream.on('trailers', got => {
      trailers = got
    })
    stream.on('error', reject)
    buffer(stream).then(got => resolve({ headers: answered, body: got, trailers }), reject)
    stream.end(body)
  })
}

/** After its name, the first field, the resource has a field of an invalid type. */
function spoilIn(answer: Buffer, name: string): void {
  const field = Buffer.concat([Buffer.of(0x0a, name.length), Buffer.from(name)])
  const at = answer.indexOf(field)
  if (at !== -1) answer[at + field.length] = 0x07
}

function pass(stream: ServerHttp2Stream, { headers, body, trailers }: Answer): void {
  if (trailers === null) {
    stream.respond(headers, { endStream: true })
    return
  }
  respond(stream, headers, trailers)
  stream.end(body)
}

function respond(stream: ServerHttp2Stream, headers: IncomingHttpHeaders, trailers: IncomingHttpHeaders): void {
  stream.respond(headers, { waitForTrailers: true })
  stream.on('wantTrailers', () => stream.sendTrailers(trailers))
}

function befall(stream: ServerHttp2Stream, { headers, body, trailers }: Answer, fault: GrpcFault): void {
  respond(stream, headers, trailers ?? {})
  const half = body.subarray(0, Math.ceil(body.length / 2))
  switch (fault) {
    case 'first-byte':
      stream.write(body.subarray(0, 1))
      break
    case 'drip':
      drip(stream, body)
      break
    case 'reset':
      stream.write(half, () => stream.close(constants.NGHTTP2_INTERNAL_ERROR))
      break
    case 'cut':
      stream.end(half)
      break
    case 'garbage':
      stream.end(framed(Buffer.alloc(64, 0xff)))
      break
    case 'huge':
      pipeline(Readable.from(hugeMessage()), stream, () => {})
      break
  }
}

/** A message as gRPC sends it: not compressed, with its length and bytes. */
function framed(message: Buffer): Buffer {
  return Buffer.concat([headOf(message.length), message])
}

function headOf(bytes: number): Buffer {
  const head = Buffer.alloc(5)
  head.writeUInt32BE(bytes, 1)
  return head
}

function drip(stream: ServerHttp2Stream, bytes: Buffer): void {
  let at = 0
  const timer = setInterval(() => {
    if (at < bytes.length && stream.writable) stream.write(bytes.subarray(at, ++at))
    else clearInterval(timer)
  }, dripMs)
  stream.on('close', () => clearInterval(timer))
}
