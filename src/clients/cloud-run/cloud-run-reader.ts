import { isDeepStrictEqual } from 'node:util'
import DataLoader from 'dataloader'
import { createBoundedCache } from '../../bounded-cache.ts'
import type { Clock, EpochMs } from '../../clock.ts'
import type { Deadline } from '../../concurrency/deadline.ts'
import { asDriftwatchError } from '../../errors.ts'
import { type Execution, isSameResource, type Job, type Revision, type Service } from '../../release/cloud-run.ts'
import { isReferenced } from '../../release/execution-verdict.ts'
import type { CloudRunClient } from './cloud-run.ts'
import { createListOrGet, type ListOrGet } from './list-or-get.ts'
import { completePagesOf } from './resource-pages.ts'

/** A project and region. */
export interface Place {
  readonly project: string
  readonly region: string
}

/**
 * Reads resources by short name, for one cycle: equal reads are one request, and reads of one place are combined. Null:
 * Cloud Run positively has no such resource. Every method rejects with a coded error.
 */
export interface CloudRunReader {
  /** All services of a place, by short name; `service` reuses them. Rejects if any of them may be missing. */
  services(place: Place): Promise<ReadonlyMap<string, Service>>
  /** Likewise. */
  jobs(place: Place): Promise<ReadonlyMap<string, Job>>
  service(place: Place, name: string): Promise<Service | null>
  /** A revision of a service that was read in the same cycle. */
  revision(place: Place, service: Service, name: string): Promise<Revision | null>
  /** The newest revision of a service at a moment; null if Cloud Run has none of that time. */
  newestRevisionAt(place: Place, service: Service, moment: EpochMs): Promise<Revision | null>
  /** All revisions of a service that was read in the same cycle. */
  revisions(place: Place, service: Service): Promise<readonly Revision[]>
  job(place: Place, name: string): Promise<Job | null>
  /** The latest execution of a job that was read in the same cycle; null if it has none, or Cloud Run no longer has it. */
  latestExecution(place: Place, job: Job): Promise<Execution | null>
}

/**
 * Opens the reader of each cycle, and caches immutable data between cycles. Names can be used again: cached data is used
 * only while what refers to it identifies the same resource.
 */
export interface CloudRunReaders {
  open(deadline: Deadline): CloudRunReader
  /** Drops all cached data. */
  forget(): void
}

/** Cache entries. */
const maxEntries = { revisions: 20_000, executions: 20_000, moments: 5_000, histories: 20_000 } as const

/** A cached revision is read again after this time, because its conditions may change while its service does not. */
const revisionMaxAgeMs = 10 * 60_000

/** The cost of a page of revisions or executions, in `get` calls: most of its items are old and not needed. */
const historyPageCost = 5

interface CachedRevision {
  readonly revision: Revision
  /** The service when the revision was read. */
  readonly service: Service
  /** On the monotonic clock. */
  readonly readAt: number
}

interface History {
  readonly revisions: readonly Revision[]
  /** The service when its revisions were read. */
  readonly service: Service
}

interface CachedExecution {
  readonly execution: Execution
  /** The job when the execution was read. */
  readonly job: Job
}

export function createCloudRunReaders(client: CloudRunClient, clock: Clock): CloudRunReaders {
  const shared = createShared(client, clock)
  return {
    open: deadline => openReader({ ...shared, deadline }),
    forget() {
      for (const cache of Object.values(shared.caches)) cache.clear()
    },
  }
}

/** What the readers of all cycles share. */
function createShared(client: CloudRunClient, clock: Clock) {
  return {
    client,
    clock,
    caches: {
      revisions: createBoundedCache<CachedRevision>(maxEntries.revisions),
      executions: createBoundedCache<CachedExecution>(maxEntries.executions),
      /** The newest revision of a service at a moment, by the identity of the service. */
      moments: createBoundedCache<{ readonly revision: Revision | null }>(maxEntries.moments),
      /** All revisions of a service. The limit counts revisions. */
      histories: createBoundedCache<History>(maxEntries.histories, ({ revisions }) => 1 + revisions.length),
    },
    fleets: {
      services: createListOrGet(client.services, clock),
      revisions: createListOrGet(client.revisions, clock, historyPageCost),
      jobs: createListOrGet(client.jobs, clock),
      executions: createListOrGet(client.executions, clock, historyPageCost),
    },
  }
}

type Cycle = ReturnType<typeof createShared> & { readonly deadline: Deadline }

function openReader(cycle: Cycle): CloudRunReader {
  const { fleets, deadline } = cycle
  const loadRevision = createLoader(names => fleets.revisions.read(names, deadline))
  const loadExecution = createLoader(names => fleets.executions.read(names, deadline))
  const services = createListedReads('services', fleets.services, deadline)
  const jobs = createListedReads('jobs', fleets.jobs, deadline)
  return {
    services: services.all,
    jobs: jobs.all,
    service: services.one,
    job: jobs.one,
    revision: (place, service, name) => readRevision(cycle, loadRevision, place, service, name),
    latestExecution: (place, job) => readLatestExecution(cycle, loadExecution, place, job),
    newestRevisionAt: (place, service, moment) => readNewestRevisionAt(cycle, place, service, moment),
    revisions: (place, service) => readRevisions(cycle, `${locationOf(place)}/services/${service.name}`, service),
  }
}

