import type { JWTHeaderParameters, JWTPayload } from 'jose'
import { systemClock } from '../../clock.ts'
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

  async function verified(token: string) {
    const { jwtVerify } = await import('jose/jwt/verify')
    try {
      return await jwtVerify(token, keys.find, options)
    } catch (thrown) {
      // Other errors may contain the token.
      throw thrown instanceof DriftwatchError ? thrown : refused()
    }
  }

  return {
    async verify(token) {
      const { payload, protectedHeader } = await verified(token)
      const { aud, email, email_verified: isVerified } = payload
      if (!isUsual(protectedHeader) || aud !== audience || !isTimely(payload)) throw refused()
      if (typeof email !== 'string' || isVerified !== true) throw refused()
      return email
    },
  }
}

/** Google's tokens have no extensions, even those that the library understands. */
function isUsual(header: JWTHeaderParameters): boolean {
  const { typ = 'JWT' } = header
  return !('crit' in header) && !('b64' in header) && typeof typ === 'string' && typ.toUpperCase() === 'JWT'
}

/** The library has checked each time against the clock. A start after the issue is intended, and not a clock difference. */
function isTimely({ iat = 0, exp = 0, nbf = iat }: JWTPayload): boolean {
  const isPostponed = nbf > iat && nbf * 1000 > systemClock.now()
  return exp > iat && exp - iat <= maxLifetimeSeconds && !isPostponed
}

function refused(): DriftwatchError {
  return new DriftwatchError(
    'TOKEN_REFUSED',
    'not a valid Google identity token for the audience of server.auth, or expired. Request a new token.',
  )
}
