import type { Deadline } from '../../concurrency/deadline.ts'
import { DriftwatchError, type ErrorCode } from '../../errors.ts'
import { createHttpClient, fetchExchange, type HttpResponse, isRedirect } from '../http/http-client.ts'

/** The values of the metric label `method`. */
export const registryMethods = [
  'HeadManifest',
  'GetManifest',
  'GetBlob',
  'ListTags',
  'GetRepository',
  'GetToken',
] as const

/** One request that was sent, with the labels of `driftwatch_api_requests_total`. */
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

/** Never returns a redirect: one that leaves the origin, or the fourth in a row, is `MALFORMED_RESPONSE`. */
export type RegistryHttp = (call: RegistryHttpCall) => Promise<HttpResponse>

/** The largest manifest that registries accept. */
const maxBodyBytes = 4 * 1024 * 1024

export function createRegistryHttp(
  fetch: typeof globalThis.fetch,
  onRequest: (request: RegistryRequest) => void,
): RegistryHttp {
  const client = createHttpClient(fetchExchange(fetch))
  return async ({ method, url, headers, deadline }) => {
    const response = await client({
      url,
      method: method === 'HeadManifest' ? 'HEAD' : 'GET',
      headers,
      maxBodyBytes,
      deadline,
      onResult(result) {
        const code = result instanceof DriftwatchError ? result.code : statusCode(result.status)
        onRequest({ api: 'registry', method, code })
      },
    })
    if (isRedirect(response.status)) throw redirectError(url, response.location)
    return response
  }
}

function statusCode(status: number): RegistryRequest['code'] {
  return isRedirect(status) ? 'OK' : (refusalCode(status) ?? 'OK')
}

/** The error code of a status, or null for 200. A status that no registry should send is `MALFORMED_RESPONSE`. */
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

function redirectError({ host, origin }: URL, location: URL | null): DriftwatchError {
  const message =
    location?.origin === origin
      ? `${host} redirects too often`
      : `${host} redirects to ${location?.host ?? 'an invalid URL'}. Only redirects within the registry are followed.`
  return new DriftwatchError('MALFORMED_RESPONSE', message)
}
