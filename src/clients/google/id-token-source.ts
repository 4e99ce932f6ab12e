import { DriftwatchError } from '../../errors.ts'

/** OIDC identity tokens of the account that Driftwatch runs as. */
export interface IdTokenSource {
  /** Rejects with UNAUTHENTICATED, in words that show no secret. */
  token(audience: string): Promise<string>
}

/** Of the Application Default Credentials; Google's library is loaded when the first token is asked for, and keeps tokens. */
export function createIdTokenSource(): IdTokenSource {
  const clients = new Map<string, Promise<{ getRequestHeaders(): Promise<Headers> }>>()

  async function load(audience: string) {
    const { googleAuthLibrary } = await import('google-gax')
    return new googleAuthLibrary.GoogleAuth().getIdTokenClient(audience)
  }

  return {
    async token(audience) {
      const client = clients.get(audience) ?? load(audience)
      clients.set(audience, client)
      try {
        const header = (await (await client).getRequestHeaders()).get('authorization') ?? ''
        const [, token] = /^Bearer ([\x21-\x7e]+)$/i.exec(header) ?? []
        if (token) return token
      } catch {
        clients.delete(audience)
      }
      throw new DriftwatchError(
        'UNAUTHENTICATED',
        `the credentials give no identity token for ${audience}: run as a service account`,
      )
    },
  }
}
