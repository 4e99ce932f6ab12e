import { createHash, timingSafeEqual } from 'node:crypto'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { GoogleKeys } from '../clients/google/google-keys.ts'
import { createIdTokenVerifier, type IdTokenVerifier } from '../clients/google/id-token-verifier.ts'
import type { Secret } from '../config/secret.ts'
import type { AuthConfig, AuthScope } from '../config/sections/server.ts'
import { DriftwatchError } from '../errors.ts'
import { pathOf } from './error-replies.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** `open`: no authentication. `acting`: always needs authentication. If absent, `server.auth.for` decides. */
    readonly access?: 'open' | 'acting'
  }
}

/** Resolves for an accepted token; rejects with TOKEN_REFUSED, CALLER_NOT_ALLOWED or KEYS_UNAVAILABLE. */
export type Authenticate = (token: string) => Promise<void>

export interface Auth {
  readonly for: AuthScope
  readonly authenticate: Authenticate
}

/** The current authentication, or null. */
export type CurrentAuth = () => Auth | null

/** Rejects unauthenticated requests before their parameters are checked. Without auth, actions are disabled. */
export function requireAuth(app: FastifyInstance, currentAuth: CurrentAuth): void {
  app.addHook('onRequest', (request, reply, done) => {
    const { access } = request.routeOptions.config
    const auth = currentAuth()
    if (access === 'open' || (access !== 'acting' && auth?.for !== 'all')) done()
    else if (auth !== null) authenticateRequest(request, reply, auth.authenticate).then(() => done(), done)
    else
      done(
        new DriftwatchError(
          'AUTH_NOT_CONFIGURED',
          `${pathOf(request.url)} is disabled. Set \`server.auth\` to enable it.`,
        ),
      )
  })
}

async function authenticateRequest(
  request: FastifyRequest,
  reply: FastifyReply,
  authenticate: Authenticate,
): Promise<void> {
  const [, token] = /^Bearer +([A-Za-z0-9._~+/-]+=*)$/i.exec(request.headers.authorization ?? '') ?? []
  if (token === undefined) {
    reply.header('www-authenticate', 'Bearer realm="driftwatch"')
    throw new DriftwatchError(
      'TOKEN_MISSING',
      'the request has no token. Send `Authorization: Bearer TOKEN` (see server.auth of the configuration).',
    )
  }
  try {
    await authenticate(token)
  } catch (error) {
    if (error instanceof DriftwatchError && error.code === 'TOKEN_REFUSED') {
      reply.header('www-authenticate', 'Bearer realm="driftwatch", error="invalid_token"')
    }
    throw error
  }
}

/** Accepts the tokens of the config. Compares all of them in constant time. */
export function acceptTokens(tokens: readonly Secret[]): Authenticate {
  const accepted = tokens.map(token => digest(token.reveal()))
  return async token => {
    const given = digest(token)
    const matches = accepted.map(one => timingSafeEqual(one, given))
    if (!matches.includes(true))
      throw new DriftwatchError('TOKEN_REFUSED', 'the token is not one of server.auth.tokens')
  }
}

/** Accepts Google identity tokens of the allowed accounts. */
export function acceptCallers(verifier: IdTokenVerifier, callers: readonly string[]): Authenticate {
  return async token => {
    const email = await verifier.verify(token)
    if (callers.includes(email.toLowerCase())) return
    throw new DriftwatchError('CALLER_NOT_ALLOWED', `${JSON.stringify(email)} is not one of server.auth.callers`)
  }
}

/** Creates the authentication of the config, or null. */
export function createAuth(config: AuthConfig, keys: GoogleKeys): Auth | null {
  if (config.kind === 'none') return null
  const authenticate =
    config.kind === 'bearer'
      ? acceptTokens(config.tokens)
      : acceptCallers(createIdTokenVerifier(config.audience, keys), config.callers)
  return { for: config.for, authenticate }
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}
