import type { LookupAddress } from 'node:dns'
import { lookup as systemLookup } from 'node:dns/promises'
import { type ClientRequestArgs, request as httpRequest } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { isIP, type LookupFunction } from 'node:net'
import type { Clock } from '../../clock.ts'
import type { Deadline } from '../../concurrency/deadline.ts'
import { formatDuration } from '../../duration.ts'
import { DriftwatchError, type ErrorCode } from '../../errors.ts'
import { readBounded } from './bounded-body.ts'
import { createAddressRules } from './http-addresses.ts'
import { createHttpClient, type HttpExchange, type RawResponse } from './http-client.ts'

export interface ContractReply {
  readonly status: number
  readonly contentType: string | null
  /** The target of a redirect that was not followed, without query and user, which may hold secrets. */
  readonly location: string | null
  /** Null if it is longer than `maxBodyBytes`. */
  readonly body: Buffer | null
  readonly latencyMs: number
}

/** The request was sent, and no complete response arrived. */
export interface ContractTimeout {
  readonly timedOutAfterMs: number
}

export interface ContractLimits {
  readonly deadline: Pick<Deadline, 'signal'>
  /** The time from sending a request to the first byte of its response. */
  readonly beginWithinMs: number
}

/** Sends the requests of an `httpContract`. Connects only to addresses that are allowed. */
export interface ContractClient {
  /**
   * Resolves with a timeout if the request was sent and the service took at least `beginWithinMs`. Rejects with a coded
   * error if no complete response arrived for another reason.
   */
  get(
    url: URL,
    headers: Readonly<Record<string, string>>,
    limits: ContractLimits,
  ): Promise<ContractReply | ContractTimeout>
}

/** Finds every address of a host name. */
export type Resolve = (host: string) => Promise<readonly LookupAddress[]>

export interface ContractClientOptions {
  readonly clock: Clock
  /** Certificates to trust instead of the system's. */
  readonly ca?: string
  readonly resolve?: Resolve
  /** Called for every request sent. */
  readonly onRequest?: (method: string, code: 'OK' | ErrorCode) => void
}

/** The values of the metric label `method`. */
export const httpMethods = ['Get'] as const

export const maxBodyBytes = 4 * 1024 * 1024

class NoResponse extends DriftwatchError {
  readonly timedOutAfterMs: number

  constructor(host: string, timedOutAfterMs: number) {
    super('DEADLINE_EXCEEDED', `no response from ${host} within ${formatDuration(timedOutAfterMs)}`)
    this.timedOutAfterMs = timedOutAfterMs
  }
}

export function createContractClient(options: ContractClientOptions): ContractClient {
  const { clock, onRequest = () => {} } = options
  const rules = createAddressRules()
  const lookup = checkedLookup(options.resolve ?? (host => systemLookup(host, { all: true })), rules)

  async function exchange(
    { url, headers, deadline }: Parameters<HttpExchange>[0],
    beginWithinMs: number,
  ): Promise<RawResponse> {
    const host = url.hostname.replace(/^\[|\]$/g, '')
    if (rules.blocksName(host) || (isIP(host) !== 0 && rules.blocks(host))) throw blockedAddress(host, host)
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
    const signal = AbortSignal.any([deadline.signal, late.signal])
    const request = { headers, signal, lookup, agent: false, ...(options.ca && { ca: options.ca }) } as const
    try {
      return await sendOnce(url, request, progress)
    } catch (thrown) {
      const waitedMs = clock.monotonic() - sentAt
      const isSlow = late.signal.aborted || (deadline.signal.aborted && waitedMs >= beginWithinMs)
      throw isSlow ? new NoResponse(url.host, Math.max(waitedMs, beginWithinMs)) : thrown
    } finally {
      stopWaiting()
    }
  }

  return {
    async get(url, headers, { deadline, beginWithinMs }) {
      const begin = clock.monotonic()
      const client = createHttpClient(request => exchange(request, beginWithinMs))
      try {
        const response = await client({
          url,
          headers: { accept: 'application/json', 'accept-encoding': 'identity', ...headers },
          maxBodyBytes,
          deadline,
          onResult: result => onRequest('Get', result instanceof DriftwatchError ? result.code : 'OK'),
        })
        return {
          status: response.status,
          contentType: response.headers.get('content-type'),
          location: response.location && bareAddress(response.location),
          body: response.body,
          latencyMs: clock.monotonic() - begin,
        }
      } catch (thrown) {
        if (thrown instanceof NoResponse) return { timedOutAfterMs: thrown.timedOutAfterMs }
        throw thrown
      }
    },
  }
}

function sendOnce(
  url: URL,
  options: ClientRequestArgs & { readonly ca?: string },
  progress: { onSent(): void; onBegun(): void },
): Promise<RawResponse> {
  return new Promise((resolve, reject) => {
    const [request, connected] =
      url.protocol === 'https:' ? ([httpsRequest, 'secureConnect'] as const) : ([httpRequest, 'connect'] as const)
    const outgoing = request(url, options, incoming => {
      progress.onBegun()
      const headers = { get: (name: string) => [incoming.headers[name]].flat()[0] ?? null }
      readBounded(incoming, maxBodyBytes).then(
        body => resolve({ status: incoming.statusCode ?? 0, headers, body }),
        reject,
      )
    })
    // Each request has its own connection, and is sent once that is established.
    outgoing.on('socket', socket => socket.once(connected, progress.onSent))
    outgoing.on('error', reject)
    outgoing.end()
  })
}

function bareAddress({ protocol, host, pathname }: URL): string {
  return `${protocol}//${host}${pathname}`
}

/** Returns only addresses that were checked, so that a name cannot resolve to another address after the check. */
function checkedLookup(resolve: Resolve, rules: ReturnType<typeof createAddressRules>): LookupFunction {
  return (host, { all }, callback) => {
    resolve(host).then(
      found => {
        const bad = found.find(({ address }) => rules.blocks(address))
        const [first] = found
        if (bad) callback(blockedAddress(host, bad.address), '', 0)
        else if (!first) callback(Object.assign(new Error('no address'), { code: 'ENOTFOUND' }), '', 0)
        else if (all) callback(null, [...found])
        else callback(null, first.address, first.family)
      },
      error => callback(error, '', 0),
    )
  }
}

function blockedAddress(host: string, address: string): DriftwatchError {
  const what = host === address ? `${host} is` : `${host} resolves to ${address}, which is`
  return new DriftwatchError(
    'INVALID_ARGUMENT',
    `${what} a metadata server, link-local or reserved address. No request was sent. Correct the URL.`,
  )
}
