import { createBoundedCache } from '../../bounded-cache.ts'
import type { Clock } from '../../clock.ts'
import type { Deadline } from '../../concurrency/deadline.ts'
import { createSingleFlight } from '../../concurrency/single-flight.ts'
import { DriftwatchError } from '../../errors.ts'
import { isGoogleRegistry, type RepositoryAddress } from './registry-address.ts'
import { type RegistryHttp, refusalCode } from './registry-http.ts'
import { parseJson } from './registry-manifest.ts'

/** The source of Google access tokens. */
export interface RegistryCredentials {
  /** Rejects with a coded error (`UNAUTHENTICATED`, `UNAVAILABLE`) without secrets. */
  accessToken(): Promise<string>
}

/** Bearer tokens, one for each repository. */
export interface RegistryTokens {
  /** The valid token in the cache, or null. */
  cached(address: RepositoryAddress): string | null
  /** Requests the token that a 401 demands in its `WWW-Authenticate` header. Rejects with a coded error. */
  obtain(address: RepositoryAddress, challenge: string | null, deadline: Deadline): Promise<string>
}

interface Challenge {
  readonly realm: URL
  readonly service: string | null
  readonly scope: string | null
}

/** The default of the token specification. */
const defaultLifetimeSeconds = 60
const marginSeconds = 10

export function createRegistryTokens(
  http: RegistryHttp,
  credentials: RegistryCredentials | null,
  clock: Clock,
): RegistryTokens {
  /** `validUntil` is on the monotonic clock. */
  const tokens = createBoundedCache<{ readonly token: string; readonly validUntil: number }>(1000)
  const exchanges = createSingleFlight<string>()

  async function authorization(address: RepositoryAddress): Promise<Record<string, string>> {
    const allowed = address.origin === `https://${address.host}` && isGoogleRegistry(address.host)
    if (!allowed || credentials === null) return {}
    const token = await credentials.accessToken()
    return { authorization: `Basic ${Buffer.from(`oauth2accesstoken:${token}`).toString('base64')}` }
  }

  async function exchange(address: RepositoryAddress, challenge: Challenge, deadline: Deadline): Promise<string> {
    const begin = clock.monotonic()
    const headers = { accept: 'application/json', ...(await authorization(address)) }
    deadline.signal.throwIfAborted()
    const response = await http({ method: 'GetToken', url: tokenUrl(address, challenge), headers, deadline })
    const code = refusalCode(response.status)
    if (code !== null)
      throw new DriftwatchError(
        code,
        `${address.host} returned HTTP ${response.status} to a token request for ${address.path}`,
      )
    const { token, lifetimeSeconds } = readToken(response.body, address)
    tokens.set(keyOf(address), { token, validUntil: begin + (lifetimeSeconds - marginSeconds) * 1000 })
    return token
  }

  return {
    cached(address) {
      const cached = tokens.get(keyOf(address))
      return cached && clock.monotonic() < cached.validUntil ? cached.token : null
    },
    async obtain(address, header, deadline) {
      const challenge = readChallenge(header, address)
      return exchanges.run(keyOf(address), deadline, shared => exchange(address, challenge, shared))
    },
  }
}

function keyOf(address: RepositoryAddress): string {
  return `${address.origin}/${address.path}`
}

function readChallenge(header: string | null, address: RepositoryAddress): Challenge {
  const parameters = bearerParameters(header ?? '')
  const realm = parameters.get('realm') ?? ''
  if (!URL.canParse(realm)) {
    throw new DriftwatchError(
      'UNAUTHENTICATED',
      `${address.host} requires an authentication scheme that is not supported: expected Bearer with a realm`,
    )
  }
  const url = new URL(realm)
  if (!isTrustedRealm(url, address)) {
    throw new DriftwatchError(
      'UNAUTHENTICATED',
      `${address.host} requests tokens from ${url.protocol}//${url.host}, which is not trusted. No request was sent there.`,
    )
  }
  return { realm: url, service: parameters.get('service') ?? null, scope: parameters.get('scope') ?? null }
}

function bearerParameters(header: string): ReadonlyMap<string, string> {
  const start = header.search(/\bbearer\s/i)
  const parameters = new Map<string, string>()
  if (start < 0) return parameters
  for (const [, name = '', quoted, plain] of header.slice(start).matchAll(/\b([a-z_]+)=(?:"([^"]*)"|([^\s,"]+))/gi)) {
    if (!parameters.has(name.toLowerCase())) parameters.set(name.toLowerCase(), quoted ?? plain ?? '')
  }
  return parameters
}

/** Token hosts that are not subdomains of their registry. */
const knownTokenHosts: Readonly<Record<string, string>> = { 'registry-1.docker.io': 'auth.docker.io' }

function isTrustedRealm(realm: URL, address: RepositoryAddress): boolean {
  const origin = new URL(address.origin)
  if (realm.username !== '' || realm.password !== '') return false
  if (realm.origin === origin.origin) return true
  if (realm.protocol !== 'https:' || origin.protocol !== 'https:' || realm.port !== '') return false
  return (
    realm.hostname.endsWith(`.${origin.hostname}`) ||
    realm.hostname === knownTokenHosts[address.host] ||
    (realm.hostname === 'gcr.io' && address.host.endsWith('.gcr.io'))
  )
}

function tokenUrl(address: RepositoryAddress, challenge: Challenge): URL {
  const url = new URL(challenge.realm)
  if (challenge.service !== null) url.searchParams.set('service', challenge.service)
  url.searchParams.set('scope', challenge.scope ?? `repository:${address.path}:pull`)
  return url
}

function readToken(body: Buffer | null, address: RepositoryAddress): { token: string; lifetimeSeconds: number } {
  const parsed = (body && parseJson(body)) as { token?: unknown; access_token?: unknown; expires_in?: unknown } | null
  const token = parsed?.token ?? parsed?.access_token
  // The error of `fetch` for an invalid header value would contain the token.
  if (typeof token !== 'string' || !/^[\x21-\x7e]+$/.test(token)) {
    throw new DriftwatchError('MALFORMED_RESPONSE', `${address.host} returned no valid token`)
  }
  const lifetime = parsed?.expires_in
  return { token, lifetimeSeconds: typeof lifetime === 'number' ? lifetime : defaultLifetimeSeconds }
}
