import type { googleAuthLibrary } from 'google-gax'
import { DriftwatchError } from '../../errors.ts'

/**
 * Application Default Credentials, loaded on first use, and again after a failure. Rejects with a coded error
 * (`UNAUTHENTICATED`, `UNAVAILABLE`) without secrets.
 */
export interface GoogleCredentials {
  accessToken(): Promise<string>
  /** The headers that authorize a request to `url`. */
  requestHeaders(url?: string | URL): Promise<Headers>
}

/** A service account is limited by its roles, not by the scope. */
const scope = 'https://www.googleapis.com/auth/cloud-platform'

type GoogleAuth = InstanceType<typeof googleAuthLibrary.GoogleAuth>

export function createGoogleCredentials(): GoogleCredentials {
  let source: Promise<GoogleAuth> | null = null

  async function request<T>(send: (auth: GoogleAuth) => Promise<T>): Promise<T> {
    source ??= import('google-gax').then(gax => new gax.googleAuthLibrary.GoogleAuth({ scopes: [scope] }))
    try {
      return await send(await source)
    } catch (thrown) {
      // The library may cache the failure.
      source = null
      throw credentialError(thrown)
    }
  }

  return {
    async accessToken() {
      const token = await request(auth => auth.getAccessToken())
      if (token && /^[\x21-\x7e]+$/.test(token)) return token
      throw new DriftwatchError('UNAUTHENTICATED', 'Google Cloud returned no access token. Check the credentials.')
    },
    requestHeaders: url => request(auth => auth.getRequestHeaders(url)),
  }
}

/** Errors of Google's library may contain the request with its secrets. */
function credentialError(thrown: unknown): DriftwatchError {
  if (isTemporary(thrown)) {
    return new DriftwatchError('UNAVAILABLE', 'Google Cloud cannot issue an access token at the moment')
  }
  return new DriftwatchError(
    'UNAUTHENTICATED',
    'no valid Google Cloud credentials. Run "gcloud auth application-default login", or run as a service account.',
  )
}

function isTemporary(thrown: unknown): boolean {
  const { status, code } = (thrown ?? {}) as { status?: unknown; code?: unknown }
  if (typeof status === 'number') return status === 429 || status >= 500
  return typeof code === 'string' && /^(E[A-Z]+|UND_ERR_.*)$/.test(code) && code !== 'ENOENT'
}
