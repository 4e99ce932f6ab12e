import { once } from 'node:events'
import { constants, createServer, type ServerHttp2Session, type ServerHttp2Stream } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { grpc } from 'google-gax'
import t from 'tap'
import { createCloudRunClient } from '../../../src/clients/cloud-run/cloud-run.ts'
import { systemClock } from '../../../src/clock.ts'
import { withDeadline } from '../../../src/concurrency/deadline.ts'

t.test(
  'after ENHANCE_YOUR_CALM the next request uses a new connection; after an exceeded quota it does not',
  async t => {
    const rounds: Record<
      string,
      { answer(stream: ServerHttp2Stream): void; looks: readonly unknown[]; sessions: number }
    > = {
      'GOAWAY, calm': {
        answer: ({ session }) => session?.goaway(constants.NGHTTP2_ENHANCE_YOUR_CALM, 0, Buffer.from('too_many_pings')),
        looks: [null, null],
        sessions: 2,
      },
      'RST_STREAM, calm, for every request on the connection': {
        answer: stream => stream.close(constants.NGHTTP2_ENHANCE_YOUR_CALM),
        looks: [null, null],
        sessions: 2,
      },
      'the quota of the server': {
        answer: stream => refuse(stream, grpc.status.RESOURCE_EXHAUSTED, 'Quota exceeded'),
        looks: ['RESOURCE_EXHAUSTED', 'RESOURCE_EXHAUSTED'],
        sessions: 1,
      },
    }
    for (const [name, { answer, looks, sessions }] of Object.entries(rounds)) {
      const opened: ServerHttp2Session[] = []
      const server = createServer().on('session', session => opened.push(session.on('error', () => {})))
      server.on('stream', stream => {
        stream.on('error', () => {})
        if (stream.session === opened[0]) answer(stream)
        else refuse(stream, grpc.status.NOT_FOUND, 'there is none')
      })
      await once(server.listen(0, '127.0.0.1'), 'listening')
      const emulatorHost = `127.0.0.1:${(server.address() as AddressInfo).port}`
      const client = createCloudRunClient({ clock: systemClock, emulatorHost })
      const look = () =>
        withDeadline(systemClock, 10_000, undefined, deadline =>
          client.services.get('projects/p/locations/l/services/s', deadline).catch(({ code }) => code),
        )
      t.strictSame([await look(), await look()], looks, name)
      t.equal(opened.length, sessions, name)
      await client.close()
      const closed = once(server, 'close')
      server.close()
      for (const session of opened) session.destroy()
      await closed
    }
  },
)

function refuse(stream: ServerHttp2Stream, status: number, message: string): void {
  const head = { ':status': 200, 'content-type': 'application/grpc' }
  stream.respond({ ...head, 'grpc-status': String(status), 'grpc-message': message }, { endStream: true })
}
