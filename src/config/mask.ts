import { exactDuration } from './exact-duration.ts'
import { escapeInterpolation } from './file/interpolate.ts'
import { printYaml } from './print-yaml.ts'
import type { Config, Stack } from './schema.ts'
import type { AfterRolloutConfig } from './sections/after-rollout.ts'
import type { AlertsConfig } from './sections/alerts.ts'
import type { DiscoverConfig } from './sections/discover.ts'
import type { HttpContractConfig } from './sections/http-contract.ts'
import type { AuthConfig } from './sections/server.ts'

/** What is shown in place of a secret. */
const masked = '***'

/** What a secret is called where it is written beside its name: `password=...`, `"api_key": "..."`. */
const called = '(?:password|passwd|passphrase|pwd|secret|token|api[-_]?key)'
const quoted = `"(?:\\\\.|[^"\\\\])*"?|'(?:\\\\.|[^'\\\\])*'?`
/** No colon without a blank or a quote beside it: an image may be called `token:v1`. */
const sign = `(?:\\\\*["']?\\s*=\\s*|\\\\*["']\\s*:\\s*|\\s*:\\s+)`
const named = new RegExp(`(${called}${sign})(${quoted}|(?:\\\\.|[^\\s\\\\])+)`, 'i')
/** As one word of a command the rest of it is the secret, with its spaces. */
const option = new RegExp(`^(-{0,2}[\\w-]*${called}=)(?!["'])([^]+)$`, 'i')
const bareOption = new RegExp(`^-{1,2}[\\w-]*${called}$`, 'i')

/** What stands before the secret of a URL: the user, or nothing before a token. */
const credentials = /:\/\/[^\s:]*:|https?:\/\/(?=[^\s/@:]+@)/i

/**
 * `text` in pieces: those with an even index may be shown, each between two of them is a secret, such as the password of
 * a URL. It rather takes too much for a secret than too little.
 */
export function splitSecrets(text: string): readonly string[] {
  const { index = -1, 0: address = '' } = credentials.exec(text) ?? {}
  const start = index + address.length
  // Up to the last @, since a password may hold one that should have been encoded.
  const end = text.lastIndexOf('@')
  if (index >= 0 && end >= start)
    return [...splitNamed(text.slice(0, start)), text.slice(start, end), ...splitNamed(text.slice(end))]
  return splitNamed(text)
}

/** The words of a command, each in pieces: the word after `--password` is a secret too. */
export function splitWords(words: readonly string[]): (readonly string[])[] {
  return words.map((word, index) => (bareOption.test(words[index - 1] ?? '') ? ['', word, ''] : splitSecrets(word)))
}

function splitNamed(text: string): string[] {
  const [, name = '', secret = ''] = option.exec(text) ?? []
  if (secret !== '') return [name, secret, '']
  // Each name and its secret between what may be shown: the name goes to what stands before it.
  const [first = '', ...rest] = text.split(named)
  const pieces = [first]
  for (let index = 0; index < rest.length; index += 3) {
    pieces.push(`${pieces.pop()}${rest[index]}`, rest[index + 1] ?? '', rest[index + 2] ?? '')
  }
  return pieces
}

/** `text` without the secrets in it. */
export function maskText(text: string): string {
  return joinMasked(splitSecrets(text))
}

/** The words of a command without the secrets in them. */
export function maskWords(words: readonly string[]): string[] {
  return splitWords(words).map(joinMasked)
}

function joinMasked(pieces: readonly string[]): string {
  return pieces.map((piece, index) => (index % 2 === 1 ? masked : piece)).join('')
}

/** Those that hold no secret, and without which a URL could not be read. */
const shownParameters = /^(host|port|user|sslmode|sslrootcert|application_name)$/

/** A database's URL without its password, and without the parameters that may hold another. */
export function maskUrl(url: string): string {
  const [address = '', query] = url.split('?')
  const shown = query?.split('&').map(parameter => {
    const [key = ''] = parameter.split('=')
    return shownParameters.test(key) ? parameter : `${masked}=${masked}`
  })
  return maskText(address) + (shown ? `?${shown.join('&')}` : '')
}

/** The config as a YAML file says it: resolved, every default written out, secrets masked. */
export function printConfig(config: Config): string {
  const notes = config.stacks.flatMap(({ name, notes }) => notes.map(note => `# ${name}: ${note}\n`))
  return notes.join('') + printYaml(maskValues(toFile(config)))
}

/** The config with the file's own keys. */
function toFile({ timeoutMs, rolloutGraceMs, staleAfterMs, alerts, quota, discover, stacks, ...rest }: Config): object {
  return {
    schedule: rest.schedule,
    timeout: exactDuration(timeoutMs),
    rolloutGrace: exactDuration(rolloutGraceMs),
    staleAfter: exactDuration(staleAfterMs),
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

/** A place at a time; and what `defaults` say, by a stack that has nothing else. */
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

/** Masks every text, and leaves out what is null. */
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
