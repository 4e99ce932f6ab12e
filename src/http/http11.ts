import type { FastifyInstance } from 'fastify'
import { DriftwatchError } from '../errors.ts'

/** Rejects requests that violate HTTP/1.1, with a code and the default headers. */
export function enforceHttp11(app: FastifyInstance): void {
  // Without a listener Node.js responds with an empty 417 to anything but `100-continue`.
  app.server.on('checkExpectation', app.routing)
  app.addHook('onRequest', ({ raw: { httpVersion }, headers: { host, expect } }, _reply, done) => {
    done(httpVersion === '1.1' ? findViolation(host, expect) : undefined)
  })
}

function findViolation(host: string | undefined, expect: string | undefined): DriftwatchError | undefined {
  if (host === undefined) return new DriftwatchError('USAGE', 'HTTP/1.1 requires a `Host` header')
  if (expect === undefined || /^100-continue$/i.test(expect)) return undefined
  return new DriftwatchError('EXPECTATION_FAILED', 'unsupported `Expect` header: expected `100-continue` or no header')
}
