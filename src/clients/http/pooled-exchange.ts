import { Agent as HttpAgent, request as httpRequest, type IncomingMessage } from 'node:http'
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https'
import { readBounded } from './bounded-body.ts'
import type { ConnectionAge } from './connection-age.ts'
import type { HttpExchange, HttpRequest, RawResponse } from './http-client.ts'

/** Connections of the same age. */
interface Pool {
  readonly http: HttpAgent
  readonly https: HttpsAgent
  readonly isTooOld: () => boolean
  requests: number
}

/** Servers close idle connections at any time, so Driftwatch closes them first. */
const idleMs = 4000

/** Sends requests over pooled connections, which are replaced at their maximum age: the host name is then resolved again. */
export function createPooledExchange(age: ConnectionAge): HttpExchange {
  let current: Pool | null = null

  function takePool(): Pool {
    if (current !== null && !current.isTooOld()) return current
    const before = current
    current = openPool(age)
    if (before !== null) closeUnused(before)
    return current
  }

  /** Waits for the requests in progress. */
  function closeUnused(pool: Pool): void {
    if (pool === current || pool.requests > 0) return
    pool.http.destroy()
    pool.https.destroy()
  }

  return async request => {
    const pool = takePool()
    pool.requests += 1
    try {
      return await sendOnce(request, pool)
    } finally {
      pool.requests -= 1
      closeUnused(pool)
    }
  }
}

function openPool(age: ConnectionAge): Pool {
  const options = { keepAlive: true, timeout: idleMs }
  return { http: new HttpAgent(options), https: new HttpsAgent(options), isTooOld: age.start(), requests: 0 }
}

function sendOnce(request: HttpRequest, { http, https }: Pool): Promise<RawResponse> {
  const { url, method = 'GET', headers, maxBodyBytes, deadline } = request
  const options = { method, headers, signal: deadline.signal }
  return new Promise((resolve, reject) => {
    const outgoing =
      url.protocol === 'https:'
        ? httpsRequest(url, { ...options, agent: https })
        : httpRequest(url, { ...options, agent: http })
    outgoing.on('response', incoming => {
      // After `101` without an upgrade, the server may send more, which would be taken for the next response.
      if ((incoming.statusCode ?? 0) < 200) {
        outgoing.destroy()
        resolve(toResponse(incoming, null))
        return
      }
      readBounded(incoming, maxBodyBytes).then(body => resolve(toResponse(incoming, body)), reject)
    })
    outgoing.on('upgrade', (incoming, socket) => {
      socket.destroy()
      resolve(toResponse(incoming, null))
    })
    outgoing.on('error', reject)
    outgoing.end()
  })
}

function toResponse(incoming: IncomingMessage, body: Buffer | null): RawResponse {
  const get = (name: string) => [incoming.headers[name]].flat().join(', ') || null
  return { status: incoming.statusCode ?? 0, headers: { get }, body }
}
