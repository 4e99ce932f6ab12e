import { parseDuration } from '../../duration.ts'
import type { Config, DatabaseConfig, DiscoverConfig, JobConfig, Stack } from '../config.ts'
import { maskUrl } from '../mask.ts'
import { usualGapMs } from '../schedule-gap.ts'
import type { ConfigFile } from '../schema.ts'
import { createSecret } from '../secret.ts'
import { resolveAfterRollout } from '../sections/after-rollout.ts'
import type { AlertsConfig } from '../sections/alerts.ts'
import { type DiscoverFile, placesOf } from '../sections/discover.ts'
import { resolveHttpContract } from '../sections/http-contract.ts'
import { resolveServer } from '../sections/server.ts'
import type { StackFile } from '../sections/stack.ts'

/**
 * Converts a valid config file to the resolved config. The first `listed` stacks are those of the file; a stack after
 * them has only the values of `defaults`.
 */
export function resolve(file: ConfigFile, listed: number): Config {
  const timeoutMs = milliseconds(file.timeout)
  return {
    schedule: file.schedule,
    timeoutMs,
    rolloutGraceMs: milliseconds(file.rolloutGrace),
    staleAfterMs: milliseconds(file.staleAfter),
    verifyEveryMs: resolveVerifyEvery(file),
    host: file.host,
    server: resolveServer(file.server),
    alerts: resolveAlerts(file.alerts),
    quota: file.quota,
    discover: resolveDiscover(file.discover, file.stacks[listed], timeoutMs),
    stacks: file.stacks.slice(0, listed).map(stack => resolveStack(stack, timeoutMs)),
  }
}

const defaultVerifyEveryMs = 10 * 60_000

function resolveVerifyEvery({ verifyEvery, schedule }: ConfigFile): number {
  return verifyEvery === undefined ? Math.max(defaultVerifyEveryMs, usualGapMs(schedule)) : milliseconds(verifyEvery)
}

/** A function hides the values of `defaults`, because they contain secrets. */
function resolveDiscover(
  discover: DiscoverFile,
  defaults: StackFile | undefined,
  timeoutMs: number,
): DiscoverConfig | null {
  if (discover.length === 0 || !defaults) return null
  const { job: jobDefaults, ...rest } = defaults
  return {
    places: placesOf(discover),
    minimums: discover.map(entry => ({ places: placesOf([entry]), atLeast: entry.atLeast })),
    stackOf: ({ name, project, region, labels, service, job }) =>
      resolveStack(
        {
          ...rest,
          name,
          project,
          region,
          labels: { ...defaults.labels, ...labels },
          service: { ...defaults.service, name: service },
          ...(job !== null && jobDefaults && { job: { ...jobDefaults, name: job } }),
        },
        timeoutMs,
      ),
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

/** `us-central1`, `northamerica-northeast2`. */
const regionForm = /^[a-z]+-[a-z]+[0-9]+$/

/** Google may add other forms, so that this is a note and no problem. */
function regionNotes(region: string): string[] {
  if (regionForm.test(region)) return []
  return [`\`region\` ${JSON.stringify(region)} does not have the form of a region, such as us-central1.`]
}

function resolveStack(file: StackFile, timeoutMs: number): Stack {
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
    httpContract: httpContract?.url ? resolveHttpContract(httpContract, timeoutMs) : null,
    notes: [
      ...regionNotes(region),
      ...(database?.url === '' ? ['The database checks do not run: `database.url` is empty.'] : []),
      ...(httpContract?.url === '' ? ['The check http-contract does not run: `httpContract.url` is empty.'] : []),
    ],
  }
}

function resolveJob(job: NonNullable<StackFile['job']>): JobConfig {
  return {
    name: job.name,
    container: job.container || null,
    command: job.command ?? null,
    args: job.args ?? (job.command ? [] : null),
    maxDurationMs: milliseconds(job.maxDuration),
  }
}

function resolveDatabase(database: NonNullable<StackFile['database']>): DatabaseConfig {
  return { ...database, url: createSecret(database.url, maskUrl(database.url)) }
}

/** Converts a valid duration. */
function milliseconds(duration: string): number {
  return parseDuration(duration) ?? 0
}
