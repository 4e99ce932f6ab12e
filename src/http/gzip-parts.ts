import { promisify } from 'node:util'
import { constants, crc32, deflateRaw } from 'node:zlib'

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
