import { DriftwatchError } from '../errors.ts'
import type { RegistryCredentials } from './registry-tokens.ts'

/** Enough to read images; a service account on Cloud Run is bound by its roles, whatever the scope. */
const scope = 'https://www.googleapis.com/auth/cloud-platform.read-only'

/**
 * The Application Default Credentials. Google's library is loaded, and the credentials are looked for, when the first
 * token is asked for.
 */
export function createGoogleCredentials(): RegistryCredentials {
  let source: Promise<{ getAccessToken(): Promise<string | null | undefined> }> | null = null

  async function load() {
    const { googleAuthLibrary } = await import('google-gax')
    return new googleAuthLibrary.GoogleAuth({ scopes: [scope] })
  }

  return {
    async accessToken() {
      source ??= load()
      const token = await (await source).getAccessToken().catch(thrown => {
        throw credentialError(thrown)
      })
      if (token && /^[\x21-\x7e]+$/.test(token)) return token
      throw new DriftwatchError('UNAUTHENTICATED', `Google's credentials gave no access token`)
    },
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
  return typeof code === 'string' && /^(E[A-Z]+|UND_ERR_.*)$/.test(code)
}
