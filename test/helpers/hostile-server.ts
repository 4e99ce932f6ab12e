import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import type { Test } from 'tap'

const chunked = 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n'
const field = `x: ${'a'.repeat(1000)}\r\n`
const document = 'content-length: 2\r\n\r\n{}'

/** Answers that no HTTP server should give, as bytes after which the server closes the connection. */
const closing = {
  'an upgrade': 'HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n',
  'an upgrade to nothing': 'HTTP/1.1 101 Switching Protocols\r\n\r\n',
  'an upgrade with a body': `HTTP/1.1 101 X\r\n${document}`,
  'an upgrade by 200': `HTTP/1.1 200 OK\r\nconnection: upgrade\r\nupgrade: h2c\r\n${document}`,
  'a switch to HTTP/2': 'HTTP/1.1 101 X\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\nPRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
  'only 100': 'HTTP/1.1 100 Continue\r\n\r\n',
  'only 102': 'HTTP/1.1 102 Processing\r\n\r\n',
  'only 103': 'HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n',
  '199 with a body': `HTTP/1.1 199 X\r\n${document}`,
  'status 0': `HTTP/1.1 0 X\r\n${document}`,
  'status 000': `HTTP/1.1 000 X\r\n${document}`,
  'status 999': `HTTP/1.1 999 X\r\n${document}`,
  'status 1000': `HTTP/1.1 1000 X\r\n${document}`,
  '204 with a body': `HTTP/1.1 204 X\r\n${document}`,
  '304 with a body': `HTTP/1.1 304 X\r\n${document}`,
  'two lengths': `HTTP/1.1 200 OK\r\ncontent-length: 3\r\n${document}`,
  'a length and chunks': `HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n${document}`,
  'trailers after an error': `${chunked}0\r\nbroken\r\n\r\n`,
  'a cut chunk': 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\n{}',
  'a cut body': 'HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n{}',
  'a cut head': 'HTTP/1.1 200 OK\r\ncontent-',
  nothing: '',
  'HTTP/2 frames': '\0\0\0\x04\0\0\0\0\0',
} as const

/** Answers that never end: a beginning, and what follows again and again. */
const endless = {
  'endless headers': ['HTTP/1.1 200 OK\r\n', field],
  'endless trailers': [`${chunked}0\r\n`, field],
  'endless interim responses': ['', closing['only 103']],
  'endless chunks': [chunked, `3e8\r\n${' '.repeat(1000)}\r\n`],
} as const

/** Answers whose connection stays open in silence. */
const silent = {
  silence: '',
  'an open upgrade': closing['an upgrade'],
  'an open interim response': closing['only 103'],
  'an open body': 'HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n{}',
} as const

export const hostileAnswers = [...Object.keys(closing), ...Object.keys(endless), ...Object.keys(silent), 'a reset']

function repeat(socket: Socket, piece: string): void {
  const send = () => {
    while (socket.writable && socket.write(piece.repeat(50)));
  }
  socket.on('drain', send)
  send()
}

/** A TCP server that gives the answer whose name is in the URL, or `usual`. */
export async function startHostileServer(t: Test, usual: (path: string) => string) {
  const sockets = new Set<Socket>()
  const server = createServer({ allowHalfOpen: true }, socket => {
    sockets.add(socket.on('error', () => socket.destroy()))
    socket.once('data', head => {
      const path = decodeURIComponent(/^\S+ \/(\S*)/.exec(String(head))?.[1] ?? '')
      const name = hostileAnswers.find(each => each === path) ?? ''
      if (name === 'a reset') socket.resetAndDestroy()
      else if (name in closing) socket.end(closing[name as keyof typeof closing])
      else if (name in silent) socket.write(silent[name as keyof typeof silent])
      else if (name in endless) {
        const [begin, piece] = endless[name as keyof typeof endless]
        socket.write(begin)
        repeat(socket, piece)
      } else socket.end(usual(path))
    })
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return `127.0.0.1:${(server.address() as AddressInfo).port}`
}
