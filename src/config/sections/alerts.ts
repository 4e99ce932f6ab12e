import type { FromSchema, JSONSchema } from 'json-schema-to-ts'
import { durationPattern } from '../../duration.ts'

export const alertChannels = ['log', 'cloud-monitoring'] as const
export type AlertChannel = (typeof alertChannels)[number]

export const alertSeverities = ['critical', 'error', 'warning'] as const
export type AlertSeverity = (typeof alertSeverities)[number]

/** What the service does about the alert policies. */
export const policyModes = ['off', 'verify', 'manage'] as const
export type PolicyMode = (typeof policyModes)[number]

const notificationChannels = (description: string) =>
  ({
    type: 'array',
    default: [],
    description,
    items: {
      type: 'string',
      title: 'a notification channel by its resource name',
      pattern: '^projects/[^/]+/notificationChannels/[A-Za-z0-9_-]+$',
      examples: ['projects/acme-production/notificationChannels/4093201'],
    },
  }) as const

const url = (description: string, example: string) =>
  ({
    type: 'string',
    title: 'a URL',
    pattern: '^(https?://[^\\s]+)?$',
    examples: [example],
    default: '',
    description,
  }) as const

const routeSchema = {
  type: 'object',
  description: 'Where the alerts of some stacks go.',
  additionalProperties: false,
  required: ['name', 'labels', 'notificationChannels'],
  properties: {
    name: {
      type: 'string',
      title: 'a short name of lower-case letters, digits and dashes',
      pattern: '^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$',
      examples: ['payments'],
      description: 'What the route is called in the names of its policies: unique, and never `default`.',
    },
    labels: {
      type: 'object',
      minProperties: 1,
      title: 'a map of at least one label',
      description: 'The labels that a stack must have, every one of them.',
      additionalProperties: { type: 'string', title: 'text' },
    },
    notificationChannels: notificationChannels('Who is told, by resource name.'),
  },
} as const satisfies JSONSchema

/** What becomes of what is found. */
export const alertsSchema = {
  type: 'object',
  default: {},
  description: 'Who is told when something drifts.',
  additionalProperties: false,
  properties: {
    channels: {
      type: 'array',
      default: ['log', 'cloud-monitoring'],
      description:
        'Where states are published after each cycle: `log` writes a line for each change of status, `cloud-monitoring` writes the metrics that the alert policies watch.',
      items: { enum: alertChannels },
    },
    policies: {
      type: 'string',
      enum: policyModes,
      default: 'off',
      description:
        'What `serve` does about the alert policies, at its start and once an hour: `manage` makes them right, `verify` only reports what differs, `off` leaves them to `driftwatch alerts apply`.',
    },
    severity: {
      type: 'string',
      enum: alertSeverities,
      default: 'error',
      description: 'The severity of a drift. Being blind is a `warning`, a silent monitor is `critical`.',
    },
    unknownAfter: {
      type: 'string',
      title: 'whole minutes, from 1m to 23h30m',
      pattern: durationPattern,
      format: 'minutes',
      examples: ['15m'],
      default: '15m',
      description: 'How long a check may be unknown before somebody is told.',
    },
    autoClose: {
      type: 'string',
      title: 'a duration from 1d to 7d',
      pattern: durationPattern,
      format: 'auto-close',
      examples: ['7d'],
      default: '7d',
      description: 'When an incident that gets no data any more is closed. It must outlast a monitor that is down.',
    },
    notificationChannels: notificationChannels(
      'Who is told, by resource name: a drift and a blind spell of every stack that no route takes, and a silent monitor.',
    ),
    routes: {
      type: 'array',
      default: [],
      description: 'Stacks whose alerts go elsewhere. The first route whose labels a stack has takes it.',
      items: routeSchema,
    },
    baseUrl: url(
      'Where Driftwatch answers, so that an alert can link to `/drift/{stack}`. Empty: no links.',
      'https://driftwatch-482910.us-central1.run.app',
    ),
    runbookUrl: url('The page that an alert sends the reader to. Empty: none.', 'https://wiki.acme.dev/driftwatch'),
    uptimeCheck: {
      type: 'boolean',
      default: false,
      description:
        'Whether there shall be an uptime check on `/drift/gate` of `baseUrl`, with an OIDC token of the Monitoring service agent.',
    },
  },
} as const satisfies JSONSchema

export type AlertsFile = FromSchema<typeof alertsSchema>

/** The alerts as the rest of Driftwatch reads them. */
export interface AlertsConfig {
  readonly channels: readonly AlertChannel[]
  readonly policies: PolicyMode
  readonly severity: AlertSeverity
  /** Whole minutes. */
  readonly unknownAfterMs: number
  readonly autoCloseMs: number
  /** Full resource names. */
  readonly notificationChannels: readonly string[]
  readonly routes: readonly AlertRoute[]
  /** Without a slash at its end; null where there is none. */
  readonly baseUrl: string | null
  readonly runbookUrl: string | null
  readonly uptimeCheck: boolean
}

export interface AlertRoute {
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly notificationChannels: readonly string[]
}
