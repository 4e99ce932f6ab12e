import { DriftwatchError } from '../../errors.ts'
import type { GoogleKeys, Keys } from './google-keys.ts'

/** Tells who an OIDC identity token of Google was issued to. */
export interface IdTokenVerifier {
  /**
   * The verified email address of the account. Rejects with TOKEN_REFUSED, or with KEYS_UNAVAILABLE where Google's keys
   * could not be read.
   */
  verify(token: string): Promise<string>
}

export interface IdTokenOptions {
  /** What a token must be made for. */
  readonly audience: string
  readonly keys: GoogleKeys
}

/** As much of Google's library as is used. */
interface Verifier {
  verifySignedJwtWithCertsAsync(
    token: string,
    certs: Keys,
    audience: string,
    issuers: string[],
  ): Promise<{ getPayload(): { email?: string; email_verified?: boolean } | undefined }>
}

const issuers = ['https://accounts.google.com', 'accounts.google.com']

/** Google's library checks signature, issuer, audience and times (five minutes of skew). */
export function createIdTokenVerifier({ audience, keys }: IdTokenOptions): IdTokenVerifier {
  let verifier: Promise<Verifier> | null = null

  async function load(): Promise<Verifier> {
    const { googleAuthLibrary } = await import('google-gax')
    return new googleAuthLibrary.OAuth2Client()
  }

  return {
    async verify(token) {
      if (!isSigned(token)) throw refused()
      verifier ??= load()
      const client = await verifier
      const certs = await keys.read()
      const ticket = await client.verifySignedJwtWithCertsAsync(token, certs, audience, issuers).catch(() => {
        // What the library throws holds the token.
        throw refused()
      })
      const { email, email_verified: verified } = ticket.getPayload() ?? {}
      if (typeof email !== 'string' || verified !== true) throw refused()
      return email
    },
  }
}

/** Whether it looks like what Google signs; nothing is fetched for anything else. */
function isSigned(token: string): boolean {
  const [head = '', ...rest] = token.split('.')
  try {
    const { alg, kid } = JSON.parse(Buffer.from(head, 'base64url').toString())
    return alg === 'RS256' && typeof kid === 'string' && rest.length === 2
  } catch {
    return false
  }
}

function refused(): DriftwatchError {
  const message = 'the token is no valid identity token of Google for the audience of server.auth: it may have expired'
  return new DriftwatchError('TOKEN_REFUSED', message)
}
