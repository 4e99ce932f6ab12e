import { createPublicKey } from 'node:crypto'
import type { Clock } from '../../clock.ts'
import { withDeadline } from '../../concurrency/deadline.ts'
import { DriftwatchError } from '../../errors.ts'
import { version } from '../../version.ts'
import { readBounded } from '../http/bounded-body.ts'

/** PEM texts by key ID. */
export type Keys = Readonly<Record<string, string>>

/** What Google signs identity tokens with. */
export interface GoogleKeys {
  /** The keys that are valid now, kept for as long as Google says. Rejects with KEYS_UNAVAILABLE. */
  read(): Promise<Keys>
  /** Gives up what is being fetched. */
  close(): void
}

export interface GoogleKeysOptions {
  readonly clock: Clock
  /** Where they are, as JSON; Google's own by default. */
  readonly url?: string
}

/** From the question to the last byte. */
const fetchWithinMs = 5000
/** Google's have 2 KiB. */
const longestBody = 65_536

export function createGoogleKeys({
  clock,
  url = 'https://www.googleapis.com/oauth2/v1/certs',
}: GoogleKeysOptions): GoogleKeys {
  const ending = new AbortController()
  let known: { readonly keys: Keys; readonly until: number } | null = null
  let fetching: Promise<Keys> | null = null

  async function fetchKeys(signal: AbortSignal): Promise<Keys> {
    const asked = clock.monotonic()
    const headers = { accept: 'application/json', 'user-agent': `driftwatch/${version}` }
    const answer = await fetch(url, { headers, signal, redirect: 'error' })
    const body = await readBounded(answer.body, longestBody)
    if (!answer.ok || body === null) throw new Error(`no keys in an answer ${answer.status}`)
    const keys = parseKeys(body.toString())
    known = { keys, until: asked + maxAgeMs(answer.headers) }
    return keys
  }

  /** However many ask, they are fetched once. */
  function fetchOnce(): Promise<Keys> {
    fetching ??= withDeadline(clock, fetchWithinMs, ending.signal, ({ signal }) => fetchKeys(signal)).finally(() => {
      fetching = null
    })
    return fetching.catch(cause => {
      const message = "Google's keys could not be read at this moment: ask again"
      throw new DriftwatchError('KEYS_UNAVAILABLE', message, { cause })
    })
  }

  return {
    async read() {
      return known !== null && clock.monotonic() < known.until ? known.keys : fetchOnce()
    },
    close: () => ending.abort(),
  }
}

/** Throws where it is anything else, so that no caller is blamed for it. */
function parseKeys(text: string): Keys {
  const keys = JSON.parse(text)
  const texts = Object.values(keys ?? {}).map(String)
  if (texts.length === 0) throw new Error('no keys')
  for (const text of texts) createPublicKey(text)
  return keys
}

function maxAgeMs(headers: Headers): number {
  const [, seconds = 0] = /\bmax-age=(\d+)/.exec(headers.get('cache-control') ?? '') ?? []
  return Number(seconds) * 1000
}
