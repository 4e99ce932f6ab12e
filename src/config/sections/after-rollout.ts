import type { FromSchema, JSONSchema } from 'json-schema-to-ts'
import { durationPattern, parseDuration } from '../../duration.ts'

const count = (fallback: string, description: string) =>
  ({
    type: 'integer',
    title: 'a whole number of 0 or more',
    minimum: 0,
    default: Number(fallback),
    examples: [fallback],
    description,
  }) as const

const span = (text: string, description: string) =>
  ({
    type: 'string',
    title: 'a duration from 1m to 1d',
    pattern: durationPattern,
    format: 'telemetry-window',
    examples: [text],
    default: text,
    description,
  }) as const

/** The `afterRollout` part of a stack as the file says it. */
export const afterRolloutSchema = {
  type: 'object',
  description:
    'What must not get worse after a rollout, by the time series of Cloud Monitoring (check `after-rollout`). Left out: not judged.',
  additionalProperties: false,
  properties: {
    services: {
      type: 'array',
      default: [],
      description:
        "The Cloud Run services that are watched, of the stack's project and region. Empty: the stack's own.",
      items: {
        type: 'string',
        title: 'a short name of lower-case letters, digits and dashes',
        pattern: '^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$',
        examples: ['runtime'],
      },
    },
    window: span('10m', 'The rolling window that is judged, in whole minutes.'),
    delay: span('4m', 'How long Cloud Monitoring may take until a minute is complete.'),
    maxNewServerErrors: count(
      '0',
      'How many more 5xx responses a service may give than in the window before the rollout.',
    ),
    maxNewErrorLogs: count(
      '0',
      'How many more log entries of severity ERROR or above a service may write than in the window before the rollout.',
    ),
    minRequests: count(
      '1',
      'Fewer requests in the window prove nothing: the check is unknown. 0: no traffic is no reason to worry, and said.',
    ),
  },
} as const satisfies JSONSchema

export type AfterRolloutFile = FromSchema<typeof afterRolloutSchema>

/** What is watched after a rollout, as the config says it. */
export interface AfterRolloutConfig {
  /** At least one. */
  readonly services: readonly string[]
  /** Whole minutes, as is `delayMs`. */
  readonly windowMs: number
  readonly delayMs: number
  readonly maxNewServerErrors: number
  readonly maxNewErrorLogs: number
  readonly minRequests: number
}

/** Series have a point a minute: what is not whole is taken up to the next minute. */
export function resolveAfterRollout(file: AfterRolloutFile, service: string): AfterRolloutConfig {
  const { window, delay, services, ...limits } = file
  const minutes = (text: string) => Math.ceil((parseDuration(text) ?? 0) / 60_000) * 60_000
  return {
    services: services.length > 0 ? [...new Set(services)] : [service],
    windowMs: minutes(window),
    delayMs: minutes(delay),
    ...limits,
  }
}
