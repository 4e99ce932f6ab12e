import { type LookupAddress, lookup as systemLookup } from 'node:dns'
import { type ClientRequestArgs, request as httpRequest } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { isIP, type LookupFunction } from 'node:net'
import type { Clock } from '../../clock.ts'
import { DriftwatchError, type ErrorCode } from '../../errors.ts'
import { version } from '../../version.ts'
import { readBounded } from './bounded-body.ts'
import { createAddressRules } from './http-addresses.ts'

/** An answer as it came; `body` is null where it was longer than `longestBody`. */
export interface HttpReply {
  readonly status: number
  readonly contentType: string | null
  /** Where a redirect points that was not followed: without query and user, which may hold secrets. */
  readonly location: string | null
  readonly body: Buffer | null
  readonly latencyMs: number
}

/** The request was sent, and no whole answer came to it. */
export interface HttpSilence {
  readonly silentForMs: number
}

export interface HttpLimits {
  /** Ends everything. */
  readonly signal: AbortSignal
  /** An answer that has not begun so long after the request was sent is not waited for. */
  readonly beginWithinMs: number
}

/**
 * Sends GET requests. Names are resolved first, and connected to is only what was found allowed. Follows redirects within
 * the origin alone. Resolves with a silence only where it lasted longer than `beginWithinMs` after the request was sent;
 * rejects with a coded error where else no whole answer came.
 */
export interface HttpClient {
  get(url: URL, headers: Readonly<Record<string, string>>, limits: HttpLimits): Promise<HttpReply | HttpSilence>
}

/** Finds every address of a host name. */
export type Resolve = (host: string) => Promise<readonly LookupAddress[]>

export interface HttpOptions {
  readonly clock: Clock
  /** Certificates to trust in place of the system's. */
  readonly ca?: string
  readonly resolve?: Resolve
  /** Told of every request: the code is `OK` or one of our error codes. */
  readonly onRequest?: (method: string, code: 'OK' | ErrorCode) => void
}

/** The requests that are made, as metrics name them. */
export const httpMethods = ['Get'] as const

export const longestBody = 4 * 1024 * 1024
const mostRedirects = 3

export function createHttpClient(options: HttpOptions): HttpClient {
  const { clock, onRequest = () => {} } = options
  const rules = createAddressRules()
  const lookup = checkedLookup(options.resolve ?? resolveBySystem, rules)

  async function send(
    url: URL,
    headers: Readonly<Record<string, string>>,
    { signal, beginWithinMs }: HttpLimits,
  ): Promise<Reply | HttpSilence> {
    const host = url.hostname.replace(/^\[|\]$/g, '')
    if (rules.refusesName(host) || (isIP(host) !== 0 && rules.refuses(host))) throw refusedAddress(url.hostname, host)
    const late = new AbortController()
    let sentAt = Number.POSITIVE_INFINITY
    let stopWaiting = () => {}
    const progress = {
      onSent() {
        sentAt = clock.monotonic()
        stopWaiting = clock.after(beginWithinMs, () => late.abort())
      },
      onBegun: () => stopWaiting(),
    }
    const either = AbortSignal.any([signal, late.signal])
    const request = { headers, signal: either, lookup, agent: false, ...(options.ca && { ca: options.ca }) } as const
    try {
      const reply = await exchange(url, request, progress)
      onRequest('Get', 'OK')
      return reply
    } catch (thrown) {
      const waitedMs = clock.monotonic() - sentAt
      const error = translate(thrown, url, either)
      onRequest('Get', error.code)
      if (late.signal.aborted || (signal.aborted && waitedMs >= beginWithinMs))
        return { silentForMs: Math.max(waitedMs, beginWithinMs) }
      throw error
    } finally {
      stopWaiting()
    }
  }

  return {
    async get(url, headers, limits) {
      const begin = clock.monotonic()
      const sent = {
        'user-agent': `driftwatch/${version}`,
        accept: 'application/json',
        'accept-encoding': 'identity',
        ...headers,
      }
      let target = url
      for (let followed = 0; ; followed++) {
        const reply = await send(target, sent, limits)
        if ('silentForMs' in reply) return reply
        const next = redirectTarget(reply, target)
        if (next?.origin !== url.origin || followed === mostRedirects)
          return { ...reply, location: next && bareAddress(next), latencyMs: clock.monotonic() - begin }
        target = next
      }
    },
  }
}

type Reply = Omit<HttpReply, 'latencyMs'>

function exchange(
  url: URL,
  options: ClientRequestArgs & { readonly ca?: string },
  progress: { onSent(): void; onBegun(): void },
): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const [request, connected] =
      url.protocol === 'https:' ? ([httpsRequest, 'secureConnect'] as const) : ([httpRequest, 'connect'] as const)
    const outgoing = request(url, options, incoming => {
      progress.onBegun()
      readBounded(incoming, longestBody).then(
        body =>
          resolve({
            status: incoming.statusCode ?? 0,
            contentType: incoming.headers['content-type'] ?? null,
            location: incoming.headers.location ?? null,
            body,
          }),
        reject,
      )
    })
    // Each request has a connection of its own: what is written is sent when that is there.
    outgoing.on('socket', socket => socket.once(connected, progress.onSent))
    outgoing.on('error', reject)
    outgoing.end()
  })
}

function redirectTarget({ status, location }: Reply, from: URL): URL | null {
  return [301, 302, 303, 307, 308].includes(status) && location !== null ? URL.parse(location, from.href) : null
}

function bareAddress({ protocol, host, pathname }: URL): string {
  return `${protocol}//${host}${pathname}`
}

/** What is connected to is what was checked: a name cannot mean something else a moment later. */
function checkedLookup(resolve: Resolve, rules: ReturnType<typeof createAddressRules>): LookupFunction {
  return (host, { all }, callback) => {
    resolve(host).then(
      found => {
        const bad = found.find(({ address }) => rules.refuses(address))
        const [first] = found
        if (bad) callback(refusedAddress(host, bad.address), '', 0)
        else if (!first) callback(Object.assign(new Error('no address'), { code: 'ENOTFOUND' }), '', 0)
        else if (all) callback(null, [...found])
        else callback(null, first.address, first.family)
      },
      error => callback(error, '', 0),
    )
  }
}

function resolveBySystem(host: string): Promise<readonly LookupAddress[]> {
  return new Promise((resolve, reject) => {
    systemLookup(host, { all: true }, (error, found) => (error ? reject(error) : resolve(found)))
  })
}

function refusedAddress(host: string, address: string): DriftwatchError {
  const what = host === address ? `${host} is` : `${host} stands for ${address}, which is`
  const message = `${what} an address of metadata servers, link-local or of no host: nothing was sent there`
  return new DriftwatchError('INVALID_ARGUMENT', message)
}

/** Says the network's own code only: a message may quote headers. */
function translate(thrown: unknown, { host }: URL, signal: AbortSignal): DriftwatchError {
  if (thrown instanceof DriftwatchError) return thrown
  if (signal.aborted) return new DriftwatchError('DEADLINE_EXCEEDED', `${host}: no whole answer in the time allowed`)
  const code = thrown instanceof Error && 'code' in thrown ? String(thrown.code) : 'the connection was lost'
  if (/^HPE_/.test(code)) return new DriftwatchError('MALFORMED_RESPONSE', `${host} does not speak HTTP (${code})`)
  if (/CERT|SELF_SIGNED|UNABLE_TO_/.test(code)) {
    return new DriftwatchError('UNAVAILABLE', `the certificate of ${host} is not trusted (${code})`)
  }
  return new DriftwatchError('UNAVAILABLE', `${host} could not be reached (${code})`)
}
