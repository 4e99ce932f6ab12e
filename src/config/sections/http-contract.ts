import type { FromSchema, JSONSchema } from 'json-schema-to-ts'
import { durationPattern, exactDuration, parseDuration } from '../../duration.ts'
import type { ConfigPath, Problem } from '../problem.ts'
import { createSecret, type Secret } from '../secret.ts'

export const jsonTypes = ['string', 'number', 'integer', 'boolean', 'object', 'array', 'null'] as const

const assertionSchema = {
  type: 'object',
  description: 'What must hold at one place of the JSON document that is answered.',
  additionalProperties: false,
  required: ['at'],
  properties: {
    at: {
      type: 'string',
      title: 'a JSON Pointer (RFC 6901)',
      format: 'json-pointer',
      examples: ['/paths/~1credit~1intent'],
      description: 'The place, as a JSON Pointer: `~1` is `/`, `~0` is `~`; empty is the whole document.',
    },
    present: { type: 'boolean', default: true, description: 'Whether something must be there, or nothing.' },
    type: { enum: jsonTypes, description: 'The JSON type that it must have.' },
    equal: {
      type: 'string',
      title: 'text',
      description: 'What it must be: a text as it is, anything else as its JSON.',
    },
    matches: {
      type: 'string',
      title: 'a regular expression of RE2',
      format: 're2',
      examples: ['^v\\d+$'],
      description: 'A regular expression (RE2) that must match somewhere in the text that is there.',
    },
  },
} as const satisfies JSONSchema

const requestSchema = {
  type: 'object',
  description: 'One GET request, and what its answer must be.',
  additionalProperties: false,
  required: ['name', 'path'],
  properties: {
    name: {
      type: 'string',
      title: 'a short name of letters, digits and dashes',
      pattern: '^[A-Za-z][A-Za-z0-9-]{0,62}$',
      examples: ['openapi'],
      description: 'What findings call it: unique in the stack.',
    },
    path: {
      type: 'string',
      title: 'a path that begins with /',
      pattern: '^/(?!/)[\\x21-\\x7e]*$',
      examples: ['/openapi.json'],
      description: 'The path, with its query if it has one.',
    },
    status: {
      type: 'integer',
      title: 'an HTTP status from 200 to 599',
      minimum: 200,
      maximum: 599,
      default: 200,
      examples: ['200'],
      description: 'The status that must be answered.',
    },
    maxLatency: {
      type: 'string',
      title: 'a duration above 0s and of 25s at most',
      pattern: durationPattern,
      format: 'timeout',
      examples: ['2s'],
      description:
        'How long the whole answer may take: at most nine tenths of `timeout`. One that takes longer is asked for once more. Left out: 5s, or those nine tenths where they are less.',
    },
    expect: {
      type: 'array',
      default: [],
      description: 'What must hold of the JSON document that is answered. Empty: the body is not looked at.',
      items: assertionSchema,
    },
  },
} as const satisfies JSONSchema

/** The `httpContract` part of a stack as the file says it. */
export const httpContractSchema = {
  type: 'object',
  description: 'Requests that the service must answer, and how (check `http-contract`). Left out: not judged.',
  additionalProperties: false,
  required: ['url', 'requests'],
  properties: {
    url: {
      type: 'string',
      title: 'an https URL without path, or an http one of this machine',
      format: 'http-origin',
      examples: ['https://runtime-abc-uc.a.run.app'],
      description: 'Where the service answers. Empty: as if the part were left out.',
    },
    bearerToken: {
      type: 'string',
      title: 'a token',
      format: 'token',
      writeOnly: true,
      default: '',
      description: 'Sent as `Authorization: Bearer`: a secret, to be taken from a variable. Empty: not sent.',
    },
    identityTokenAudience: {
      type: 'string',
      title: 'an audience',
      default: '',
      description: 'Sends an OIDC identity token of the credentials for this audience instead. Empty: not sent.',
    },
    requests: { type: 'array', minItems: 1, description: 'What is asked.', items: requestSchema },
  },
} as const satisfies JSONSchema

export type HttpContractFile = FromSchema<typeof httpContractSchema>

/** What must hold at one place of a JSON document. */
export interface Assertion {
  /** A JSON Pointer. */
  readonly at: string
  readonly present: boolean
  readonly type: (typeof jsonTypes)[number] | null
  readonly equal: string | null
  /** A regular expression of RE2. */
  readonly matches: string | null
}

export interface HttpRequestConfig {
  readonly name: string
  readonly path: string
  readonly status: number
  readonly maxLatencyMs: number
  readonly expect: readonly Assertion[]
}

/** Requests that the service must answer, as the config says them. */
export interface HttpContractConfig {
  /** An origin: `https://host`. */
  readonly url: string
  readonly bearerToken: Secret | null
  readonly identityTokenAudience: string | null
  /** At least one; names are unique. */
  readonly requests: readonly HttpRequestConfig[]
}

const usualLatencyMs = 5000

/** Of a look's time, what the requests of a contract may take: that one is not answered is a finding, and no failed look. */
export function answerWithinMs(timeoutMs: number): number {
  return Math.floor(timeoutMs * 0.9)
}

export function resolveHttpContract(file: HttpContractFile, timeoutMs: number): HttpContractConfig {
  const defaultLatencyMs = Math.min(usualLatencyMs, answerWithinMs(timeoutMs))
  return {
    url: new URL(file.url).origin,
    bearerToken: file.bearerToken ? createSecret(file.bearerToken, '***') : null,
    identityTokenAudience: file.identityTokenAudience || null,
    requests: file.requests.map(({ maxLatency, expect, ...request }) => ({
      ...request,
      maxLatencyMs: parseDuration(maxLatency ?? '') ?? defaultLatencyMs,
      expect: expect.map(({ at, present, type = null, equal = null, matches = null }) => ({
        at,
        present,
        type,
        equal,
        matches,
      })),
    })),
  }
}

/** A limit that is reached only when nobody waits any longer would prove nothing. */
export function brokenLatencies(file: HttpContractFile, path: ConfigPath, timeoutMs: number): Problem[] {
  const longestMs = answerWithinMs(timeoutMs)
  return file.requests.flatMap(({ maxLatency }, index): Problem[] => {
    if (maxLatency === undefined || (parseDuration(maxLatency) ?? 0) <= longestMs) return []
    const message = `${maxLatency} is longer than nine tenths of timeout (${exactDuration(timeoutMs)}), after which no answer is waited for: make it ${exactDuration(longestMs)} at most, or timeout longer`
    return [{ path: [...path, 'requests', index, 'maxLatency'], at: 'value', message }]
  })
}

/** Names tell findings apart, and there is one `Authorization`. */
export function brokenHttpContract(file: HttpContractFile, path: ConfigPath): Problem[] {
  const names = file.requests.map(({ name }) => name)
  const repeated = names.flatMap((name, index): Problem[] => {
    if (names.indexOf(name) === index) return []
    const message = `another request is named "${name}" already: names must be unique`
    return [{ path: [...path, 'requests', index, 'name'], at: 'value', message }]
  })
  if (!file.bearerToken || !file.identityTokenAudience) return repeated
  const message = 'there is a `bearerToken` too: only one of them can be sent'
  return [...repeated, { path: [...path, 'identityTokenAudience'], at: 'key', message }]
}
