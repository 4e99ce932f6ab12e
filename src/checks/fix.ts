import { formatTime } from '../clock.ts'
import type { JobStack, Stack } from '../config/config.ts'
import { splitSecrets, splitWords } from '../config/mask.ts'
import type { HttpContractConfig, HttpRequestConfig } from '../config/sections/http-contract.ts'
import { exactDuration } from '../duration.ts'
import type { Window } from '../release/rollout-telemetry.ts'

/** Quotes a word for a POSIX shell, only if needed. */
export function shellQuote(word: string): string {
  return /^[A-Za-z0-9_\-./:=@%+,^]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`
}

/** The result of `splitSecrets`: every second piece is a secret. */
type Pieces = readonly string[]

/** A shell command without secrets: it reads them from `$PASSWORD`, and fails if that is not set. */
export function formatCommand(...words: readonly (string | Pieces)[]): string {
  const variables = new Map<string, string>()
  const variableOf = (secret: string) => {
    const known = variables.get(secret) ?? `PASSWORD${variables.size === 0 ? '' : `_${variables.size + 1}`}`
    variables.set(secret, known)
    return `"\${${known}:?}"`
  }
  return words
    .map(word => (typeof word === 'string' ? splitSecrets(word) : word))
    .map(pieces => (pieces.length === 1 ? shellQuote(pieces[0] ?? '') : quotePieces(pieces, variableOf)))
    .join(' ')
}

function quotePieces(pieces: Pieces, variableOf: (secret: string) => string): string {
  return pieces
    .map((piece, index) => (piece === '' ? '' : index % 2 === 1 ? variableOf(piece) : shellQuote(piece)))
    .join('')
}

/**
 * Sets the image of the job (unless null), and its configured command and args. Empty args are set only if `clearArgs`
 * says that the job has some.
 */
export function updateJob(stack: JobStack, image: string | null, clearArgs = false): string {
  const { job } = stack
  const args = job.args?.length || clearArgs ? job.args : null
  const flags = [...flag('--container', job.container), ...flag('--image', image)]
  return gcloudRun(stack, 'jobs', 'update', job.name, ...flags, ...entrypointFlags(job.command, args))
}

/** Restores the previous image of the job, and its command and args unless null. */
export function restoreJob(
  stack: JobStack,
  { image, command, args }: Pick<JobStack['job'], 'command' | 'args'> & { readonly image: string },
): string {
  return updateJob({ ...stack, job: { ...stack.job, command, args } }, image, args !== null)
}

/** Sets the job to the image in service, executes it and checks again. */
export function migrateStack(stack: Stack): string {
  return formatCommand('driftwatch', 'migrate', '--stack', stack.name)
}

/** Deploys an image, migrates with it and checks. */
export function deployStack(stack: Stack, image: string, noTraffic = false): string {
  const flags = noTraffic ? ['--no-traffic'] : []
  return formatCommand('driftwatch', 'deploy', '--stack', stack.name, '--image', image, ...flags)
}

/** Checks again, and waits at most `waitMs` for a final result. */
export function checkStack(stack: Stack, waitMs: number | null = null): string {
  const wait = waitMs === null ? [] : ['--wait', exactDuration(waitMs)]
  return formatCommand('driftwatch', 'check', '--stack', stack.name, ...wait)
}

export function createJob(stack: JobStack, image: string): string {
  const { job } = stack
  const args = job.args?.length ? job.args : null
  return gcloudRun(stack, 'jobs', 'create', job.name, '--image', image, ...entrypointFlags(job.command, args))
}

export function executeJob(stack: JobStack): string {
  return gcloudRun(stack, 'jobs', 'execute', stack.job.name, '--wait')
}

export function cancelExecution(stack: Stack, execution: string): string {
  return gcloudRun(stack, 'jobs', 'executions', 'cancel', execution)
}

export function listExecutions(stack: JobStack): string {
  return gcloudRun(stack, 'jobs', 'executions', 'list', '--job', stack.job.name)
}

export function describeExecution(stack: Stack, execution: string): string {
  return gcloudRun(stack, 'jobs', 'executions', 'describe', execution)
}

/** Sets the image of the service template, which creates a revision. */
export function updateService(stack: Stack, image: string): string {
  const { name, container } = stack.service
  return gcloudRun(stack, 'services', 'update', name, ...flag('--container', container), '--image', image)
}

export function deployService(stack: Stack, image: string): string {
  return gcloudRun(stack, 'deploy', stack.service.name, '--image', image)
}

export function sendTrafficToLatest(stack: Stack): string {
  return gcloudRun(stack, 'services', 'update-traffic', stack.service.name, '--to-latest')
}

/** Sends all traffic to an existing revision. */
export function sendTrafficTo(stack: Stack, revision: string): string {
  const { name } = stack.service
  return gcloudRun(stack, 'services', 'update-traffic', name, '--to-revisions', `${revision}=100`)
}

export function describeService(stack: Stack): string {
  return gcloudRun(stack, 'services', 'describe', stack.service.name)
}

export function describeRevision(stack: Stack, revision: string): string {
  return gcloudRun(stack, 'revisions', 'describe', revision)
}

export function listRevisions(stack: Stack): string {
  return gcloudRun(stack, 'revisions', 'list', '--service', stack.service.name)
}

/** Sends a request of the contract. The user provides the token. */
export function sendRequest(
  { url, bearerToken, identityTokenAudience }: HttpContractConfig,
  { path }: HttpRequestConfig,
): string {
  const token = identityTokenAudience
    ? `$(gcloud auth print-identity-token --audiences=${shellQuote(identityTokenAudience)})`
    : bearerToken && '$TOKEN'
  const header = token === null ? '' : ` -H "Authorization: Bearer ${token}"`
  return `curl -sS -i${header} ${formatCommand(splitQuery(url + path))}`
}

/** The values of a query as secrets, and parameters without a value. */
function splitQuery(url: string): Pieces {
  const at = url.indexOf('?') + 1
  if (at === 0) return [url]
  const pieces = [url.slice(0, at)]
  for (const [index, parameter] of url.slice(at).split('&').entries()) {
    const value = parameter.indexOf('=') + 1
    const before = `${pieces.pop()}${index === 0 ? '' : '&'}${parameter.slice(0, value)}`
    pieces.push(before, parameter.slice(value), '')
  }
  return pieces
}

/** Reads the log entries of failures in a window. */
export function readLogs(stack: Stack, service: string, { from, to }: Window): string {
  const filter = [
    'resource.type="cloud_run_revision"',
    `resource.labels.service_name="${service}"`,
    `resource.labels.location="${stack.region}"`,
    '(severity>=ERROR OR httpRequest.status>=500)',
    `timestamp>="${formatTime(from)}"`,
    `timestamp<"${formatTime(to)}"`,
  ].join(' AND ')
  return formatCommand('gcloud', 'logging', 'read', filter, '--project', stack.project, '--limit', '50')
}

/** Lists the images of a repository with their tags, newest first; null if gcloud does not support the registry. */
export function listImages(repository: string): string | null {
  if (!isArtifactRegistry(repository)) return null
  const order = ['--include-tags', '--sort-by=~UPDATE_TIME']
  return formatCommand('gcloud', 'artifacts', 'docker', 'images', 'list', repository, ...order)
}

/** Points a tag to an image; null if gcloud does not support the registry. */
export function addTag(image: string, tag: string): string | null {
  return isArtifactRegistry(tag) ? formatCommand('gcloud', 'artifacts', 'docker', 'tags', 'add', image, tag) : null
}

function isArtifactRegistry(repository: string): boolean {
  return /^[a-z0-9-]+-docker\.pkg\.dev\//.test(repository)
}

function gcloudRun({ region, project }: Stack, ...words: readonly (string | Pieces)[]): string {
  return formatCommand('gcloud', 'run', ...words, '--region', region, '--project', project)
}

/** No flag for null. */
function flag(name: string, value: string | null): string[] {
  return value === null ? [] : [name, value]
}

function entrypointFlags(command: readonly string[] | null, args: readonly string[] | null) {
  return [...listFlag('--command', command), ...listFlag('--args', args)]
}

/** gcloud splits lists at commas, unless the value begins with another delimiter: `^|^a,b|c`. No flag for null. */
function listFlag(name: string, values: readonly string[] | null): (string | Pieces)[] {
  if (values === null) return []
  const delimiter = [',', '|', ';', '#', '~'].find(each => values.every(value => !value.includes(each))) ?? '\u001f'
  const prefix = delimiter === ',' ? '' : `^${delimiter}^`
  const [first = '', ...rest] = joinPieces(splitWords(values), delimiter)
  const value = `${prefix}${first}`
  return value === '' || value.startsWith('-') ? [[`${name}=${value}`, ...rest]] : [name, [value, ...rest]]
}

function joinPieces(words: readonly Pieces[], delimiter: string): Pieces {
  return words.reduce<Pieces>((joined, [first, ...rest], index) => {
    const last = index === 0 ? '' : `${joined.at(-1)}${delimiter}`
    return [...joined.slice(0, -1), `${last}${first}`, ...rest]
  }, [])
}
