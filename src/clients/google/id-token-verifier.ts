import { DriftwatchError } from '../../errors.ts'
import type { GoogleKeys } from './google-keys.ts'

/** Verifies OIDC identity tokens of Google. */
export interface IdTokenVerifier {
  /** The verified email address of the account. Rejects with TOKEN_REFUSED or KEYS_UNAVAILABLE. */
  verify(token: string): Promise<string>
}

const maxLifetimeSeconds = 86_400

export function createIdTokenVerifier(audience: string, keys: GoogleKeys): IdTokenVerifier {
  const options = {
    algorithms: ['RS256'],
    issuer: ['https://accounts.google.com', 'accounts.google.com'],
    audience,
    requiredClaims: ['exp'],
    maxTokenAge: maxLifetimeSeconds,
    clockTolerance: 300,
  }

  async function claimsOf(token: string) {
    const { jwtVerify } = await import('jose/jwt/verify')
    try {
      return (await jwtVerify(token, keys.find, options)).payload
    } catch (thrown) {
      // Other errors may contain the token.
      throw thrown instanceof DriftwatchError ? thrown : refused()
    }
  }

  return {
    async verify(token) {
      const { aud, iat = 0, exp = 0, email, email_verified: isVerified } = await claimsOf(token)
      if (aud !== audience || exp - iat > maxLifetimeSeconds) throw refused()
      if (typeof email !== 'string' || isVerified !== true) throw refused()
      return email
    },
  }
}

function refused(): DriftwatchError {
  return new DriftwatchError(
    'TOKEN_REFUSED',
    'not a valid Google identity token for the audience of server.auth, or expired. Request a new token.',
  )
}
