import type { FromSchema, JSONSchema } from 'json-schema-to-ts'
import type { Problem } from '../problem.ts'
import { createSecret, type Secret } from '../secret.ts'
import { closed, list } from './values.ts'

const authSchema = {
  ...closed,
  default: {},
  description: 'Authentication of HTTP requests.',
  properties: {
    kind: {
      type: 'string',
      enum: ['none', 'bearer', 'google'],
      default: 'none',
      description:
        'How requests are authenticated: `bearer` with one of `tokens`, `google` with a Google identity token for `audience`. With `none`, any client may read and `POST /refresh` is disabled; on Cloud Run, IAM can restrict access.',
    },
    for: {
      type: 'string',
      enum: ['all', 'acting'],
      default: 'all',
      description:
        'Which requests need authentication: `all`, or only those that start an action (`POST /refresh`). `/health` never needs it.',
    },
    tokens: list(
      'For `bearer`: the accepted tokens. They are secrets: use variables. List two tokens to rotate one. Empty tokens are ignored.',
      {
        type: 'string',
        title: 'a token of at least 20 letters, digits and -._~+/=',
        format: 'bearer-token',
        writeOnly: true,
      },
    ),
    audience: {
      type: 'string',
      title: 'an audience',
      examples: ['https://driftwatch-482910.us-central1.run.app'],
      default: '',
      description: 'For `google`: the required audience of the token, usually the URL of Driftwatch.',
    },
    callers: list('For `google`: the email addresses of the allowed accounts.', {
      type: 'string',
      title: 'an email address',
      pattern: '^[^\\s@]+@[^\\s@]+$',
      examples: ['deployer@acme-production.iam.gserviceaccount.com'],
    }),
  },
} as const satisfies JSONSchema

/** The `server` key of the file. */
export const serverSchema = {
  ...closed,
  default: {},
  description: 'The HTTP server of `serve`.',
  properties: { auth: authSchema },
} as const satisfies JSONSchema

type ServerFile = FromSchema<typeof serverSchema>

/** Which requests need authentication. */
export type AuthScope = ServerFile['auth']['for']

/** The resolved `server.auth` key. */
export type AuthConfig =
  | { readonly kind: 'none' }
  | { readonly kind: 'bearer'; readonly for: AuthScope; readonly tokens: readonly Secret[] }
  | {
      readonly kind: 'google'
      readonly for: AuthScope
      readonly audience: string
      /** Email addresses in lower case. */
      readonly callers: readonly string[]
    }

export interface ServerConfig {
  readonly auth: AuthConfig
}

export function resolveServer({ auth }: ServerFile): ServerConfig {
  const { kind, tokens, audience, callers } = auth
  if (kind === 'bearer') {
    const secrets = [...new Set(tokens)].filter(Boolean).map(token => createSecret(token, '***'))
    return { auth: { kind, for: auth.for, tokens: secrets } }
  }
  if (kind === 'google') {
    return { auth: { kind, for: auth.for, audience, callers: callers.map(caller => caller.toLowerCase()) } }
  }
  return { auth: { kind } }
}

/** Reports keys that the kind of authentication needs, and keys that only another kind uses. */
export function findServerProblems({ auth }: ServerFile): Problem[] {
  const { kind, tokens, audience, callers } = auth
  const at = (key: string, message: string): Problem => ({ path: ['server', 'auth', key], at: 'value', message })
  const given = { tokens: tokens.length > 0, audience: audience !== '', callers: callers.length > 0 }
  const keys = { none: [], bearer: ['tokens'], google: ['audience', 'callers'] }[kind] as (keyof typeof given)[]
  const missing = keys.filter(key => !given[key]).map(key => at(key, `required by \`kind: ${kind}\``))
  const extra = (Object.keys(given) as (keyof typeof given)[]).filter(key => given[key] && !keys.includes(key))
  const empty = kind === 'bearer' && given.tokens && !tokens.some(Boolean)
  return [
    ...missing,
    ...(empty ? [at('tokens', 'every token is empty, so all requests would be rejected')] : []),
    ...extra.map(key => at(key, `not used with \`kind: ${kind}\`: remove this key, or change \`kind\``)),
  ]
}
