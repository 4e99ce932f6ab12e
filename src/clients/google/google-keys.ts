import type { JWTVerifyGetKey } from 'jose'
import type { Clock } from '../../clock.ts'
import { type Deadline, withDeadline } from '../../concurrency/deadline.ts'
import { DriftwatchError } from '../../errors.ts'
import { createHttpClient } from '../http/http-client.ts'

/** The public keys of Google's identity tokens. */
export interface GoogleKeys {
  /**
   * Resolves to the key that a token names. Keys are cached for as long as Google allows, from a minute to a day. If the cached keys lack it, they
   * are fetched again, at most once in 30 s. Rejects with KEYS_UNAVAILABLE if Google's keys cannot be read, and with another
   * error if the key does not exist.
   */
  readonly find: JWTVerifyGetKey
  /** Aborts the running fetch. */
  close(): void
}

interface KeySet {
  readonly find: JWTVerifyGetKey
  readonly validUntil: number
}

const fetchWithinMs = 5000
const refetchGapMs = 30_000
/** Google's key set has about 2 KiB. */
const maxBodyBytes = 65_536

/** `url` is the address of a JSON Web Key Set. */
export function createGoogleKeys(clock: Clock, url = 'https://www.googleapis.com/oauth2/v3/certs'): GoogleKeys {
  const client = createHttpClient()
  const closing = new AbortController()
  let cached: KeySet | null = null
  let fetching: Promise<KeySet> | null = null
  let latest: { readonly at: number; readonly keys: Promise<KeySet> } | null = null

  async function fetchKeys(deadline: Deadline): Promise<KeySet> {
    const begin = clock.monotonic()
    const headers = { accept: 'application/json' }
    const response = await client({ url: new URL(url), headers, maxBodyBytes, deadline })
    if (response.status !== 200 || response.body === null) throw new Error(`unusable response ${response.status}`)
    const find = await readKeySet(response.body.toString())
    cached = { find, validUntil: begin + maxAgeMs(response.headers.get('cache-control') ?? '') }
    return cached
  }

  /** Concurrent callers share one fetch. */
  function fetchOnce(): Promise<KeySet> {
    if (fetching) return fetching
    fetching = withDeadline(clock, fetchWithinMs, closing.signal, fetchKeys).finally(() => {
      fetching = null
    })
    latest = { at: clock.monotonic(), keys: fetching }
    return fetching
  }

  function refetch(): Promise<KeySet> {
    return latest && clock.monotonic() < latest.at + refetchGapMs ? latest.keys : fetchOnce()
  }

  return {
    async find(header, token) {
      if (typeof header.kid !== 'string') throw new Error('the token names no key')
      const keys = cached && clock.monotonic() < cached.validUntil ? cached : fetchOnce()
      const key = (await findIn(keys, header, token)) ?? (await findIn(refetch(), header, token))
      if (key === null) throw new Error('the token names an unknown key')
      return key
    },
    close: () => closing.abort(),
  }
}

/** Throws unless at least one key is usable. */
async function readKeySet(text: string): Promise<JWTVerifyGetKey> {
  const { createLocalJWKSet } = await import('jose/jwks/local')
  const jwks = JSON.parse(text)
  const find = createLocalJWKSet(jwks)
  const kids: readonly string[] = jwks.keys.map(({ kid }: { kid: string }) => kid)
  await Promise.any(kids.map(kid => find({ alg: 'RS256', kid })))
  return find
}

/** Null if the set lacks the key. */
async function findIn(keys: KeySet | Promise<KeySet>, ...token: Parameters<JWTVerifyGetKey>) {
  try {
    return await (await keys).find(...token)
  } catch (cause) {
    if (cause instanceof Error && 'code' in cause && cause.code === 'ERR_JWKS_NO_MATCHING_KEY') return null
    throw new DriftwatchError('KEYS_UNAVAILABLE', "cannot read Google's public keys. Retry in a moment.", { cause })
  }
}

/** Not shorter, so that not every token causes a request, and not longer, so that a revoked key is dropped. */
const shortestAgeMs = 60_000
const longestAgeMs = 86_400_000

function maxAgeMs(cacheControl: string): number {
  const [, seconds = 0] = /(?:^|[\s,])max-age="?(\d+)/i.exec(cacheControl) ?? []
  return Math.min(Math.max(Number(seconds) * 1000, shortestAgeMs), longestAgeMs)
}
