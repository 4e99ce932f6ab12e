import { createBoundedCache } from '../../bounded-cache.ts'
import type { Clock } from '../../clock.ts'
import type { Deadline } from '../../concurrency/deadline.ts'
import { createSingleFlight } from '../../concurrency/single-flight.ts'
import { DriftwatchError } from '../../errors.ts'
import { isGoogleRegistry, type RepositoryAddress } from './registry-address.ts'
import { type RegistryHttp, refusalCode } from './registry-http.ts'
import { parseJson } from './registry-manifest.ts'

/** Where Google access tokens come from. */
export interface RegistryCredentials {
  /** Rejects with a coded error (`UNAUTHENTICATED`, `UNAVAILABLE`) that shows no secret. */
  accessToken(): Promise<string>
}

/** The bearer tokens that registries gave, by repository. */
export interface RegistryTokens {
  /** The token to try first, or null where there is none that is still good. */
  held(address: RepositoryAddress): string | null
  /** Exchanges what a 401 asked for (its `WWW-Authenticate`) for a token; rejects with a coded error. */
  obtain(address: RepositoryAddress, challenge: string | null, deadline: Deadline): Promise<string>
}

interface HeldToken {
  readonly token: string
  /** On the monotonic clock. */
  readonly goodUntil: number
}

interface Challenge {
  readonly realm: URL
  readonly service: string | null
  readonly scope: string | null
}

/** What the token specification says of an answer that names no lifetime. */
const defaultLifetimeSeconds = 60
const marginSeconds = 10

export function createRegistryTokens(options: {
  readonly http: RegistryHttp
  readonly credentials: RegistryCredentials | null
  readonly clock: Clock
}): RegistryTokens {
  const { http, clock } = options
  const tokens = createBoundedCache<HeldToken>(1000)
  const exchanges = createSingleFlight<string>()

  async function authorization(address: RepositoryAddress): Promise<Record<string, string>> {
    const allowed = address.origin === `https://${address.host}` && isGoogleRegistry(address.host)
    if (!allowed || options.credentials === null) return {}
    const token = await options.credentials.accessToken()
    return { authorization: `Basic ${Buffer.from(`oauth2accesstoken:${token}`).toString('base64')}` }
  }

  async function exchange(address: RepositoryAddress, challenge: Challenge, deadline: Deadline): Promise<string> {
    const asked = clock.monotonic()
    const headers = { accept: 'application/json', ...(await authorization(address)) }
    deadline.signal.throwIfAborted()
    const reply = await http({ method: 'GetToken', url: tokenUrl(address, challenge), headers, deadline })
    const code = refusalCode(reply.status)
    if (code !== null)
      throw new DriftwatchError(code, `${address.host} gives no token for ${address.path} (HTTP ${reply.status})`)
    const { token, lifetimeSeconds } = readToken(reply.body, address)
    tokens.set(keyOf(address), { token, goodUntil: asked + (lifetimeSeconds - marginSeconds) * 1000 })
    return token
  }

  return {
    held(address) {
      const held = tokens.get(keyOf(address))
      return held && clock.monotonic() < held.goodUntil ? held.token : null
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
    throw new DriftwatchError('UNAUTHENTICATED', `${address.host} asks for a login that is no token exchange`)
  }
  const url = new URL(realm)
  if (!isTrustedRealm(url, address)) {
    throw new DriftwatchError(
      'UNAUTHENTICATED',
      `${address.host} sends its logins to ${url.protocol}//${url.host}, which is not its own: nothing was sent there`,
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

/** Token hosts that are not below the registry's own name. */
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
  const answer = (body && parseJson(body)) as { token?: unknown; access_token?: unknown; expires_in?: unknown } | null
  const token = answer?.token ?? answer?.access_token
  // `fetch` quotes a header value that it refuses: only what it takes is passed on.
  if (typeof token !== 'string' || !/^[\x21-\x7e]+$/.test(token)) {
    throw new DriftwatchError('MALFORMED_RESPONSE', `${address.host} answered the token exchange without a token`)
  }
  const lifetime = answer?.expires_in
  return { token, lifetimeSeconds: typeof lifetime === 'number' ? lifetime : defaultLifetimeSeconds }
}
