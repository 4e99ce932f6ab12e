import type { FromSchema, JSONSchema } from 'json-schema-to-ts'
import { closed, duration, list, name } from './values.ts'

const notificationChannels = (description: string) =>
  list(description, {
    type: 'string',
    title: 'the resource name of a notification channel',
    pattern: '^projects/[^/]+/notificationChannels/[A-Za-z0-9_-]+$',
    examples: ['projects/acme-production/notificationChannels/4093201'],
  })

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
  ...closed,
  description: 'Sends the alerts of some stacks to other notification channels.',
  required: ['name', 'labels', 'notificationChannels'],
  properties: {
    name: name(
      'payments',
      'The name of the route, used in the names of its policies. Must be unique and not `default`.',
    ),
    labels: {
      type: 'object',
      minProperties: 1,
      title: 'a map with at least one label',
      description: 'The labels that select stacks. A stack must have all of them.',
      additionalProperties: { type: 'string', title: 'text' },
    },
    notificationChannels: notificationChannels('The notification channels of the route.'),
  },
} as const satisfies JSONSchema

/** The `alerts` key of the file. */
export const alertsSchema = {
  ...closed,
  default: {},
  description: 'Where alerts go and how the alert policies are managed.',
  properties: {
    channels: {
      type: 'array',
      default: ['log', 'cloud-monitoring'],
      description:
        'Where results are published after each cycle. `log` writes a line for each change of status. `cloud-monitoring` writes the metrics that the alert policies watch.',
      items: { enum: ['log', 'cloud-monitoring'] },
    },
    policies: {
      type: 'string',
      enum: ['off', 'verify', 'manage'],
      default: 'off',
      description:
        'What `serve` does with the alert policies at startup and every hour. `manage` creates and updates them. `verify` only reports differences. `off` leaves them to `driftwatch alerts apply`.',
    },
    severity: {
      type: 'string',
      enum: ['critical', 'error', 'warning'],
      default: 'error',
      description:
        'The severity of alerts about drift. Alerts about checks that stay `unknown` are `warning`; the alert about a monitor that sends no data is `critical`.',
    },
    unknownAfter: duration('15m', 'minutes', 'How long a check may be `unknown` before an alert is sent.'),
    autoClose: duration(
      '7d',
      'auto-close',
      'When Cloud Monitoring closes an incident that receives no data. Must be longer than the monitor may be down.',
    ),
    notificationChannels: notificationChannels(
      'The notification channels for all stacks without a matching route, and for the alert about a monitor that sends no data.',
    ),
    routes: list(
      'Routes for the alerts of some stacks. The first route whose labels match a stack applies.',
      routeSchema,
    ),
    baseUrl: url(
      'The URL of Driftwatch, for links from alerts to `/drift/{stack}`. If empty: no links.',
      'https://driftwatch-482910.us-central1.run.app',
    ),
    runbookUrl: url('The runbook page that alerts link to. If empty: no link.', 'https://wiki.acme.dev/driftwatch'),
    uptimeCheck: {
      type: 'boolean',
      default: false,
      description:
        'Whether to create an uptime check for `/drift/gate` at `baseUrl`. It sends an OIDC token of the Monitoring service agent.',
    },
  },
} as const satisfies JSONSchema

export type AlertsFile = FromSchema<typeof alertsSchema>

/** The resolved `alerts` key. */
export interface AlertsConfig
  extends Readonly<Omit<AlertsFile, 'unknownAfter' | 'autoClose' | 'baseUrl' | 'runbookUrl'>> {
  /** Whole minutes. */
  readonly unknownAfterMs: number
  readonly autoCloseMs: number
  /** Without a trailing slash; null if not set. */
  readonly baseUrl: string | null
  readonly runbookUrl: string | null
}
