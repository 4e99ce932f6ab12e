import type { Deadline } from '../../concurrency/deadline.ts'
import { DriftwatchError, type ErrorCode } from '../../errors.ts'
import { version } from '../../version.ts'
import { readBounded } from '../http/bounded-body.ts'

/** The requests that are made, as metrics name them. */
export const registryMethods = ['HeadManifest', 'GetManifest', 'GetBlob', 'ListTags', 'GetToken'] as const

/** One request that was made, in the words of `driftwatch_api_requests_total`. */
export interface RegistryRequest {
  readonly api: 'registry'
  readonly method: (typeof registryMethods)[number]
  readonly code: ErrorCode | 'OK'
}

export interface RegistryHttpCall {
  readonly method: RegistryRequest['method']
  readonly url: URL
  readonly headers: Readonly<Record<string, string>>
  readonly deadline: Deadline
}

export interface RegistryReply {
  readonly status: number
  readonly headers: Headers
  /** Null: it was larger than `maxBodyBytes`. */
  readonly body: Buffer | null
}

export type RegistryHttp = (call: RegistryHttpCall) => Promise<RegistryReply>

/** What registries accept as a manifest, and therefore as much as is ever read. */
export const maxBodyBytes = 4 * 1024 * 1024

const maxRedirects = 3

/** Sends requests whose authorization never leaves the origin that it was meant for. Every body is read or cancelled. */
export function createRegistryHttp(options: {
  readonly fetch: typeof globalThis.fetch
  readonly onRequest: (request: RegistryRequest) => void
}): RegistryHttp {
  async function send(call: RegistryHttpCall, url: URL): Promise<RegistryReply> {
    const record = (code: RegistryRequest['code']) => options.onRequest({ api: 'registry', method: call.method, code })
    try {
      const response = await options.fetch(url, {
        method: call.method === 'HeadManifest' ? 'HEAD' : 'GET',
        headers: { 'user-agent': `driftwatch/${version}`, ...call.headers },
        redirect: 'manual',
        signal: call.deadline.signal,
      })
      const reply = {
        status: response.status,
        headers: response.headers,
        body: await readBounded(response.body, maxBodyBytes),
      }
      record(isRedirect(reply.status) ? 'OK' : (refusalCode(reply.status) ?? 'OK'))
      return reply
    } catch (thrown) {
      record(call.deadline.signal.aborted ? 'DEADLINE_EXCEEDED' : transportError(thrown, url).code)
      throw transportError(thrown, url)
    }
  }

  return async call => {
    let url = call.url
    for (let followed = 0; followed <= maxRedirects; followed++) {
      const reply = await send(call, url)
      if (!isRedirect(reply.status)) return reply
      url = redirectTarget(reply, url)
    }
    throw new DriftwatchError('MALFORMED_RESPONSE', `${call.url.host} redirects in a circle`)
  }
}

/** The code that a status stands for, or null for 200; what no registry should answer is `MALFORMED_RESPONSE`. */
export function refusalCode(status: number): ErrorCode | null {
  if (status === 200) return null
  return status >= 500 ? 'UNAVAILABLE' : (refusals[status] ?? 'MALFORMED_RESPONSE')
}

const refusals: Readonly<Record<number, ErrorCode>> = {
  400: 'INVALID_ARGUMENT',
  401: 'UNAUTHENTICATED',
  403: 'PERMISSION_DENIED',
  404: 'NOT_FOUND',
  405: 'UNIMPLEMENTED',
  408: 'UNAVAILABLE',
  429: 'RESOURCE_EXHAUSTED',
}

function isRedirect(status: number): boolean {
  return [301, 302, 303, 307, 308].includes(status)
}

function redirectTarget(reply: RegistryReply, from: URL): URL {
  const location = reply.headers.get('location')
  const target = location !== null && URL.canParse(location, from.href) ? new URL(location, from) : null
  if (target?.origin === from.origin) return target
  throw new DriftwatchError(
    'MALFORMED_RESPONSE',
    `${from.host} redirects to ${target?.host ?? 'nowhere'}: manifests are only read from the host that was asked`,
  )
}

/** Says the network's own code only: what `fetch` puts into its messages may quote headers. */
function transportError(thrown: unknown, { host }: URL): DriftwatchError {
  const causes = causesOf(thrown)
  if (causes.some(({ name }) => name === 'HTTPParserError')) {
    return new DriftwatchError('MALFORMED_RESPONSE', `${host} does not speak HTTP`, { cause: thrown })
  }
  const reason = causes.map(networkCode).find(code => code !== null) ?? 'the connection was lost'
  return new DriftwatchError('UNAVAILABLE', `${host} could not be reached (${reason})`, { cause: thrown })
}

function causesOf(thrown: unknown): readonly Error[] {
  return thrown instanceof Error ? [thrown, ...causesOf(thrown.cause)] : []
}

function networkCode(error: Error): string | null {
  return 'code' in error && typeof error.code === 'string' ? error.code : null
}
