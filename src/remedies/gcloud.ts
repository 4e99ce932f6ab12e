import { formatTime } from '../clock.ts'
import type { JobStack, Stack } from '../config/config.ts'
import { splitWords } from '../config/mask.ts'
import type { Container } from '../release/cloud-run.ts'
import { pickContainer } from '../release/container.ts'
import type { Image } from '../release/image.ts'
import type { Window } from '../release/rollout-telemetry.ts'
import { formatCommand, type Pieces } from './shell.ts'

/** What a command changes in the container of a job. Null: it stays. */
export interface ContainerChange {
  readonly image: string | null
  readonly command: readonly string[] | null
  readonly args: readonly string[] | null
}

/** Changes the container of a job that migrates. Null if that container cannot be chosen. */
export function updateJob(
  stack: JobStack,
  containers: readonly Container[],
  { image, command, args }: ContainerChange,
): string | null {
  const flags = [...flag('--image', image), ...listFlag('--command', command), ...listFlag('--args', args)]
  return updateContainer(stack, ['jobs', 'update', stack.job.name], containers, stack.job.container, flags)
}

/** Sets the image of the service template, which creates a revision. Null if its container cannot be chosen. */
export function updateService(stack: Stack, containers: readonly Container[], image: string): string | null {
  const { name, container } = stack.service
  return updateContainer(stack, ['services', 'update', name], containers, container, ['--image', image])
}

/** gcloud applies every flag after `--container` to that container, and adds a container if it does not know the name. */
function updateContainer(
  stack: Stack,
  words: readonly string[],
  containers: readonly Container[],
  wanted: string | null,
  flags: readonly (string | Pieces)[],
): string | null {
  const pick = pickContainer(containers, wanted)
  if (pick.kind !== 'picked') return null
  if (containers.length === 1) return gcloudRun(stack, ...words, ...flags)
  return `${gcloudRun(stack, ...words)} ${formatCommand('--container', pick.container.name, ...flags)}`
}

export function executeJob(stack: JobStack): string {
  return gcloudRun(stack, 'jobs', 'execute', stack.job.name, '--wait')
}

export function describeJob(stack: JobStack): string {
  return gcloudRun(stack, 'jobs', 'describe', stack.job.name)
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

/** Sends all traffic to the latest revision, also that of later deploys. */
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

export function listRevisions(stack: Stack): string {
  return gcloudRun(stack, 'revisions', 'list', '--service', stack.service.name)
}

/** Reads the log entries of failures of a service in a window. */
export function readFailures(stack: Stack, service: string, { from, to }: Window): string {
  return readLogs(stack, 50, [
    'resource.type="cloud_run_revision"',
    `resource.labels.service_name="${service}"`,
    `resource.labels.location="${stack.region}"`,
    '(severity>=ERROR OR httpRequest.status>=500)',
    `timestamp>="${formatTime(from)}"`,
    `timestamp<"${formatTime(to)}"`,
  ])
}

/** Reads the last log entries of a revision. */
export function readRevisionLog(stack: Stack, revision: string): string {
  return readLogs(stack, 100, [
    'resource.type="cloud_run_revision"',
    `resource.labels.revision_name="${revision}"`,
    `resource.labels.location="${stack.region}"`,
  ])
}

/** Reads the last log entries of an execution. */
export function readExecutionLog(stack: JobStack, execution: string): string {
  return readLogs(stack, 100, [
    'resource.type="cloud_run_job"',
    `resource.labels.job_name="${stack.job.name}"`,
    `resource.labels.location="${stack.region}"`,
    `labels."run.googleapis.com/execution_name"="${execution}"`,
  ])
}

function readLogs({ project }: Stack, limit: number, terms: readonly string[]): string {
  return formatCommand('gcloud', 'logging', 'read', terms.join(' AND '), '--project', project, '--limit', `${limit}`)
}

/** Lists the images of a repository with their tags, newest first; null if gcloud does not support the registry. */
export function listImages(repository: string): string | null {
  if (!isArtifactRegistry(repository)) return null
  const order = ['--include-tags', '--sort-by=~UPDATE_TIME']
  return formatCommand('gcloud', 'artifacts', 'docker', 'images', 'list', repository, ...order)
}

/** Points a tag to a digest of its repository; null if gcloud does not support the registry. */
export function addTag({ repository, digest }: Image, tag: string): string | null {
  if (!isArtifactRegistry(repository) || digest === null) return null
  const words = ['artifacts', 'docker', 'tags', 'add', `${repository}@${digest}`, `${repository}:${tag}`]
  return formatCommand('gcloud', ...words)
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
