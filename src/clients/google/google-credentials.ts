import type { googleAuthLibrary } from 'google-gax'
import type { Clock } from '../../clock.ts'
import { withDeadline } from '../../concurrency/deadline.ts'
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

/** On Cloud Run, Google's library waits for the metadata server without a limit. */
const answerWithinMs = 20_000

/** A service account is limited by its roles, not by the scope. */
const scope = 'https://www.googleapis.com/auth/cloud-platform'

type GoogleAuth = InstanceType<typeof googleAuthLibrary.GoogleAuth>

export function createGoogleCredentials(clock: Clock): GoogleCredentials {
  let source: Promise<GoogleAuth> | null = null

  async function request<T>(send: (auth: GoogleAuth) => Promise<T>): Promise<T> {
    source ??= import('google-gax').then(gax => new gax.googleAuthLibrary.GoogleAuth({ scopes: [scope] }))
    const answer = source.then(send)
    try {
      return await withDeadline(clock, answerWithinMs, undefined, ({ over }) => Promise.race([answer, over]))
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
  if (thrown instanceof DriftwatchError) return thrown.retryable
  const { status, code } = (thrown ?? {}) as { status?: unknown; code?: unknown }
  if (typeof status === 'number') return status === 429 || status >= 500
  return typeof code === 'string' && /^(E[A-Z]+|UND_ERR_.*)$/.test(code) && code !== 'ENOENT'
}
