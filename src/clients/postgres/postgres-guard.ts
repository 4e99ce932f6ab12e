import type { Duplex } from 'node:stream'

/** The catalog of 10,000 tables is read in 1.3 MiB, a query at a time: what is longer than these is no answer to ours. */
const longestMessageBytes = 16 * 1024 * 1024
const longestAnswerBytes = 64 * 1024 * 1024

const headBytes = 5
const readyForQuery = 'Z'.charCodeAt(0)

/**
 * Stands between a connection and the driver's parser, once that listens. The parser buffers whatever a message claims to
 * be long, and throws at what it cannot read, where nobody could catch it: that would end the process. After `onMalformed`
 * nothing more gets through.
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

/** Follows the messages as they come in pieces, and throws at one, or an answer, that is too long. */
function createBounds(): (chunk: Buffer) => void {
  let head = Buffer.alloc(0)
  let left = 0
  let answered = 0

  function begin(): void {
    const length = head.readUInt32BE(1)
    if (length < 4 || length > longestMessageBytes) throw new RangeError('no message of PostgreSQL is so long')
    left = length - 4
    answered = head[0] === readyForQuery ? 0 : answered + length
    if (answered > longestAnswerBytes) throw new RangeError('no answer is so long')
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
