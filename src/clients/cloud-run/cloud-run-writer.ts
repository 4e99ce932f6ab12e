import { JobsClient } from '@google-cloud/run/build/src/v2/jobs_client.js'
import { ServicesClient } from '@google-cloud/run/build/src/v2/services_client.js'
import type { Clock } from '../../clock.ts'
import { type Deadline, startDeadline } from '../../concurrency/deadline.ts'
import { retry } from '../../concurrency/retry.ts'
import { asDriftwatchError, DriftwatchError, type ErrorCode } from '../../errors.ts'
import type { Container } from '../../release/cloud-run.ts'
import { pickContainer } from '../../release/container.ts'
import { version } from '../../version.ts'
import { clientOptions } from '../google/google-client.ts'
import { createGoogleCredentials } from '../google/google-credentials.ts'
import { translateGrpcError } from '../google/grpc-errors.ts'
import { longestAnswerBytes } from './cloud-run.ts'
import { toJob } from './cloud-run-messages.ts'

/** What a job is to run; `command` and `args` null: they stay as they are. */
export interface JobChange {
  /** Which of several containers, or null for the one that counts. */
  readonly container: string | null
  readonly image: string
  readonly command: readonly string[] | null
  readonly args: readonly string[] | null
}

export interface ServiceChange {
  readonly container: string | null
  readonly image: string
  /** Marks the new revision, so that there is one even where nothing else changes. */
  readonly nonce: string
  /** Who takes traffic now keeps it: what follows the latest revision is pinned to the one that is the latest now. */
  readonly holdTraffic: boolean
}

/**
 * Changes Cloud Run. Every write says which version of the resource it was meant for, and rejects with CONFLICT where
 * somebody else was faster. Only what cannot happen twice is tried again; UNCERTAIN is what may have happened.
 * Names are full resource names.
 */
export interface CloudRunWriter {
  updateJob(name: string, etag: string, change: JobChange): Promise<void>
  updateService(name: string, etag: string, change: ServiceChange): Promise<void>
  /** Starts an execution of a job; `latest` is the short name of its latest one so far. Resolves with the short name. */
  runJob(name: string, etag: string, latest: string | null): Promise<string>
  close(): Promise<void>
}

export interface CloudRunWriterOptions {
  readonly clock: Clock
  /** `host:port` of an emulator, or null for Google Cloud. */
  readonly emulatorHost: string | null
}

/** One write, and the looks that tell whether it was made. */
const longestMs = 45_000
const oneRequestMs = 15_000
const pauseMs = 500

/** After these nobody knows whether the write was made. */
const lost: ReadonlySet<ErrorCode> = new Set(['UNAVAILABLE', 'DEADLINE_EXCEEDED', 'INTERNAL', 'MALFORMED_RESPONSE'])

type VendorJob = NonNullable<NonNullable<Parameters<JobsClient['updateJob']>[0]>['job']>
type VendorService = NonNullable<NonNullable<Parameters<ServicesClient['updateService']>[0]>['service']>
type VendorContainer = NonNullable<NonNullable<VendorService['template']>['containers']>[number]

type Options = { readonly timeout: number; readonly retry: null }
type Ask = <T>(where: string, deadline: Deadline, request: (options: Options) => Promise<T>) => Promise<T>

export function createCloudRunWriter(options: CloudRunWriterOptions): CloudRunWriter {
  const credentials = options.emulatorHost === null ? createGoogleCredentials() : null
  const vendorOptions = () => clientOptions(options.emulatorHost, longestAnswerBytes, credentials)
  const jobs = new JobsClient(vendorOptions())
  const services = new ServicesClient(vendorOptions())
  const { clock } = options
  const ask: Ask = async (where, deadline, request) => {
    const timeout = Math.max(1, Math.min(oneRequestMs, deadline.at - clock.monotonic()))
    return request({ timeout, retry: null }).catch(thrown => {
      throw translateGrpcError(thrown, `Cloud Run ${where}`)
    })
  }
  const getJob = async (name: string, deadline: Deadline) => {
    const read = () => ask(`GetJob ${name}`, deadline, options => jobs.getJob({ name }, options))
    return (await retry(clock, deadline, read))[0]
  }
  const getService = async (name: string, deadline: Deadline) => {
    const read = () => ask(`GetService ${name}`, deadline, options => services.getService({ name }, options))
    return (await retry(clock, deadline, read))[0]
  }
  return {
    updateJob: (name, etag, change) =>
      within(clock, deadline =>
        update<VendorJob>(clock, deadline, name, etag, {
          read: () => getJob(name, deadline),
          isMade: job => sameWords(containerOf(toJob(job).containers, change.container, name), change),
          write: job => {
            const request = { job: changedJob(job, change, name) }
            return ask(`UpdateJob ${name}`, deadline, options => jobs.updateJob(request, options))
          },
        }),
      ),
    updateService: (name, etag, change) =>
      within(clock, deadline =>
        update<VendorService>(clock, deadline, name, etag, {
          read: () => getService(name, deadline),
          isMade: service => service.template?.labels?.[nonceLabel] === change.nonce,
          write: service => {
            const request = { service: changedService(service, change, name) }
            return ask(`UpdateService ${name}`, deadline, options => services.updateService(request, options))
          },
        }),
      ),
    runJob: (name, etag, latest) =>
      within(clock, async deadline => {
        try {
          const [, raw] = await ask(`RunJob ${name}`, deadline, options => jobs.runJob({ name, etag }, options))
          const started = executionOf(jobs, raw?.metadata?.value)
          if (started) return started
        } catch (thrown) {
          const error = asDriftwatchError(thrown)
          if (!lost.has(error.code)) throw error.code === 'ABORTED' ? conflict(name, error) : error
        }
        return startedSince(clock, deadline, latest, name, () => getJob(name, deadline))
      }),
    async close() {
      await Promise.all([jobs.close(), services.close()])
    },
  }
}

