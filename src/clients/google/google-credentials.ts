import { DriftwatchError } from '../../errors.ts'

/**
 * Google's Application Default Credentials. They are looked for when they are needed, and again after a lookup that
 * failed. Rejects with a coded error (`UNAUTHENTICATED`, `UNAVAILABLE`) that shows no secret.
 */
export interface GoogleCredentials {
  accessToken(): Promise<string>
  /** The headers that authorize a request to `url`. */
  requestHeaders(url?: string | URL): Promise<Headers>
}

/** What the clients ask for; a service account is bound by its roles, whatever the scope. */
const scope = 'https://www.googleapis.com/auth/cloud-platform'

/** As much of Google's library as is used. */
interface AuthSource {
  getAccessToken(): Promise<string | null | undefined>
  getRequestHeaders(url?: string | URL): Promise<Headers>
}

/** Google's library is loaded when it is needed first. */
export function createGoogleCredentials(): GoogleCredentials {
  let source: Promise<AuthSource> | null = null

  async function load(): Promise<AuthSource> {
    const { googleAuthLibrary } = await import('google-gax')
    return new googleAuthLibrary.GoogleAuth({ scopes: [scope] })
  }

  async function ask<T>(question: (auth: AuthSource) => Promise<T>): Promise<T> {
    source ??= load()
    try {
      return await question(await source)
    } catch (thrown) {
      // The library may keep what failed.
      source = null
      throw credentialError(thrown)
    }
  }

  return {
    async accessToken() {
      const token = await ask(auth => auth.getAccessToken())
      if (token && /^[\x21-\x7e]+$/.test(token)) return token
      throw new DriftwatchError('UNAUTHENTICATED', `Google's credentials gave no access token`)
    },
    requestHeaders: url => ask(auth => auth.getRequestHeaders(url)),
  }
}

/** In words of our own: what Google's library throws may carry the request with its secrets. */
function credentialError(thrown: unknown): DriftwatchError {
  if (isPassing(thrown)) {
    return new DriftwatchError('UNAVAILABLE', 'Google gave no access token at this moment')
  }
  return new DriftwatchError(
    'UNAUTHENTICATED',
    'there are no Google credentials that work: run as a service account, or `gcloud auth application-default login`',
  )
}

function isPassing(thrown: unknown): boolean {
  const { status, code } = (thrown ?? {}) as { status?: unknown; code?: unknown }
  if (typeof status === 'number') return status === 429 || status >= 500
  return typeof code === 'string' && /^(E[A-Z]+|UND_ERR_.*)$/.test(code) && code !== 'ENOENT'
}
