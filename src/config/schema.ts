import type { FromSchema, JSONSchema } from 'json-schema-to-ts'
import type { Secret } from './secret.ts'
import type { AfterRolloutConfig } from './sections/after-rollout.ts'
import { type AlertsConfig, alertsSchema } from './sections/alerts.ts'
import type { DatabaseFile } from './sections/database.ts'
import { type DiscoverConfig, discoverSchema } from './sections/discover.ts'
import type { HttpContractConfig } from './sections/http-contract.ts'
import type { LaneConfig } from './sections/lanes.ts'
import { type QuotaConfig, quotaSchema } from './sections/quota.ts'
import { type ServerConfig, serverSchema } from './sections/server.ts'
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

/** The config as the rest of Driftwatch reads it: durations in milliseconds, null where nothing is asked for. */
export interface Config {
  /** A cron expression, in UTC. */
  readonly schedule: string
  readonly timeoutMs: number
  readonly rolloutGraceMs: number
  readonly staleAfterMs: number
  readonly host: string
  readonly server: ServerConfig
  readonly alerts: AlertsConfig
  readonly quota: QuotaConfig
  /** Null: nothing is discovered. */
  readonly discover: DiscoverConfig | null
  /** The listed ones: names are unique, and there is at least one where nothing is discovered. */
  readonly stacks: readonly Stack[]
}

export interface Stack {
  readonly name: string
  readonly project: string
  readonly region: string
  readonly labels: Readonly<Record<string, string>>
  readonly service: ServiceConfig
  readonly job: JobConfig | null
  readonly database: DatabaseConfig | null
  /** Null: no lanes are judged. */
  readonly lanes: readonly LaneConfig[] | null
  readonly afterRollout: AfterRolloutConfig | null
  readonly httpContract: HttpContractConfig | null
  /** What an operator should know of the config, such as why a part of it does not count. */
  readonly notes: readonly string[]
}

export interface ServiceConfig {
  readonly name: string
  readonly container: string | null
  /** Empty: not judged. */
  readonly repositories: readonly string[]
  readonly expectedImage: string | null
}

export interface JobConfig {
  readonly name: string
  readonly container: string | null
  /** Null: not judged. */
  readonly command: readonly string[] | null
  /** Null: not judged, since the config has neither command nor args. */
  readonly args: readonly string[] | null
  readonly maxDurationMs: number
}

export interface DatabaseConfig extends Readonly<Omit<DatabaseFile, 'url'>> {
  readonly url: Secret
}
