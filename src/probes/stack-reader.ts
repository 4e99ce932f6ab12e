import type { CloudRunReader } from '../clients/cloud-run/cloud-run-reader.ts'
import type { Stack } from '../config/config.ts'
import { DriftwatchError } from '../errors.ts'
import type { Execution, Job, Revision, Service } from '../release/cloud-run.ts'
import { isOlderThanServing, readExecutionImage, readRelease } from '../release/release.ts'
import { servingRevisions } from '../release/serving.ts'
import type { ObservedExecution, ObservedService } from './probe.ts'

/** Reads what Cloud Run holds of a stack. It belongs to one cycle and reads each resource once, for all probes. */
export interface StackReader {
  service(stack: Stack): Promise<ObservedService | null>
  job(stack: Stack): Promise<Job | null>
  execution(stack: Stack): Promise<ObservedExecution | null>
  /** All revisions of the service; empty if the service does not exist. */
  revisions(stack: Stack): Promise<readonly Revision[]>
}

/** Opens the stack reader of each cycle. The observation of an unchanged service is the same object in every cycle. */
export interface StackReaders {
  open(reader: CloudRunReader): StackReader
}

export function createStackReaders(): StackReaders {
  const observed = createServiceMemory()
  return {
    open(reader) {
      const service = oncePerStack(stack => readService(reader, stack, observed))
      const job = oncePerStack(async stack => stack.job && reader.job(stack, stack.job.name))
      const execution = oncePerStack(stack => readExecution(reader, stack, { service, job }))
      const revisions = oncePerStack(async stack => {
        const observed = await service(stack)
        return observed ? reader.revisions(stack, observed.service) : []
      })
      return { service, job, execution, revisions }
    },
  }
}

function oncePerStack<T>(read: (stack: Stack) => Promise<T>): (stack: Stack) => Promise<T> {
  const started = new Map<Stack, Promise<T>>()
  return stack => {
    const result = started.get(stack) ?? read(stack)
    started.set(stack, result)
    return result
  }
}

type Revisions = ObservedService['revisions']
type ServiceMemory = (service: Service, revisions: Revisions, container: string | null) => ObservedService

/** The Cloud Run reader returns the same objects for unchanged resources: their observation and its release are reused. */
function createServiceMemory(): ServiceMemory {
  const last = new WeakMap<Service, { readonly container: string | null; readonly observed: ObservedService }>()
  return (service, revisions, container) => {
    const before = last.get(service)
    if (before?.container === container && haveSameEntries(before.observed.revisions, revisions)) return before.observed
    const observed = { service, revisions, release: readRelease(service, revisions, container) }
    last.set(service, { container, observed })
    return observed
  }
}

function haveSameEntries<Key, Value>(one: ReadonlyMap<Key, Value>, other: ReadonlyMap<Key, Value>): boolean {
  return one.size === other.size && [...one].every(([key, value]) => other.get(key) === value)
}

async function readService(
  reader: CloudRunReader,
  stack: Stack,
  observed: ServiceMemory,
): Promise<ObservedService | null> {
  const service = await reader.service(stack, stack.service.name)
  if (!service) return null
  const serving = servingRevisions(service)
  const names = new Set(serving.kind === 'revisions' ? serving.names : [])
  if (service.latestCreatedRevision) names.add(service.latestCreatedRevision)
  const revisions = await Promise.all(
    [...names].map(async name => [name, await reader.revision(stack, service, name)] as const),
  )
  return observed(service, new Map(revisions), stack.service.container)
}

async function readExecution(
  reader: CloudRunReader,
  stack: Stack,
  { service, job: readJob }: Pick<StackReader, 'service' | 'job'>,
): Promise<ObservedExecution | null> {
  const job = await readJob(stack)
  if (!job) return null
  const name = job.latestCreatedExecution?.name
  const execution = name ? await reader.execution(stack, job.name, name) : null
  return { execution, revisionThen: execution && (await readRevisionThen(reader, stack, execution, service)) }
}

/** Only of an execution that names its image by tag alone, and is older than the serving revision. */
async function readRevisionThen(
  reader: CloudRunReader,
  stack: Stack,
  execution: Execution,
  service: StackReader['service'],
): Promise<Revision | null> {
  if (execution.createTime === null || !hasTagOnly(execution, stack)) return null
  // The service probe reports this failure.
  const observed = await service(stack).catch(() => null)
  if (!observed || !isOlderThanServing(execution.createTime, observed.release)) return null
  try {
    return await reader.newestRevisionAt(stack, stack.service.name, execution.createTime)
  } catch (error) {
    // Without permission to list revisions, this one is unknown. That is a valid observation.
    if (error instanceof DriftwatchError && error.code === 'PERMISSION_DENIED') return null
    throw error
  }
}

function hasTagOnly(execution: Execution, { job, service }: Stack): boolean {
  const containers = { job: job?.container ?? null, service: service.container }
  const image = readExecutionImage(execution, null, null, containers, null)
  return image.kind === 'found' && image.side.image.digest === null
}