/** The services or jobs of all places, for one cycle. */
function createListedReads<T extends { readonly name: string }>(
  collection: 'services' | 'jobs',
  fleet: ListOrGet<T>,
  deadline: Deadline,
) {
  const reads = new Map<string, Promise<T | null>>()
  const lists = new Map<string, Promise<ReadonlyMap<string, T>>>()
  const cheapest = createLoader(names => fleet.read(names, deadline))
  const byGet = createLoader(names => fleet.get(names, deadline))

  async function list(location: string): Promise<ReadonlyMap<string, T>> {
    return new Map((await fleet.all(location, deadline)).map(item => [item.name, item]))
  }

  /** From the list of its place if that was read. Only a `get` proves that a resource is absent. */
  async function read(location: string, name: string, key: string): Promise<T | null> {
    const listed = await lists.get(location)?.catch(() => null)
    return listed?.get(name) ?? (listed ? byGet : cheapest)(key)
  }

  return {
    all(place: Place) {
      const location = locationOf(place)
      const listed = lists.get(location) ?? list(location)
      lists.set(location, listed)
      return listed
    },
    one(place: Place, name: string): Promise<T | null> {
      const location = locationOf(place)
      const key = `${location}/${collection}/${name}`
      const resource = reads.get(key) ?? read(location, name, key)
      reads.set(key, resource)
      return resource
    },
  }
}

/** Combines the reads of one turn of the event loop; each read settles by itself. */
function createLoader<T>(read: (names: readonly string[]) => readonly Promise<T | null>[]): Load<T> {
  const loader = new DataLoader<string, Promise<T | null>>(async names => read(names))
  return async name => loader.load(name)
}

type Load<T> = (name: string) => Promise<T | null>

function locationOf({ project, region }: Place): string {
  return `projects/${project}/locations/${region}`
}

/** Cached while its service is unchanged, if it is ready: a revision that is not ready may become ready at any time. */
async function readRevision(
  { caches, clock }: Cycle,
  load: Load<Revision>,
  place: Place,
  service: Service,
  name: string,
): Promise<Revision | null> {
  const key = `${locationOf(place)}/services/${service.name}/revisions/${name}`
  const cached = caches.revisions.get(key)
  const isValid = cached !== undefined && isUnchanged(service, cached.service)
  const now = clock.monotonic()
  if (isValid && now - cached.readAt < revisionMaxAgeMs) return cached.revision
  const revision = await load(key).catch(thrown => {
    // The cached revision is valid, so that reading it again can wait.
    if (isValid && asDriftwatchError(thrown).code === 'QUOTA_SPENT') return cached.revision
    throw thrown
  })
  if (revision === cached?.revision) return revision
  if (revision && isReady(revision)) caches.revisions.set(key, { revision, service, readAt: now })
  else caches.revisions.delete(key)
  return revision
}

/** Without an etag, a service may have changed in what Driftwatch does not read. */
function isUnchanged(service: Service, before: Service): boolean {
  return service.etag !== '' && (service === before || isDeepStrictEqual(service, before))
}

function isReady({ conditions }: Revision): boolean {
  return conditions.some(condition => condition.type === 'Ready' && condition.state === 'succeeded')
}

/** Cached if it is completed, while the job refers to it: then it never changes. */
async function readLatestExecution(
  { caches }: Cycle,
  load: Load<Execution>,
  place: Place,
  job: Job,
): Promise<Execution | null> {
  const reference = job.latestCreatedExecution
  if (!reference) return null
  const key = `${locationOf(place)}/jobs/${job.name}/executions/${reference.name}`
  const cached = caches.executions.get(key)
  if (cached && isSameResource(cached.job, job) && isReferenced(cached.execution, reference)) return cached.execution
  const execution = await load(key)
  const isFinal = execution && isCompleted(execution) && isReferenced(execution, reference)
  if (isFinal) caches.executions.set(key, { execution, job })
  else caches.executions.delete(key)
  return execution
}

function isCompleted({ conditions }: Execution): boolean {
  const state = conditions.find(condition => condition.type === 'Completed')?.state
  return state === 'succeeded' || state === 'failed'
}

/** Cached while the service is unchanged: a new revision changes it. */
async function readRevisions(
  { client, caches, deadline }: Cycle,
  key: string,
  service: Service,
): Promise<readonly Revision[]> {
  const cached = caches.histories.get(key)
  if (cached && isUnchanged(service, cached.service)) return cached.revisions
  const revisions: Revision[] = []
  for await (const { items } of completePagesOf(client.revisions, key, deadline)) revisions.push(...items.values())
  caches.histories.set(key, { revisions, service })
  return revisions
}

/** Cached permanently: no revision is ever added to the past of a service. */
async function readNewestRevisionAt(
  { client, caches, deadline }: Cycle,
  place: Place,
  { name, uid, createTime }: Service,
  moment: EpochMs,
): Promise<Revision | null> {
  const parent = `${locationOf(place)}/services/${name}`
  const key = JSON.stringify([parent, uid, createTime, moment])
  const cached = caches.moments.get(key)
  if (cached) return cached.revision
  let newest: Revision | null = null
  for await (const { items } of completePagesOf(client.revisions, parent, deadline))
    for (const revision of items.values()) if (isNewer(revision, newest, moment)) newest = revision
  caches.moments.set(key, { revision: newest })
  return newest
}

function isNewer(revision: Revision, than: Revision | null, moment: EpochMs): boolean {
  return revision.createTime !== null && revision.createTime <= moment && revision.createTime > (than?.createTime ?? 0)
}
