import type { FromSchema, JSONSchema } from 'json-schema-to-ts'
import type { Problem } from '../problem.ts'
import { createSecret, type Secret } from '../secret.ts'

export const authKinds = ['none', 'bearer', 'google'] as const
export type AuthKind = (typeof authKinds)[number]

/** Which requests must prove who they come from. */
export const authScopes = ['all', 'acting'] as const
export type AuthScope = (typeof authScopes)[number]

const authSchema = {
  type: 'object',
  default: {},
  description: 'Who may ask.',
  additionalProperties: false,
  properties: {
    kind: {
      type: 'string',
      enum: authKinds,
      default: 'none',
      description:
        'How a request proves who it comes from: `bearer` by one of `tokens`, `google` by an OIDC identity token of Google for `audience`. With `none` everybody who reaches the port may read, and nobody may act: on Cloud Run its IAM stands in front.',
    },
    for: {
      type: 'string',
      enum: authScopes,
      default: 'all',
      description:
        'For which requests: `all`, or only those that make Driftwatch act (`POST /refresh`). Never for `/health`.',
    },
    tokens: {
      type: 'array',
      default: [],
      description:
        'For `bearer`: tokens that are accepted, each a secret to be taken from a variable. Several, so that one can be replaced; empty ones do not count.',
      items: {
        type: 'string',
        title: 'a token of 20 characters at least, of letters, digits and -._~+/=',
        format: 'bearer-token',
        writeOnly: true,
      },
    },
    audience: {
      type: 'string',
      title: 'an audience',
      examples: ['https://driftwatch-482910.us-central1.run.app'],
      default: '',
      description: 'For `google`: what a token must be made for, usually the URL where Driftwatch answers.',
    },
    callers: {
      type: 'array',
      default: [],
      description: 'For `google`: the accounts that may ask, by email.',
      items: {
        type: 'string',
        title: 'an email address',
        pattern: '^[^\\s@]+@[^\\s@]+$',
        examples: ['deployer@acme-production.iam.gserviceaccount.com'],
      },
    },
  },
} as const satisfies JSONSchema

/** The `server` part of the file. */
export const serverSchema = {
  type: 'object',
  default: {},
  description: 'How `serve` is asked.',
  additionalProperties: false,
  properties: { auth: authSchema },
} as const satisfies JSONSchema

export type ServerFile = FromSchema<typeof serverSchema>

/** Who may ask, as the rest of Driftwatch reads it. */
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

/** A door that nobody can pass, and a key that another kind of door has, are slips of the pen. */
export function brokenServer({ auth }: ServerFile): Problem[] {
  const { kind, tokens, audience, callers } = auth
  const at = (key: string, message: string): Problem => ({ path: ['server', 'auth', key], at: 'value', message })
  const given = { tokens: tokens.length > 0, audience: audience !== '', callers: callers.length > 0 }
  const keys = { none: [], bearer: ['tokens'], google: ['audience', 'callers'] }[kind] as (keyof typeof given)[]
  const missing = keys.filter(key => !given[key]).map(key => at(key, `\`kind: ${kind}\` needs it: nobody could ask`))
  const extra = (Object.keys(given) as (keyof typeof given)[]).filter(key => given[key] && !keys.includes(key))
  const empty = kind === 'bearer' && given.tokens && !tokens.some(Boolean)
  return [
    ...missing,
    ...(empty ? [at('tokens', 'every token is empty: nobody could ask')] : []),
    ...extra.map(key => at(key, `means nothing with \`kind: ${kind}\`: leave it out, or change \`kind\``)),
  ]
}
