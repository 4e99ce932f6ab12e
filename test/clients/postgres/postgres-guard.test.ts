import { PassThrough } from 'node:stream'
import t from 'tap'
import { guardStream } from '../../../src/clients/postgres/postgres-guard.ts'

/** A message of the PostgreSQL protocol that claims to have `length` bytes after its type. */
function message(type: string, length: number, body = Buffer.alloc(Math.max(0, length - 4))): Buffer {
  const head = Buffer.alloc(5, type)
  head.writeUInt32BE(length, 1)
  return Buffer.concat([head, body])
}

function build(parse: (chunk: Buffer) => void = () => {}) {
  const stream = new PassThrough()
  const received: Buffer[] = []
  let malformed = 0
  stream.on('data', (chunk: Buffer) => {
    parse(chunk)
    received.push(chunk)
  })
  guardStream(stream, () => {
    malformed += 1
  })
  return {
    send: (chunk: Buffer) => stream.emit('data', chunk),
    received: () => Buffer.concat(received),
    malformed: () => malformed,
  }
}

t.test('messages reach the parser unchanged, however they are cut into chunks', async t => {
  const bytes = Buffer.concat([message('R', 8), message('D', 4), message('Z', 5)])
  for (const size of [1, 3, bytes.length]) {
    const { send, received, malformed } = build()
    for (let at = 0; at < bytes.length; at += size) send(bytes.subarray(at, at + size))
    t.same(received(), bytes)
    t.equal(malformed(), 0)
  }
})

t.test('after a malformed message the parser gets nothing more', async t => {
  const mebibyte = 1024 * 1024
  const row = message('D', 15 * mebibyte)
  const cases: Record<string, readonly Buffer[]> = {
    'too short': [message('D', 3)],
    'too long': [message('D', 17 * mebibyte, Buffer.alloc(0))],
    'a response that is too long': [row, row, row, row, row],
  }
  for (const [name, chunks] of Object.entries(cases)) {
    const { send, received, malformed } = build()
    for (const chunk of chunks) send(chunk)
    const length = received().length
    send(message('Z', 5))
    t.equal(malformed(), 1, name)
    t.equal(received().length, length, name)
  }
  const several = build()
  for (let count = 0; count < 5; count++) for (const chunk of [row, message('Z', 5)]) several.send(chunk)
  t.equal(several.malformed(), 0, 'the limit is for each response')
})

t.test('an error of the parser is reported and not thrown', async t => {
  const { send, received, malformed } = build(() => {
    throw new Error('cannot parse')
  })
  send(message('R', 8))
  send(message('R', 8))
  t.equal(malformed(), 1)
  t.equal(received().length, 0)
})
