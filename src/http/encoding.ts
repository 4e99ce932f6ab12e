import { promisify } from 'node:util'
import { brotliCompress, constants, crc32, deflateRaw, gzip } from 'node:zlib'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { parseRanges } from './accept.ts'

const compressors = {
  br: (body: Buffer) => promisify(brotliCompress)(body, { params: brotliParameters(body) }),
  gzip: (body: Buffer) => promisify(gzip)(body),
} as const

export type Encoding = keyof typeof compressors

/** What fits into a packet is sent as it is. */
export const leastBytes = 1400

/** Sends a body in the encoding that the client prefers. */
export type SendBody = (request: FastifyRequest, reply: FastifyReply, body: Buffer) => void

/**
 * Each body is compressed once for each encoding, beside the event loop, when somebody asks for it first, and for as long
 * as it is sent: whoever renders once gets the same bytes for everybody.
 */
export function createBodySender(): SendBody {
  const kept = new WeakMap<Buffer, Map<Encoding, Buffer | Promise<Buffer>>>()

  function compress(body: Buffer, encoding: Encoding): Buffer | Promise<Buffer> {
    const forms = kept.get(body) ?? new Map<Encoding, Buffer | Promise<Buffer>>()
    kept.set(body, forms)
    const known = forms.get(encoding)
    if (known) return known
    const compressing = compressors[encoding](body).then(
      compressed => {
        forms.set(encoding, compressed)
        return compressed
      },
      error => {
        forms.delete(encoding)
        throw error
      },
    )
    forms.set(encoding, compressing)
    return compressing
  }

  return (request, reply, body) => {
    reply.header('vary', 'accept, accept-encoding')
    const encoding = body.length < leastBytes ? null : preferredEncoding(request.headers['accept-encoding'])
    if (encoding === null) {
      reply.send(body)
      return
    }
    const send = (compressed: Buffer) => reply.header('content-encoding', encoding).send(compressed)
    const compressed = compress(body, encoding)
    if (compressed instanceof Promise) compressed.then(send, error => reply.send(error))
    else send(compressed)
  }
}

/** The encoding that an `Accept-Encoding` header prefers; null for none. Brotli goes first where it is all the same. */
export function preferredEncoding(
  header: string | undefined,
  offered: readonly Encoding[] = ['br', 'gzip'],
): Encoding | null {
  if (header === undefined) return null
  const ranges = parseRanges(header.replaceAll('x-gzip', 'gzip'))
  const quality = (name: string) => ranges.find(range => range.type === name)?.quality
  const any = quality('*') ?? 0
  const [best = null] = offered.toSorted((one, other) => (quality(other) ?? any) - (quality(one) ?? any))
  if (best === null) return null
  const wanted = quality(best) ?? any
  return wanted > 0 && wanted >= (quality('identity') ?? 0) ? best : null
}

/** Level 4 makes a tenth of a report in a tenth of the time that the highest takes. */
function brotliParameters(body: Buffer) {
  return { [constants.BROTLI_PARAM_QUALITY]: 4, [constants.BROTLI_PARAM_SIZE_HINT]: body.length }
}

/** The gzip of two parts as one body. What is done for the first part is kept for as long as that is there. */
export type GzipParts = (first: Buffer, rest: Buffer) => Promise<Buffer>

/** Deflate, no name, no time, unknown system (RFC 1952). */
const header = Buffer.from([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff])

export function createGzipParts(): GzipParts {
  const kept = new WeakMap<Buffer, Promise<Buffer>>()

  function deflateFirst(first: Buffer): Promise<Buffer> {
    // Ends with a block that is not the last, at the border of a byte: another deflate stream can follow.
    const deflated = kept.get(first) ?? promisify(deflateRaw)(first, { finishFlush: constants.Z_SYNC_FLUSH })
    kept.set(first, deflated)
    deflated.catch(() => kept.delete(first))
    return deflated
  }

  return async (first, rest) => {
    const parts = await Promise.all([deflateFirst(first), promisify(deflateRaw)(rest)])
    const trailer = Buffer.alloc(8)
    trailer.writeUInt32LE(crc32(rest, crc32(first)), 0)
    trailer.writeUInt32LE((first.length + rest.length) % 2 ** 32, 4)
    return Buffer.concat([header, ...parts, trailer])
  }
}
