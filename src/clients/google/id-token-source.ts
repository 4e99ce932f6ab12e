import { DriftwatchError } from '../../errors.ts'

/** OIDC identity tokens of Driftwatch's own account. */
export interface IdTokenSource {
  /** Rejects with UNAUTHENTICATED, without secrets. */
  token(audience: string): Promise<string>
}

/** Uses the Application Default Credentials. Google's library is loaded on first use, and caches tokens. */
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
        `cannot get an identity token for ${audience}. Run as a service account.`,
      )
    },
  }
}
