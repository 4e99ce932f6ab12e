import { JobsClient } from '@google-cloud/run/build/src/v2/jobs_client.js'
import { ServicesClient } from '@google-cloud/run/build/src/v2/services_client.js'
import type { Clock } from '../../clock.ts'
import { type Deadline, withDeadline } from '../../concurrency/deadline.ts'
import { retry } from '../../concurrency/retry.ts'
import { asDriftwatchError, DriftwatchError, type ErrorCode } from '../../errors.ts'
import type { Container } from '../../release/cloud-run.ts'
import { pickContainer } from '../../release/container.ts'
import { version } from '../../version.ts'
import { type GoogleClient, type GoogleOptions, openGoogleApi, type Send } from '../google/google-client.ts'
import { maxResponseBytes } from './cloud-run.ts'
import { toContainer, toJob } from './cloud-run-messages.ts'

export interface JobChange {
  /** Which of several containers to change; null: the main container. */
  readonly container: string | null
  readonly image: string
  /** Null: unchanged. */
  readonly command: readonly string[] | null
  /** Null: unchanged. */
  readonly args: readonly string[] | null
}

export interface ServiceChange {
  readonly container: string | null
  readonly image: string
  /** Marks the new revision, so that Cloud Run creates one even if nothing else changes. */
  readonly nonce: string
  /** Keeps the traffic where it is: what follows the latest revision is pinned to the revision that is latest now. */
  readonly holdTraffic: boolean
}

/**
 * Changes Cloud Run. Each write applies to one version of the resource (`etag`), and rejects with CONFLICT if the
 * resource has changed since. A write is retried only if it cannot be applied twice; it rejects with UNCERTAIN if it may
 * or may not have been applied. Names are full resource names.
 */
export interface CloudRunWriter {
  updateJob(name: string, etag: string, change: JobChange): Promise<void>
  updateService(name: string, etag: string, change: ServiceChange): Promise<void>
  /** Starts an execution and resolves with its short name; `latest` is the short name of the latest one so far. */
  runJob(name: string, etag: string, latest: string | null): Promise<string>
  close(): Promise<void>
}

/** For one write, with the reads that verify it. */
const writeTimeoutMs = 45_000
const requestTimeoutMs = 15_000
const pauseMs = 500
const maxReadsOfStart = 5

/** Error codes after which a write may or may not have been applied. */
const lostResponseCodes: ReadonlySet<ErrorCode> = new Set([
  'UNAVAILABLE',
  'DEADLINE_EXCEEDED',
  'INTERNAL',
  'MALFORMED_RESPONSE',
])

type VendorJob = NonNullable<NonNullable<Parameters<JobsClient['updateJob']>[0]>['job']>
type VendorService = NonNullable<NonNullable<Parameters<ServicesClient['updateService']>[0]>['service']>
type VendorContainer = NonNullable<NonNullable<VendorService['template']>['containers']>[number]

/** One write of one resource, with the reads that verify it. */
interface ResourceWrite<Client> {
  readonly clock: Clock
  readonly deadline: Deadline
  /** The resource to change. */
  readonly name: string
  /** Retries. */
  read<T>(method: string, send: Send<Client, readonly [T, ...unknown[]]>): Promise<T>
  /** Sends the request once. */
  write<T>(method: string, send: Send<Client, T>): Promise<T>
}

export function createCloudRunWriter(options: Pick<GoogleOptions, 'clock' | 'emulatorHost'>): CloudRunWriter {
  const { clock } = options
  const connect = openGoogleApi({ ...options, system: 'Cloud Run', maxResponseBytes })
  const jobs = connect(options => new JobsClient(options))
  const services = connect(options => new ServicesClient(options))

  function inTime<Client, T>(
    client: GoogleClient<Client>,
    name: string,
    change: (resource: ResourceWrite<Client>) => Promise<T>,
  ): Promise<T> {
    return withDeadline(clock, writeTimeoutMs, undefined, deadline =>
      change({
        clock,
        deadline,
        name,
        async read(method, send) {
          const attempt = (ms: number) => client.callOnce(method, name, Math.min(requestTimeoutMs, ms), send)
          return (await retry(clock, deadline, attempt))[0]
        },
        write(method, send) {
          const leftMs = deadline.at - clock.monotonic()
          return client.callOnce(method, name, Math.max(1, Math.min(requestTimeoutMs, leftMs)), send)
        },
      }),
    )
  }

  return {
    updateJob: (name, etag, change) => inTime(jobs, name, job => updateJob(job, etag, change)),
    updateService: (name, etag, change) => inTime(services, name, service => updateService(service, etag, change)),
    runJob: (name, etag, latest) => inTime(jobs, name, job => runJob(job, etag, latest)),
    async close() {
      await Promise.all([jobs.close(), services.close()])
    },
  }
}

