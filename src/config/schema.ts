import type { FromSchema, JSONSchema } from 'json-schema-to-ts'
import { alertsSchema } from './sections/alerts.ts'
import { discoverSchema } from './sections/discover.ts'
import { quotaSchema } from './sections/quota.ts'
import { serverSchema } from './sections/server.ts'
import { stackSchema } from './sections/stack.ts'
import { duration } from './sections/values.ts'

/**
 * The config file's shape, once `defaults` are merged into its stacks: the source of its types, defaults and docs.
 * `file-schema.ts` makes of it what editors use.
 */
export const configSchema = {
  type: 'object',
  description: 'The config file of Driftwatch.',
  additionalProperties: false,
  properties: {
    schedule: {
      type: 'string',
      title: 'a cron expression',
      format: 'cron',
      examples: ['*/30 * * * * *', '*/5 * * * *'],
      default: '*/30 * * * * *',
      description: 'When to look, in UTC: five fields, or six with seconds first.',
    },
    timeout: duration('10s', 'timeout', 'Bounds one probe of one stack, retries included.'),
    rolloutGrace: duration('15m', 'duration', 'How long a rollout explains a difference.'),
    staleAfter: duration(
      '5m',
      'positive-duration',
      "How long a look is believed: longer than the schedule's longest gap plus `timeout`.",
    ),
    host: {
      type: 'string',
      title: 'an IP address or host name',
      format: 'host',
      examples: ['0.0.0.0', '127.0.0.1'],
      default: '0.0.0.0',
      description: 'The address that `serve` listens on; the port is `PORT`.',
    },
    server: serverSchema,
    alerts: alertsSchema,
    quota: quotaSchema,
    discover: discoverSchema,
    defaults: {
      type: 'object',
      description:
        "What stacks share, listed and discovered: any keys of a stack but `name`. A stack's own keys win; maps are merged key by key, lists are replaced.",
    },
    stacks: {
      type: 'array',
      default: [],
      description: 'What is watched. There may be none where there is `discover`.',
      items: stackSchema,
    },
  },
} as const satisfies JSONSchema

/** A valid config file, defaults filled in. */
export type ConfigFile = FromSchema<typeof configSchema>
