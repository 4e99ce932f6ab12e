import { parseDuration } from '../duration.ts'
import { resolveAfterRollout } from './after-rollout-schema.ts'
import type { AlertsConfig } from './alerts-schema.ts'
import { resolveHttpContract } from './http-contract-schema.ts'
import { maskUrl } from './mask.ts'
import type { Config, ConfigFile, DatabaseConfig, JobConfig, Stack } from './schema.ts'
import { createSecret } from './secret.ts'
import { resolveServer } from './server-schema.ts'

/** A valid config file as the rest of Driftwatch reads it. */
export function resolve(file: ConfigFile): Config {
  return {
    schedule: file.schedule,
    timeoutMs: milliseconds(file.timeout),
    rolloutGraceMs: milliseconds(file.rolloutGrace),
    staleAfterMs: milliseconds(file.staleAfter),
    host: file.host,
    server: resolveServer(file.server),
    alerts: resolveAlerts(file.alerts),
    stacks: file.stacks.map(resolveStack),
  }
}

function resolveAlerts({ unknownAfter, autoClose, baseUrl, runbookUrl, ...rest }: ConfigFile['alerts']): AlertsConfig {
  return {
    ...rest,
    channels: [...new Set(rest.channels)],
    unknownAfterMs: milliseconds(unknownAfter),
    autoCloseMs: milliseconds(autoClose),
    baseUrl: baseUrl.replace(/\/+$/, '') || null,
    runbookUrl: runbookUrl || null,
  }
}

function resolveStack(file: ConfigFile['stacks'][number]): Stack {
  const { name, project, region, labels, service, job, database, lanes, afterRollout, httpContract } = file
  return {
    name,
    project,
    region,
    labels,
    service: {
      name: service.name,
      container: service.container || null,
      repositories: service.repositories,
      expectedImage: service.expectedImage || null,
    },
    job: job ? resolveJob(job) : null,
    database: database?.url ? resolveDatabase(database) : null,
    lanes: lanes ?? null,
    afterRollout: afterRollout ? resolveAfterRollout(afterRollout, service.name) : null,
    httpContract: httpContract?.url ? resolveHttpContract(httpContract) : null,
    notes: [
      ...(database?.url === '' ? ['no database part: `database.url` is empty'] : []),
      ...(httpContract?.url === '' ? ['no HTTP contract: `httpContract.url` is empty'] : []),
    ],
  }
}

function resolveJob(job: NonNullable<ConfigFile['stacks'][number]['job']>): JobConfig {
  return {
    name: job.name,
    container: job.container || null,
    command: job.command ?? null,
    args: job.args ?? (job.command ? [] : null),
    maxDurationMs: milliseconds(job.maxDuration),
  }
}

function resolveDatabase(database: NonNullable<ConfigFile['stacks'][number]['database']>): DatabaseConfig {
  return { ...database, url: createSecret(database.url, maskUrl(database.url)) }
}

/** Of a duration that the schema has let pass. */
function milliseconds(duration: string): number {
  return parseDuration(duration) ?? 0
}