function readJob({ name, read }: ResourceWrite<JobsClient>): Promise<VendorJob> {
  return read('GetJob', (client, options) => client.getJob({ name }, options))
}

function updateJob(resource: ResourceWrite<JobsClient>, etag: string, change: JobChange): Promise<void> {
  const { name, write } = resource
  return update<VendorJob>(resource, etag, {
    read: () => readJob(resource),
    isApplied: job => matchesChange(containerOf(toJob(job).containers, change.container, name), change),
    write: job => {
      const request = { job: changedJob(job, change, name) }
      return write('UpdateJob', (client, options) => client.updateJob(request, options))
    },
  })
}

function updateService(resource: ResourceWrite<ServicesClient>, etag: string, change: ServiceChange): Promise<void> {
  const { name, read, write } = resource
  return update<VendorService>(resource, etag, {
    read: () => read('GetService', (client, options) => client.getService({ name }, options)),
    isApplied: service => service.template?.labels?.[nonceLabel] === change.nonce,
    write: service => {
      const request = { service: changedService(service, change, name) }
      return write('UpdateService', (client, options) => client.updateService(request, options))
    },
  })
}

async function runJob(job: ResourceWrite<JobsClient>, etag: string, latest: string | null): Promise<string> {
  const { name, write } = job
  try {
    const started = await write('RunJob', async (client, options) => {
      const [, raw] = await client.runJob({ name, etag }, options)
      return executionOf(client, raw?.metadata?.value)
    })
    if (started) return started
  } catch (thrown) {
    const error = asDriftwatchError(thrown)
    if (!lostResponseCodes.has(error.code)) throw error.code === 'ABORTED' ? conflict(name, error) : error
  }
  return startedSince(latest, job)
}

/**
 * Writes the resource that it read, with its etag. After a lost response it reads the resource again: the write was
 * applied, or the etag is unchanged and writing again is safe, or the resource was changed by another client.
 */
async function update<M extends { etag?: string | null }>(
  { clock, deadline, name }: ResourceWrite<unknown>,
  etag: string,
  steps: {
    read(): Promise<M>
    isApplied(resource: M): boolean
    write(resource: M): Promise<unknown>
  },
): Promise<void> {
  let failure: DriftwatchError | null = null
  while (clock.monotonic() < deadline.at) {
    const resource = await steps.read().catch(thrown => {
      throw failure ? uncertain(name, failure) : thrown
    })
    if (failure && steps.isApplied(resource)) return
    if (resource.etag !== etag) throw conflict(name, failure)
    failure = await steps.write(resource).then(
      () => null,
      thrown => asDriftwatchError(thrown),
    )
    if (failure === null) return
    if (failure.code !== 'ABORTED' && !lostResponseCodes.has(failure.code)) throw failure
    await clock.sleep(pauseMs)
  }
  throw uncertain(name, failure)
}

/** The execution whose start got no response: the job names it if it was started. */
async function startedSince(latest: string | null, resource: ResourceWrite<JobsClient>): Promise<string> {
  const { clock, deadline, name } = resource
  for (let reads = 0; reads < maxReadsOfStart && clock.monotonic() < deadline.at; reads += 1) {
    const job = await readJob(resource).catch(() => null)
    const started = job && toJob(job).latestCreatedExecution?.name
    if (started && started !== latest) return started
    await clock.sleep(pauseMs)
  }
  throw uncertain(name, null)
}

