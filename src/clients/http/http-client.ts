import type { Deadline } from '../../concurrency/deadline.ts'
import { DriftwatchError, type ErrorCode } from '../../errors.ts'
import { version } from '../../version.ts'
import { readBounded } from './bounded-body.ts'

export interface HttpRequest {
  readonly url: URL
  /** Default `GET`. */
  readonly method?: 'GET' | 'HEAD'
  readonly headers: Readonly<Record<string, string>>
  readonly maxBodyBytes: number
  readonly deadline: Pick<Deadline, 'signal' | 'over'>
  /** Called for every request sent, redirects included, with its response or its error. */
  readonly onResult?: (result: RawResponse | DriftwatchError) => void
}

export interface RawResponse {
  readonly status: number
  readonly headers: Pick<Headers, 'get'>
  /** Null if it is longer than `maxBodyBytes`. */
  readonly body: Buffer | null
}

export interface HttpResponse extends RawResponse {
  /** The target of a redirect that was not followed; null if it is absent or not a URL. */
  readonly location: URL | null
}

/**
 * Sends a request with the user agent of Driftwatch, reads the body up to its limit, and follows up to three redirects
 * within the origin, so that credentials never leave it. Rejects with a coded error if no complete response arrives, at
 * the deadline at the latest.
 */
export type HttpClient = (request: HttpRequest) => Promise<HttpResponse>

/** Sends one request and follows no redirect. Settles at the deadline at the latest. */
export type HttpExchange = (request: HttpRequest) => Promise<RawResponse>

const maxRedirects = 3

export function createHttpClient(exchange: HttpExchange = fetchExchange(globalThis.fetch)): HttpClient {
  async function send(request: HttpRequest): Promise<HttpResponse> {
    const { url, deadline, onResult = () => {} } = request
    try {
      const response = await exchange(request)
      onResult(response)
      return { ...response, location: locationOf(response, url) }
    } catch (thrown) {
      const error = codedError(thrown, url, deadline.signal)
      onResult(error)
      throw error
    }
  }

  return async request => {
    const headers = { 'user-agent': `driftwatch/${version}`, ...request.headers }
    let response = await send({ ...request, headers })
    for (let followed = 0; followed < maxRedirects; followed++) {
      const { location } = response
      if (location?.origin !== request.url.origin) break
      response = await send({ ...request, headers, url: location })
    }
    return response
  }
}

/** Sends requests over pooled connections. */
export function fetchExchange(fetch: typeof globalThis.fetch): HttpExchange {
  return ({ url, method = 'GET', headers, maxBodyBytes, deadline: { signal, over } }) => {
    const send = async () => {
      const response = await fetch(url, { method, headers, signal, redirect: 'manual' })
      const { status, headers: received } = response
      return { status, headers: received, body: await readBounded(response.body, maxBodyBytes) }
    }
    return Promise.race([send(), over])
  }
}

export function isRedirect(status: number): boolean {
  return [301, 302, 303, 307, 308].includes(status)
}

function locationOf({ status, headers }: RawResponse, from: URL): URL | null {
  const location = isRedirect(status) ? headers.get('location') : null
  return location === null ? null : URL.parse(location, from.href)
}

/** The error codes of responses that violate HTTP. Undici asserts some of its expectations about them. */
const notHttp = /^(HPE_|UND_ERR_HEADERS_OVERFLOW|ERR_ASSERTION)/

/** Shows only the error code of the network, because messages may quote headers. */
function codedError(thrown: unknown, { host }: URL, signal: AbortSignal): DriftwatchError {
  if (thrown instanceof DriftwatchError && thrown !== signal.reason) return thrown
  if (signal.aborted) return timeoutError(signal.reason, host)
  const failed = (code: ErrorCode, message: string) => new DriftwatchError(code, message, { cause: thrown })
  const reason =
    causesOf(thrown)
      .map(networkCode)
      .find(code => code !== null) ?? 'connection lost'
  if (notHttp.test(reason)) return failed('MALFORMED_RESPONSE', `${host} sent a response that is not HTTP (${reason})`)
  if (/CERT|SELF_SIGNED|UNABLE_TO_/.test(reason)) {
    return failed('UNAVAILABLE', `the certificate of ${host} is not trusted (${reason})`)
  }
  return failed('UNAVAILABLE', `request to ${host} failed (${reason})`)
}

function timeoutError(reason: unknown, host: string): DriftwatchError {
  return reason instanceof DriftwatchError
    ? new DriftwatchError(reason.code, `no response from ${host}: ${reason.message}`)
    : new DriftwatchError('DEADLINE_EXCEEDED', `no response from ${host} in time`)
}

function causesOf(thrown: unknown): readonly Error[] {
  return thrown instanceof Error ? [thrown, ...causesOf(thrown.cause)] : []
}

function networkCode(error: Error): string | null {
  // The parser errors of `fetch` have no code.
  if (error.name === 'HTTPParserError') return 'HPE_INVALID'
  // A 1xx response that Undici does not accept.
  if (error.name === 'SocketError' && /^bad (upgrade|response)$/.test(error.message)) return 'HPE_INVALID_STATUS'
  return 'code' in error && typeof error.code === 'string' ? error.code : null
}
