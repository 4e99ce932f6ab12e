import type { Stack } from '../config/schema.ts'

type JobStack = Stack & { readonly job: NonNullable<Stack['job']> }

/** A word as a POSIX shell takes it, quoted only where that is needed. */
export function shellQuote(word: string): string {
  return /^[A-Za-z0-9_\-./:=@%+,^]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`
}

/** A command line that can be pasted. */
export function commandLine(...words: readonly string[]): string {
  return words.map(shellQuote).join(' ')
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

export function describeService(stack: Stack): string {
  return commandLine('gcloud', 'run', 'services', 'describe', stack.service.name, ...place(stack))
}

export function describeRevision(stack: Stack, revision: string): string {
  return commandLine('gcloud', 'run', 'revisions', 'describe', revision, ...place(stack))
}

export function listRevisions(stack: Stack): string {
  return commandLine('gcloud', 'run', 'revisions', 'list', '--service', stack.service.name, ...place(stack))
}

function place(stack: Stack): string[] {
  return ['--region', stack.region, '--project', stack.project]
}

/** gcloud splits lists at commas, unless the value begins with another delimiter: `^|^a,b|c`. Null: not judged, so not set. */
function listFlag(flag: string, values: readonly string[] | null): string[] {
  if (values === null) return []
  const delimiter = [',', '|', ';', '#', '~'].find(each => values.every(value => !value.includes(each))) ?? '\u001f'
  const prefix = delimiter === ',' ? '' : `^${delimiter}^`
  const value = `${prefix}${values.join(delimiter)}`
  return value === '' || value.startsWith('-') ? [`${flag}=${value}`] : [flag, value]
}
