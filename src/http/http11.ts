import type { FastifyInstance } from 'fastify'
import { DriftwatchError } from '../errors.ts'

/** Refuses what HTTP/1.1 wants refused, with a code and our headers as everything else is. */
export function enforceHttp11(app: FastifyInstance): void {
  // Without a listener Node.js answers an empty 417 to all but `100-continue`.
  app.server.on('checkExpectation', app.routing)
  app.addHook('onRequest', ({ raw: { httpVersion }, headers: { host, expect } }, _reply, done) => {
    done(httpVersion === '1.1' ? refusalOf(host, expect) : undefined)
  })
}

function refusalOf(host: string | undefined, expect: string | undefined): DriftwatchError | undefined {
  if (host === undefined) return new DriftwatchError('USAGE', 'a request of HTTP/1.1 has a `Host` header: send one')
  if (expect === undefined || /^100-continue$/i.test(expect)) return undefined
  return new DriftwatchError('EXPECTATION_FAILED', 'only `Expect: 100-continue` is met: leave the header out')
}
