import { randomBytes } from 'node:crypto'

/** How the registry authenticates requests. */
export interface TokenRules {
  /** The realm of the challenge; default: the emulator's token endpoint. */
  readonly realm?: string
  /** The complete challenge, instead of a Bearer challenge. */
  readonly challenge?: string
  /** The Basic password of `oauth2accesstoken` that the token endpoint requires; default: none. */
  readonly accessToken?: string
  /** Default 300; null omits it. */
  readonly expiresInSeconds?: number | null
  /** The name of the token in the response; registries use either. Default `token`. */
  readonly field?: 'token' | 'access_token'
  /** The token to issue instead of a random one. */
  readonly token?: string
}

export interface TokenDesk {
  /** Null: no token is required. */
  rule(rules: TokenRules | null): void
  /** Revokes all tokens. */
  revoke(): void
  /** The `WWW-Authenticate` header that rejects this request, or null if the request is allowed. */
  challenge(repository: string, authorization: string | undefined, host: string): string | null
  /** The response of the token endpoint; null rejects the request. */
  give(query: URLSearchParams, authorization: string | undefined): Record<string, unknown> | null
}

export function createTokenDesk(): TokenDesk {
  /** Scope by token. */
  const given = new Map<string, string>()
  let rules: TokenRules | null = null

  return {
    rule(next) {
      rules = next
      given.clear()
    },
    revoke() {
      given.clear()
    },
    challenge(repository, authorization, host) {
      const scope = `repository:${repository}:pull`
      if (rules === null || given.get(authorization?.replace(/^Bearer /, '') ?? '') === scope) return null
      if (rules.challenge !== undefined) return rules.challenge
      return `Bearer realm="${rules.realm ?? `http://${host}/v2/token`}",service="sandbox",scope="${scope}"`
    },
    give(query, authorization) {
      if (rules?.accessToken !== undefined && authorization !== basic('oauth2accesstoken', rules.accessToken))
        return null
      const token = rules?.token ?? randomBytes(24).toString('base64url')
      given.set(token, query.get('scope') ?? '')
      const lifetime = rules?.expiresInSeconds === undefined ? 300 : rules.expiresInSeconds
      return { [rules?.field ?? 'token']: token, ...(lifetime !== null && { expires_in: lifetime }) }
    },
  }
}

function basic(user: string, password: string): string {
  return `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`
}
