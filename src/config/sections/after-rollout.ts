import type { FromSchema, JSONSchema } from 'json-schema-to-ts'
import { parseDuration } from '../../duration.ts'
import { closed, duration, list, name } from './values.ts'

const count = (fallback: number, description: string) =>
  ({
    type: 'integer',
    title: 'a whole number, 0 or greater',
    minimum: 0,
    default: fallback,
    examples: [String(fallback)],
    description,
  }) as const

/** The `afterRollout` key of a stack. */
export const afterRolloutSchema = {
  ...closed,
  description:
    'Limits for the time after a rollout, measured by Cloud Monitoring (check `after-rollout`). If absent, the check does not run.',
  properties: {
    services: list(
      'The Cloud Run services to watch, in the project and region of the stack. If empty: the service of the stack.',
      name('runtime', 'The name of a service.'),
    ),
    window: duration('10m', 'telemetry-window', 'The length of the rolling window. Rounded up to whole minutes.'),
    delay: duration(
      '4m',
      'telemetry-window',
      'How long Cloud Monitoring needs to complete the data of a minute. Rounded up to whole minutes.',
    ),
    maxNewServerErrors: count(
      0,
      'How many more 5xx responses a service may send than in the window before the rollout.',
    ),
    maxNewErrorLogs: count(
      0,
      'How many more log entries of severity ERROR or above a service may write than in the window before the rollout.',
    ),
    minRequests: count(
      1,
      'The minimum number of requests in the window. With fewer requests the check is `unknown`. With 0 the check passes without traffic and adds a note.',
    ),
  },
} as const satisfies JSONSchema

type AfterRolloutFile = FromSchema<typeof afterRolloutSchema>

/** The resolved `afterRollout` key. `services` has at least one name. */
export interface AfterRolloutConfig extends Readonly<Omit<AfterRolloutFile, 'window' | 'delay'>> {
  /** Whole minutes, as is `delayMs`. */
  readonly windowMs: number
  readonly delayMs: number
}

/** Cloud Monitoring has one point a minute, so durations are rounded up to whole minutes. */
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
