import type { FromSchema, JSONSchema } from 'json-schema-to-ts'
import { alertsSchema } from './sections/alerts.ts'
import { discoverSchema } from './sections/discover.ts'
import { quotaSchema } from './sections/quota.ts'
import { serverSchema } from './sections/server.ts'
import { stackSchema } from './sections/stack.ts'
import { closed, duration, list, optionalDuration } from './sections/values.ts'

/**
 * The shape of the config file after `defaults` are merged into its stacks: the source of its types, defaults and docs.
 * `editor-schema.ts` derives the editors' schema from it.
 */
export const configSchema = {
  ...closed,
  description: 'The Driftwatch configuration file.',
  properties: {
    schedule: {
      type: 'string',
      title: 'a cron expression',
      format: 'cron',
      examples: ['*/30 * * * * *', '*/5 * * * *'],
      default: '*/30 * * * * *',
      description: 'When cycles start, in UTC. A cron expression with five fields, or six fields with seconds first.',
    },
    timeout: duration('10s', 'timeout', 'The time limit of one probe of one stack, including retries.'),
    rolloutGrace: duration('15m', 'duration', 'How long after a rollout a difference is `pending` instead of drift.'),
    staleAfter: duration(
      '5m',
      'positive-duration',
      'How long an observation is valid. Must be longer than the longest gap of `schedule` plus `timeout`.',
    ),
    verifyEvery: optionalDuration(
      '10m',
      'positive-duration',
      'Each stack is verified once in this time: it is observed without cached responses, over new connections. It is also the maximum age of a connection to a database, to an API of Google and to a registry. Must not be shorter than the usual gap of `schedule`. Default: 10m, or that gap if it is longer.',
    ),
    host: {
      type: 'string',
      title: 'an IP address or host name',
      format: 'host',
      examples: ['0.0.0.0', '127.0.0.1'],
      default: '0.0.0.0',
      description: 'The address that `serve` listens on. `PORT` sets the port.',
    },
    server: serverSchema,
    alerts: alertsSchema,
    quota: quotaSchema,
    discover: discoverSchema,
    defaults: {
      type: 'object',
      description:
        'Default values for all stacks, listed or discovered: any key of a stack except `name`. Keys of the stack take precedence. Maps are merged key by key; lists are replaced.',
    },
    stacks: list('The stacks to watch. May be empty if `discover` is set.', stackSchema),
  },
} as const satisfies JSONSchema

/** A valid config file with all defaults filled in. */
export type ConfigFile = FromSchema<typeof configSchema>
