import type { Duplex } from 'node:stream'

/** For comparison: the catalog of 10,000 tables has 1.3 MiB. */
const maxMessageBytes = 16 * 1024 * 1024
const maxResponseBytes = 64 * 1024 * 1024

const headBytes = 5
const readyForQuery = 'Z'.charCodeAt(0)

/**
 * Puts bounds between a connection and the driver's parser, once the parser listens. The parser buffers as much as a
 * message claims to have, and throws on malformed input where the error cannot be caught, which would end the process.
 * After `onMalformed` the parser gets nothing more.
 */
export function guardStream(stream: Duplex, onMalformed: () => void): void {
  const parsers = stream.listeners('data') as ((chunk: Buffer) => void)[]
  const assertBounds = createBounds()
  let open = true
  stream.removeAllListeners('data')
  stream.on('data', (chunk: Buffer) => {
    if (!open) return
    try {
      assertBounds(chunk)
      for (const parse of parsers) parse.call(stream, chunk)
    } catch {
      open = false
      onMalformed()
    }
  })
}

/** Tracks the messages across chunks, and throws if a message or a response is too long. */
function createBounds(): (chunk: Buffer) => void {
  let head = Buffer.alloc(0)
  let left = 0
  let responseBytes = 0

  function begin(): void {
    const length = head.readUInt32BE(1)
    if (length < 4 || length > maxMessageBytes) throw new RangeError('message too long')
    left = length - 4
    responseBytes = head[0] === readyForQuery ? 0 : responseBytes + length
    if (responseBytes > maxResponseBytes) throw new RangeError('response too long')
    head = Buffer.alloc(0)
  }

  return chunk => {
    for (let at = 0; at < chunk.length; ) {
      if (left > 0) {
        const taken = Math.min(left, chunk.length - at)
        left -= taken
        at += taken
        continue
      }
      const part = chunk.subarray(at, at + headBytes - head.length)
      head = Buffer.concat([head, part])
      at += part.length
      if (head.length === headBytes) begin()
    }
  }
}
