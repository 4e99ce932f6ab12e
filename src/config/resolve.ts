import { parseDuration } from '../duration.ts'
import { maskUrl } from './mask.ts'
import type { Config, ConfigFile, DatabaseConfig, JobConfig, Stack } from './schema.ts'
import { createSecret } from './secret.ts'

/** A valid config file as the rest of Driftwatch reads it. */
export function resolve(file: ConfigFile): Config {
  return {
    schedule: file.schedule,
    timeoutMs: milliseconds(file.timeout),
    rolloutGraceMs: milliseconds(file.rolloutGrace),
    staleAfterMs: milliseconds(file.staleAfter),
    host: file.host,
    stacks: file.stacks.map(resolveStack),
  }
}

function resolveStack({ name, project, region, service, job, database }: ConfigFile['stacks'][number]): Stack {
  return {
    name,
    project,
    region,
    service: {
      name: service.name,
      container: service.container || null,
      repositories: service.repositories,
      expectedImage: service.expectedImage || null,
    },
    job: job ? resolveJob(job) : null,
    database: database?.url ? resolveDatabase(database) : null,
    notes: database?.url === '' ? ['no database part: `database.url` is empty'] : [],
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