async function within<T>(clock: Clock, write: (deadline: Deadline) => Promise<T>): Promise<T> {
  const deadline = startDeadline(clock, longestMs)
  try {
    return await write(deadline)
  } finally {
    deadline.cancel()
  }
}

/**
 * Writes what was read with its etag. After a lost answer it reads again: the write was made, or the etag still stands and
 * writing again can do no harm, or somebody else was faster.
 */
async function update<M extends { etag?: string | null }>(
  clock: Clock,
  deadline: Deadline,
  name: string,
  etag: string,
  steps: {
    read(): Promise<M>
    isMade(resource: M): boolean
    write(resource: M): Promise<unknown>
  },
): Promise<void> {
  let failure: DriftwatchError | null = null
  while (clock.monotonic() < deadline.at) {
    const resource = await steps.read().catch(thrown => {
      throw failure ? uncertain(name, failure) : thrown
    })
    if (failure && steps.isMade(resource)) return
    if (resource.etag !== etag) throw conflict(name, failure)
    failure = await steps.write(resource).then(
      () => null,
      thrown => asDriftwatchError(thrown),
    )
    if (failure === null) return
    if (failure.code !== 'ABORTED' && !lost.has(failure.code)) throw failure
    await clock.sleep(pauseMs)
  }
  throw uncertain(name, failure)
}

/** The execution that a lost answer was about; the job names it if it was started. */
async function startedSince(
  clock: Clock,
  deadline: Deadline,
  latest: string | null,
  name: string,
  getJob: () => Promise<VendorJob>,
): Promise<string> {
  for (let looks = 0; looks < 5 && clock.monotonic() < deadline.at; looks += 1) {
    const job = await getJob().catch(() => null)
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
  const containers = changeContainer(template?.containers ?? [], change.container, name, container => ({
    ...container,
    image: change.image,
    ...(change.command && { command: [...change.command] }),
    ...(change.args && { args: [...change.args] }),
  }))
  return { ...job, ...signature, template: { ...job.template, template: { ...template, containers } } }
}

/** The label by which gcloud, too, makes each deployment differ from the last. */
const nonceLabel = 'client.knative.dev/nonce'

const signature = { client: 'driftwatch', clientVersion: version } as const

/** A name that the template asks for its revision is taken out: there already is a revision of that name. */
function changedService(service: VendorService, change: ServiceChange, name: string): VendorService {
  const { template } = service
  const containers = changeContainer(template?.containers ?? [], change.container, name, container => ({
    ...container,
    image: change.image,
  }))
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

/**
 * As gcloud does it for `--no-traffic`: what follows the latest revision goes, by name, to the one that is ready now. The
 * rest of the split, and every tag, stays where it is.
 */
function heldTraffic({ traffic, latestReadyRevision }: VendorService, name: string): VendorTarget[] {
  const targets: VendorTarget[] = traffic?.length ? traffic : [{ percent: 100 }]
  const following = targets.filter(target => !target.revision)
  const percent = following.reduce((sum, target) => sum + (target.percent ?? 0), 0)
  if (percent === 0) return targets
  const revision = latestReadyRevision?.slice(latestReadyRevision.lastIndexOf('/') + 1)
  if (!revision) throw new DriftwatchError('REFUSED', `${name} has no revision that is ready: there is nothing to pin`)
  const pinned = targets.find(target => target.revision === revision)
  const rest = targets.filter(target => target !== pinned && !following.includes(target))
  const tagged = following.filter(({ tag }) => tag).map(target => ({ ...target, percent: 0 }))
  return [{ type: toRevision, revision, ...pinned, percent: percent + (pinned?.percent ?? 0) }, ...rest, ...tagged]
}

function changeContainer(
  containers: readonly VendorContainer[],
  wanted: string | null,
  name: string,
  change: (container: VendorContainer) => VendorContainer,
): VendorContainer[] {
  const seen = containers.map(each => ({
    name: each.name ?? '',
    image: each.image ?? '',
    command: each.command ?? [],
    args: each.args ?? [],
    hasPorts: (each.ports ?? []).length > 0,
  }))
  const index = seen.indexOf(containerOf(seen, wanted, name) as (typeof seen)[number])
  return containers.map((each, at) => (at === index ? change(each) : each))
}

function containerOf(containers: readonly Container[], wanted: string | null, name: string): Container {
  const pick = pickContainer(containers, wanted)
  if (pick.kind === 'picked') return pick.container
  const names = containers.map(each => each.name).join(', ')
  throw new DriftwatchError(
    'REFUSED',
    `${name} has the containers ${names || '(none)'}: cannot tell which one is meant; name it in the config`,
  )
}

function sameWords(container: Container, { image, command, args }: JobChange): boolean {
  const same = (one: readonly string[], other: readonly string[] | null) =>
    other === null || JSON.stringify(one) === JSON.stringify(other)
  return container.image === image && same(container.command, command) && same(container.args, args)
}

function conflict(name: string, cause: DriftwatchError | null): DriftwatchError {
  return new DriftwatchError(
    'CONFLICT',
    `${name} was changed by somebody else in between: nothing was overwritten; look again and run the command again`,
    { cause },
  )
}

function uncertain(name: string, cause: DriftwatchError | null): DriftwatchError {
  const why = cause ? ` (${cause.message})` : ''
  return new DriftwatchError(
    'UNCERTAIN',
    `the answer to a change of ${name} was lost, and it could not be told whether it was made${why}: look before you try again`,
    { cause },
  )
}
