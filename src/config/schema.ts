import type { FromSchema, JSONSchema } from 'json-schema-to-ts'
import { durationPattern } from '../duration.ts'
import { type AfterRolloutConfig, afterRolloutSchema } from './after-rollout-schema.ts'
import { type AlertsConfig, alertsSchema } from './alerts-schema.ts'
import { type DatabaseFile, databaseSchema } from './database-schema.ts'
import { type HttpContractConfig, httpContractSchema } from './http-contract-schema.ts'
import { type LaneConfig, lanesSchema } from './lanes-schema.ts'
import type { Secret } from './secret.ts'
import { type ServerConfig, serverSchema } from './server-schema.ts'

const duration = (text: string, format: keyof typeof durationTitles, description: string) =>
  ({
    type: 'string',
    title: durationTitles[format],
    pattern: durationPattern,
    format,
    examples: [text],
    default: text,
    description,
  }) as const

const durationTitles = {
  duration: 'a duration',
  'positive-duration': 'a duration above 0s',
  timeout: 'a duration above 0s and of 25s at most',
} as const

/** What a Cloud Run resource, a region and a stack may be called: short, and safe in URLs, labels and commands. */
const name = (example: string, description: string) =>
  ({
    type: 'string',
    title: 'a short name of lower-case letters, digits and dashes',
    pattern: '^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$',
    examples: [example],
    description,
  }) as const

const container = {
  type: 'string',
  title: 'a container',
  default: '',
  description: 'Which of several containers is judged. Empty: the only one, or the only one with ports.',
} as const satisfies JSONSchema

const serviceSchema = {
  type: 'object',
  description: 'The Cloud Run service that serves.',
  additionalProperties: false,
  required: ['name'],
  properties: {
    name: name('runtime', 'The service.'),
    container,
    repositories: {
      type: 'array',
      default: [],
      description: 'The only repositories that the service may run images of. Empty: not judged.',
      items: {
        type: 'string',
        title: 'an image repository, host and path without tag and digest',
        format: 'repository',
        examples: ['us-central1-docker.pkg.dev/acme/app/runtime'],
      },
    },
    expectedImage: {
      type: 'string',
      title: 'an image',
      format: 'image',
      examples: ['us-central1-docker.pkg.dev/acme/app/runtime:v7'],
      default: '',
      description: 'The image that the service must run. Empty: not judged.',
    },
  },
} as const satisfies JSONSchema

const jobSchema = {
  type: 'object',
  description: 'The Cloud Run job that migrates, locked to the image of the service. Left out: no job is judged.',
  additionalProperties: false,
  required: ['name'],
  properties: {
    name: name('runtime-migrate', 'The job.'),
    container,
    command: {
      type: 'array',
      description:
        "The command that the job must run, as an exact list; `[]` is the image's own entrypoint. Left out: not judged.",
      items: { type: 'string', title: 'a word of the command' },
    },
    args: {
      type: 'array',
      description: 'The arguments of the command, as an exact list. Left out: none where there is a `command`.',
      items: { type: 'string', title: 'an argument' },
    },
    maxDuration: duration('30m', 'positive-duration', 'How long an execution may take before it counts as stuck.'),
  },
} as const satisfies JSONSchema

const stackSchema = {
  type: 'object',
  description: 'What is watched together: one service, its migration job, its database.',
  additionalProperties: false,
  required: ['name', 'project', 'region', 'service'],
  properties: {
    name: name('runtime', 'What Driftwatch calls the stack: unique, and never `gate`.'),
    project: {
      type: 'string',
      title: 'a Google Cloud project ID',
      pattern: '^[a-z0-9]([a-z0-9.:-]*[a-z0-9])?$',
      examples: ['acme-production'],
      description: 'The project that holds the stack.',
    },
    region: name('us-central1', 'The region of the service and the job.'),
    labels: {
      type: 'object',
      default: {},
      description: 'Labels of your own, by which `alerts.routes` choose stacks.',
      additionalProperties: { type: 'string', title: 'text' },
    },
    service: serviceSchema,
    job: jobSchema,
    database: databaseSchema,
    lanes: lanesSchema,
    afterRollout: afterRolloutSchema,
    httpContract: httpContractSchema,
  },
} as const satisfies JSONSchema

/** The config file's shape: the source of its types, defaults and docs, and of the schema that editors use. */
export const configSchema = {
  type: 'object',
  description: 'The config file of Driftwatch.',
  additionalProperties: false,
  required: ['stacks'],
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
    stacks: {
      type: 'array',
      description: 'What is watched.',
      minItems: 1,
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
  /** At least one; names are unique. */
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
