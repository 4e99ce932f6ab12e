import { formatTime } from '../clock.ts'
import type { Stack } from '../config/config.ts'
import { splitSecrets, splitWords } from '../config/mask.ts'
import type { HttpContractConfig, HttpRequestConfig } from '../config/sections/http-contract.ts'
import { exactDuration } from '../duration.ts'
import type { Window } from '../release/rollout-telemetry.ts'

type JobStack = Stack & { readonly job: NonNullable<Stack['job']> }

/** A word as a POSIX shell takes it, quoted only where that is needed. */
export function shellQuote(word: string): string {
  return /^[A-Za-z0-9_\-./:=@%+,^]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`
}

/** A word in pieces, as `splitSecrets` makes them. */
type Pieces = readonly string[]

/**
 * A command line that can be pasted, and shows no secret: whoever pastes it has that in `$PASSWORD`, or the shell refuses.
 */
export function commandLine(...words: readonly (string | Pieces)[]): string {
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
 * Sets the job's image, and its command and args where the config has them; no args only where `clearArgs` says that
 * there are some. `image` null: leave it.
 */
export function updateJob(stack: JobStack, image: string | null, clearArgs = false): string {
  const { job } = stack
  return commandLine(
    'gcloud',
    'run',
    'jobs',
    'update',
    job.name,
    ...(job.container === null ? [] : ['--container', job.container]),
    ...(image === null ? [] : ['--image', image]),
    ...listFlag('--command', job.command),
    ...(job.args?.length || clearArgs ? listFlag('--args', job.args) : []),
    ...place(stack),
  )
}

/** The way back to the image that the job had, and to the command and args where these are given. */
export function restoreJob(
  stack: JobStack,
  { image, command, args }: Pick<JobStack['job'], 'command' | 'args'> & { readonly image: string },
): string {
  return updateJob({ ...stack, job: { ...stack.job, command, args } }, image, args !== null)
}

/** Locks the job to the image that serves, executes it and checks again. */
export function migrateStack(stack: Stack): string {
  return commandLine('driftwatch', 'migrate', '--stack', stack.name)
}

/** Deploys an image, migrates with it and judges. */
export function deployStack(stack: Stack, image: string, noTraffic = false): string {
  const flags = noTraffic ? ['--no-traffic'] : []
  return commandLine('driftwatch', 'deploy', '--stack', stack.name, '--image', image, ...flags)
}

/** Judges again; waits so long at most for what is pending. */
export function checkStack(stack: Stack, waitMs: number | null = null): string {
  const wait = waitMs === null ? [] : ['--wait', exactDuration(waitMs)]
  return commandLine('driftwatch', 'check', '--stack', stack.name, ...wait)
}

export function createJob(stack: JobStack, image: string): string {
  const { job } = stack
  return commandLine(
    'gcloud',
    'run',
    'jobs',
    'create',
    job.name,
    '--image',
    image,
    ...listFlag('--command', job.command),
    ...(job.args?.length ? listFlag('--args', job.args) : []),
    ...place(stack),
  )
}

export function executeJob(stack: JobStack): string {
  return commandLine('gcloud', 'run', 'jobs', 'execute', stack.job.name, '--wait', ...place(stack))
}

export function cancelExecution(stack: Stack, execution: string): string {
  return commandLine('gcloud', 'run', 'jobs', 'executions', 'cancel', execution, ...place(stack))
}

export function listExecutions(stack: JobStack): string {
  return commandLine('gcloud', 'run', 'jobs', 'executions', 'list', '--job', stack.job.name, ...place(stack))
}

export function describeExecution(stack: Stack, execution: string): string {
  return commandLine('gcloud', 'run', 'jobs', 'executions', 'describe', execution, ...place(stack))
}

/** Makes a revision of `image`, and puts it into the template. */
export function updateService(stack: Stack, image: string): string {
  const { name, container } = stack.service
  return commandLine(
    'gcloud',
    'run',
    'services',
    'update',
    name,
    ...(container === null ? [] : ['--container', container]),
    '--image',
    image,
    ...place(stack),
  )
}

export function deployService(stack: Stack, image: string): string {
  return commandLine('gcloud', 'run', 'deploy', stack.service.name, '--image', image, ...place(stack))
}

export function sendTrafficToLatest(stack: Stack): string {
  return commandLine('gcloud', 'run', 'services', 'update-traffic', stack.service.name, '--to-latest', ...place(stack))
}

/** Back to a revision that is there. */
export function sendTrafficTo(stack: Stack, revision: string): string {
  const { name } = stack.service
  return commandLine(
    'gcloud',
    'run',
    'services',
    'update-traffic',
    name,
    '--to-revisions',
    `${revision}=100`,
    ...place(stack),
  )
}

export function describeService(stack: Stack): string {
  return commandLine('gcloud', 'run', 'services', 'describe', stack.service.name, ...place(stack))
}

export function describeRevision(stack: Stack, revision: string): string {
  return commandLine('gcloud', 'run', 'revisions', 'describe', revision, ...place(stack))
}

export function listRevisions(stack: Stack): string {
  return commandLine('gcloud', 'run', 'revisions', 'list', '--service', stack.service.name, ...place(stack))
}

/** Shows what a request of the contract meets. The token is to be had by whoever runs it. */
export function sendRequest(
  { url, bearerToken, identityTokenAudience }: HttpContractConfig,
  { path }: HttpRequestConfig,
): string {
  const token = identityTokenAudience
    ? `$(gcloud auth print-identity-token --audiences=${shellQuote(identityTokenAudience)})`
    : bearerToken && '$TOKEN'
  const header = token === null ? '' : ` -H "Authorization: Bearer ${token}"`
  return `curl -sS -i${header} ${shellQuote(url + path)}`
}

/** What a service logged of what failed in a window. */
export function readLogs(stack: Stack, service: string, { from, to }: Window): string {
  const filter = [
    'resource.type="cloud_run_revision"',
    `resource.labels.service_name="${service}"`,
    `resource.labels.location="${stack.region}"`,
    '(severity>=ERROR OR httpRequest.status>=500)',
    `timestamp>="${formatTime(from)}"`,
    `timestamp<"${formatTime(to)}"`,
  ].join(' AND ')
  return commandLine('gcloud', 'logging', 'read', filter, '--project', stack.project, '--limit', '50')
}

/** The images of a repository with their tags, the newest first; null where gcloud does not know the registry. */
export function listImages(repository: string): string | null {
  if (!isArtifactRegistry(repository)) return null
  return commandLine(
    'gcloud',
    'artifacts',
    'docker',
    'images',
    'list',
    repository,
    '--include-tags',
    '--sort-by=~UPDATE_TIME',
  )
}

/** Points a tag at an image; null where gcloud does not know the registry. */
export function addTag(image: string, tag: string): string | null {
  return isArtifactRegistry(tag) ? commandLine('gcloud', 'artifacts', 'docker', 'tags', 'add', image, tag) : null
}

function isArtifactRegistry(repository: string): boolean {
  return /^[a-z0-9-]+-docker\.pkg\.dev\//.test(repository)
}

function place(stack: Stack): string[] {
  return ['--region', stack.region, '--project', stack.project]
}

/** gcloud splits lists at commas, unless the value begins with another delimiter: `^|^a,b|c`. Null: not judged, so not set. */
function listFlag(flag: string, values: readonly string[] | null): (string | Pieces)[] {
  if (values === null) return []
  const delimiter = [',', '|', ';', '#', '~'].find(each => values.every(value => !value.includes(each))) ?? '\u001f'
  const prefix = delimiter === ',' ? '' : `^${delimiter}^`
  const [first = '', ...rest] = joinPieces(splitWords(values), delimiter)
  const value = `${prefix}${first}`
  return value === '' || value.startsWith('-') ? [[`${flag}=${value}`, ...rest]] : [flag, [value, ...rest]]
}

function joinPieces(words: readonly Pieces[], delimiter: string): Pieces {
  return words.reduce<Pieces>((joined, [first, ...rest], index) => {
    const last = index === 0 ? '' : `${joined.at(-1)}${delimiter}`
    return [...joined.slice(0, -1), `${last}${first}`, ...rest]
  }, [])
}