function executionOf(jobs: JobsClient, bytes: unknown): string | null {
  const descriptor = jobs.descriptors.longrunning.runJob
  if (!descriptor || !(bytes instanceof Uint8Array)) return null
  const { name } = descriptor.metadataDecoder(bytes as Buffer) as { name?: unknown }
  return typeof name === 'string' && name !== '' ? name.slice(name.lastIndexOf('/') + 1) : null
}

function changedJob(job: VendorJob, change: JobChange, name: string): VendorJob {
  const template = job.template?.template
  const containers = changeContainer(template?.containers ?? [], change, name, {
    ...(change.command && { command: [...change.command] }),
    ...(change.args && { args: [...change.args] }),
  })
  return { ...job, ...signature, template: { ...job.template, template: { ...template, containers } } }
}

/** gcloud uses the same label to make each deployment differ from the previous one. */
const nonceLabel = 'client.knative.dev/nonce'

const signature = { client: 'driftwatch', clientVersion: version } as const

/** Removes the revision name from the template, because a revision of that name exists already. */
function changedService(service: VendorService, change: ServiceChange, name: string): VendorService {
  const { template } = service
  const containers = changeContainer(template?.containers ?? [], change, name)
  const labels = { ...template?.labels, [nonceLabel]: change.nonce }
  const traffic = change.holdTraffic ? heldTraffic(service, name) : service.traffic
  return {
    ...service,
    ...signature,
    template: { ...template, revision: '', labels, containers },
    ...(traffic && { traffic }),
  }
}

type VendorTarget = NonNullable<VendorService['traffic']>[number]

const toRevision = 'TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION'

/** Like `--no-traffic` of gcloud: pins the traffic that follows the latest revision to the one that is ready now. */
function heldTraffic({ traffic, latestReadyRevision }: VendorService, name: string): VendorTarget[] {
  const targets: VendorTarget[] = traffic?.length ? traffic : [{ percent: 100 }]
  const following = targets.filter(target => !target.revision)
  const percent = following.reduce((sum, target) => sum + (target.percent ?? 0), 0)
  if (percent === 0) return targets
  const revision = latestReadyRevision?.slice(latestReadyRevision.lastIndexOf('/') + 1)
  if (!revision) throw new DriftwatchError('REFUSED', `${name} has no ready revision to pin the traffic to`)
  const pinned = targets.find(target => target.revision === revision)
  const rest = targets.filter(target => target !== pinned && !following.includes(target))
  const tagged = following.filter(({ tag }) => tag).map(target => ({ ...target, percent: 0 }))
  return [{ type: toRevision, revision, ...pinned, percent: percent + (pinned?.percent ?? 0) }, ...rest, ...tagged]
}

function changeContainer(
  containers: readonly VendorContainer[],
  { container, image }: Pick<JobChange, 'container' | 'image'>,
  name: string,
  others: Partial<VendorContainer> = {},
): VendorContainer[] {
  const seen = containers.map(toContainer)
  const index = seen.indexOf(containerOf(seen, container, name))
  return containers.map((each, at) => (at === index ? { ...each, image, ...others } : each))
}

function containerOf(containers: readonly Container[], wanted: string | null, name: string): Container {
  const pick = pickContainer(containers, wanted)
  if (pick.kind === 'picked') return pick.container
  const names = containers.map(each => each.name).join(', ')
  throw new DriftwatchError(
    'REFUSED',
    `cannot choose a container of ${name} (${names || 'none'}). Name one in the configuration.`,
  )
}

function matchesChange(container: Container, { image, command, args }: JobChange): boolean {
  const isSame = (current: readonly string[], wanted: readonly string[] | null) =>
    wanted === null || JSON.stringify(current) === JSON.stringify(wanted)
  return container.image === image && isSame(container.command, command) && isSame(container.args, args)
}

function conflict(name: string, cause: DriftwatchError | null): DriftwatchError {
  return new DriftwatchError(
    'CONFLICT',
    `${name} was changed by another client in the meantime. Nothing was overwritten: review the change and run the command again.`,
    { cause },
  )
}

function uncertain(name: string, cause: DriftwatchError | null): DriftwatchError {
  const reason = cause ? ` (${cause.message})` : ''
  return new DriftwatchError(
    'UNCERTAIN',
    `the response to a change of ${name} was lost, and the change may or may not have been applied${reason}. Check the current state before you try again.`,
    { cause },
  )
}
