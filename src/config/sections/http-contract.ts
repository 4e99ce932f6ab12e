import type { FromSchema, JSONSchema } from 'json-schema-to-ts'
import { durationPattern, exactDuration, parseDuration } from '../../duration.ts'
import type { ConfigPath, Problem } from '../problem.ts'
import { createSecret, type Secret } from '../secret.ts'
import { closed, list } from './values.ts'

const assertionSchema = {
  ...closed,
  description: 'One assertion about the JSON document in the response.',
  required: ['at'],
  properties: {
    at: {
      type: 'string',
      title: 'a JSON Pointer (RFC 6901)',
      format: 'json-pointer',
      examples: ['/paths/~1credit~1intent'],
      description: 'The value to check, as a JSON Pointer: `~1` is `/`, `~0` is `~`. Empty: the whole document.',
    },
    present: {
      type: 'boolean',
      default: true,
      description: 'Whether the value must be present. With `false`, it must be absent.',
    },
    type: {
      enum: ['string', 'number', 'integer', 'boolean', 'object', 'array', 'null'],
      description: 'The required JSON type.',
    },
    equal: {
      type: 'string',
      title: 'text',
      description: 'The required value: a string without quotes, any other value as JSON.',
    },
    matches: {
      type: 'string',
      title: 'an RE2 regular expression',
      format: 're2',
      examples: ['^v\\d+$'],
      description: 'A regular expression (RE2) that must match a part of the string value.',
    },
  },
} as const satisfies JSONSchema

const requestSchema = {
  ...closed,
  description: 'One GET request and its expected response.',
  required: ['name', 'path'],
  properties: {
    name: {
      type: 'string',
      title: 'a short name of letters, digits and dashes',
      pattern: '^[A-Za-z][A-Za-z0-9-]{0,62}$',
      examples: ['openapi'],
      description: 'The name of the request in findings. Must be unique within the stack.',
    },
    path: {
      type: 'string',
      title: 'a path that starts with /',
      pattern: '^/(?!/)[\\x21\\x22\\x24-\\x7e]*$',
      examples: ['/openapi.json'],
      description: 'The path, with an optional query and without a fragment.',
    },
    status: {
      type: 'integer',
      title: 'an HTTP status from 200 to 599',
      minimum: 200,
      maximum: 599,
      default: 200,
      examples: ['200'],
      description: 'The expected HTTP status.',
    },
    maxLatency: {
      type: 'string',
      title: 'a duration longer than 0s, at most 25s',
      pattern: durationPattern,
      format: 'timeout',
      examples: ['2s'],
      description:
        'How long the complete response may take, at most 90 % of `timeout`. A slower request is retried once. If absent: 5s, or 90 % of `timeout` if that is shorter.',
    },
    expect: list(
      'Assertions about the JSON document in the response. If empty, the body is not checked.',
      assertionSchema,
    ),
  },
} as const satisfies JSONSchema

/** The `httpContract` key of a stack. */
export const httpContractSchema = {
  ...closed,
  description:
    'Requests to the service and their expected responses (check `http-contract`). If absent, the check does not run.',
  required: ['url', 'requests'],
  properties: {
    url: {
      type: 'string',
      title: 'an https URL without a path (http only for localhost)',
      format: 'http-origin',
      examples: ['https://runtime-abc-uc.a.run.app'],
      description: 'The URL of the service. If empty, the whole `httpContract` key is ignored.',
    },
    bearerToken: {
      type: 'string',
      title: 'a token',
      format: 'token',
      writeOnly: true,
      default: '',
      description:
        'A token to send as `Authorization: Bearer`. It is a secret: use a variable. If empty, no token is sent.',
    },
    identityTokenAudience: {
      type: 'string',
      title: 'an audience',
      default: '',
      description:
        'Sends a Google identity token for this audience as `Authorization: Bearer`. If empty, no identity token is sent.',
    },
    requests: { type: 'array', minItems: 1, description: 'The requests.', items: requestSchema },
  },
} as const satisfies JSONSchema

type HttpContractFile = FromSchema<typeof httpContractSchema>

/** One assertion about a value of a JSON document. Null: not asserted. */
export type Assertion = Nullable<FromSchema<typeof assertionSchema>>

type Nullable<T> = {
  readonly [Key in keyof T]-?: undefined extends T[Key] ? Exclude<T[Key], undefined> | null : T[Key]
}

export interface HttpRequestConfig extends Readonly<Omit<FromSchema<typeof requestSchema>, 'maxLatency' | 'expect'>> {
  readonly maxLatencyMs: number
  readonly expect: readonly Assertion[]
}

/** The resolved `httpContract` key. */
export interface HttpContractConfig {
  /** An origin: `https://host`. */
  readonly url: string
  readonly bearerToken: Secret | null
  readonly identityTokenAudience: string | null
  /** At least one; names are unique. */
  readonly requests: readonly HttpRequestConfig[]
}

const usualLatencyMs = 5000

/** The time limit for the requests of one probe: shorter than the probe's, so that a missing response is a finding. */
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

/** A limit longer than the probe waits could never be exceeded. */
export function findLatencyProblems(file: HttpContractFile, path: ConfigPath, timeoutMs: number): Problem[] {
  const longestMs = answerWithinMs(timeoutMs)
  return file.requests.flatMap(({ maxLatency }, index): Problem[] => {
    if (maxLatency === undefined || (parseDuration(maxLatency) ?? 0) <= longestMs) return []
    const message = `${maxLatency} is longer than 90 % of timeout (${exactDuration(timeoutMs)}). Use at most ${exactDuration(longestMs)}, or increase timeout.`
    return [{ path: [...path, 'requests', index, 'maxLatency'], at: 'value', message }]
  })
}

/** Findings refer to requests by name, and a request has only one `Authorization` header. */
export function findHttpContractProblems(file: HttpContractFile, path: ConfigPath): Problem[] {
  const names = file.requests.map(({ name }) => name)
  const repeated = names.flatMap((name, index): Problem[] => {
    if (names.indexOf(name) === index) return []
    const message = `duplicate name "${name}": another request already uses it`
    return [{ path: [...path, 'requests', index, 'name'], at: 'value', message }]
  })
  if (!file.bearerToken || !file.identityTokenAudience) return repeated
  const message = 'conflicts with `bearerToken`: set only one of them'
  return [...repeated, { path: [...path, 'identityTokenAudience'], at: 'key', message }]
}
