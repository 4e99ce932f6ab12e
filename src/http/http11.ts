import type { Socket } from 'node:net'
import type { FastifyInstance } from 'fastify'
import { DriftwatchError } from '../errors.ts'
import { replyToConnect } from './error-replies.ts'
import type { Turns } from './turns.ts'

/** Rejects requests that violate HTTP/1.1, with a code and the default headers. */
export function enforceHttp11(app: FastifyInstance, turns: Turns): void {
  app.server.on('connect', (request, socket) => replyToConnect(request, socket as Socket, turns))
  app.addHook('onRequest', ({ raw: { httpVersion, rawHeaders }, headers: { expect } }, _reply, done) => {
    const hosts = rawHeaders.filter((_, at) => at % 2 === 1 && /^host$/i.test(rawHeaders[at - 1] ?? ''))
    done(findHostViolation(hosts, httpVersion) ?? (httpVersion === '1.1' ? findExpectation(expect) : undefined))
  })
}

function findHostViolation(hosts: readonly string[], httpVersion: string): DriftwatchError | undefined {
  const [host] = hosts
  if (host === undefined)
    return httpVersion === '1.1' ? new DriftwatchError('USAGE', 'HTTP/1.1 requires a `Host` header') : undefined
  if (hosts.length > 1) return new DriftwatchError('USAGE', 'the request has several `Host` headers: expected one')
  // A name or an address, with an optional port.
  if (/^(\[[0-9a-f:.]+\]|[\w.~!$&'()*+;=%-]*)(:\d*)?$/i.test(host)) return undefined
  return new DriftwatchError('USAGE', 'invalid `Host` header: expected a host and an optional port')
}

function findExpectation(expect: string | undefined): DriftwatchError | undefined {
  if (expect === undefined || /^100-continue$/i.test(expect)) return undefined
  return new DriftwatchError('EXPECTATION_FAILED', 'unsupported `Expect` header: expected `100-continue` or no header')
}
