import { exactDuration } from '../duration.ts'
import type { Config, DiscoverConfig, Stack } from './config.ts'
import { escapeInterpolation } from './file/interpolate.ts'
import { maskText, maskWords } from './mask.ts'
import { printYaml } from './print-yaml.ts'
import type { AfterRolloutConfig } from './sections/after-rollout.ts'
import type { AlertsConfig } from './sections/alerts.ts'
import type { HttpContractConfig } from './sections/http-contract.ts'
import type { AuthConfig } from './sections/server.ts'

/** Prints the resolved config as YAML: with all defaults, and with secrets masked. */
export function printConfig(config: Config): string {
  const notes = config.stacks.flatMap(({ name, notes }) => notes.map(note => `# ${name}: ${note}\n`))
  return notes.join('') + printYaml(maskValues(toFile(config)))
}

/** The config with the keys of the file. */
function toFile({ timeoutMs, rolloutGraceMs, alerts, quota, discover, stacks, ...rest }: Config): object {
  return {
    schedule: rest.schedule,
    timeout: exactDuration(timeoutMs),
    rolloutGrace: exactDuration(rolloutGraceMs),
    staleAfter: exactDuration(rest.staleAfterMs),
    verifyEvery: exactDuration(rest.verifyEveryMs),
    host: rest.host,
    server: { auth: authToFile(rest.server.auth) },
    alerts: alertsToFile(alerts),
    quota,
    ...(discover && discoverToFile(discover)),
    stacks: stacks.map(stackToFile),
  }
}

function authToFile(auth: AuthConfig): object {
  return auth.kind === 'bearer' ? { ...auth, tokens: auth.tokens.map(String) } : auth
}

/** One entry for each place; `defaults` come from a stack that has no other values. */
function discoverToFile({ places, stackOf }: DiscoverConfig): object {
  const bare = stackOf({ name: '', project: '', region: '', labels: {}, service: '', job: '' })
  const { afterRollout } = bare
  const { name, project, region, service, job, ...shared } = stackToFile({
    ...bare,
    afterRollout: afterRollout && { ...afterRollout, services: afterRollout.services.filter(other => other !== '') },
  })
  return {
    discover: places.map(({ project, region, jobs }) => ({ projects: [project], regions: [region], jobs })),
    defaults: { ...shared, service: { ...service, name: null }, job: job && { ...job, name: null } },
  }
}

function alertsToFile({ unknownAfterMs, autoCloseMs, ...rest }: AlertsConfig): object {
  return { ...rest, unknownAfter: exactDuration(unknownAfterMs), autoClose: exactDuration(autoCloseMs) }
}

function stackToFile({ job, database, afterRollout, httpContract, notes: _, ...rest }: Stack) {
  const { maxDurationMs = 0, ...restOfJob } = job ?? {}
  return {
    ...rest,
    job: job && { ...restOfJob, maxDuration: exactDuration(maxDurationMs) },
    database: database && { ...database, url: String(database.url) },
    afterRollout: afterRollout && afterRolloutToFile(afterRollout),
    httpContract: httpContract && httpContractToFile(httpContract),
  }
}

function afterRolloutToFile({ windowMs, delayMs, ...rest }: AfterRolloutConfig): object {
  return { ...rest, window: exactDuration(windowMs), delay: exactDuration(delayMs) }
}

function httpContractToFile({ bearerToken, requests, ...rest }: HttpContractConfig): object {
  return {
    ...rest,
    bearerToken: bearerToken && String(bearerToken),
    requests: requests.map(({ maxLatencyMs, ...request }) => ({ ...request, maxLatency: exactDuration(maxLatencyMs) })),
  }
}

/** Masks secrets in every text, and omits null values. */
function maskValues(value: unknown): unknown {
  if (isText(value)) return escapeInterpolation(maskText(value))
  if (Array.isArray(value))
    return value.every(isText) ? maskWords(value).map(escapeInterpolation) : value.map(maskValues)
  if (typeof value !== 'object' || value === null) return value
  const entries = Object.entries(value).filter(([, entry]) => entry !== null)
  return Object.fromEntries(entries.map(([key, entry]) => [key, maskValues(entry)]))
}

function isText(value: unknown): value is string {
  return typeof value === 'string'
}
