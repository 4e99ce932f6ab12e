import { randomBytes } from 'node:crypto'

/** How the registry wants to be asked: what it answers, and what it takes. */
export interface TokenRules {
  /** Where the challenge sends; the emulator's own token endpoint if left out. */
  readonly realm?: string
  /** The challenge itself, whole, in place of a Bearer one. */
  readonly challenge?: string
  /** What the token endpoint takes as Basic password of `oauth2accesstoken`; it gives to anybody if left out. */
  readonly accessToken?: string
  /** Default 300; null says none. */
  readonly expiresInSeconds?: number | null
  /** The name of the token in the answer; registries use either. Default `token`. */
  readonly field?: 'token' | 'access_token'
  /** A token to give instead of a random one. */
  readonly token?: string
}

export interface TokenDesk {
  /** Null: nobody is asked for a token. */
  rule(rules: TokenRules | null): void
  /** Forgets every token that was given. */
  revoke(): void
  /** The `WWW-Authenticate` to refuse this request with, or null where it may pass. */
  challenge(repository: string, authorization: string | undefined, host: string): string | null
  /** What the token endpoint answers; null refuses. */
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
