import { isDeepStrictEqual } from 'node:util'
import DataLoader from 'dataloader'
import type { LRUCache } from 'lru-cache'
import { createBoundedCache } from '../../bounded-cache.ts'
import type { Clock, EpochMs } from '../../clock.ts'
import type { Deadline } from '../../concurrency/deadline.ts'
import { asDriftwatchError } from '../../errors.ts'
import { type Execution, isUnrecognized, type Job, type Revision, type Service } from '../../release/cloud-run.ts'
import type { CloudRunClient } from './cloud-run.ts'
import { createListOrGet, type ListOrGet } from './list-or-get.ts'
import { completePagesOf } from './resource-pages.ts'

/** A project and region: what one list of services or jobs covers. */
export interface Place {
  readonly project: string
  readonly region: string
}

/**
 * Reads resources by short name, for one cycle: equal reads are made once, and reads of one place together. Null: Cloud
 * Run positively has no such thing. Rejects with a coded error when it could not look.
 */
export interface CloudRunReader {
  /** Every service of a place, by short name; whoever reads one in the same cycle is given it. Rejects unless it is all. */
  services(place: Place): Promise<ReadonlyMap<string, Service>>
  /** Every job, likewise. */
  jobs(place: Place): Promise<ReadonlyMap<string, Job>>
  service(place: Place, name: string): Promise<Service | null>
  /** A revision of a service that was read in the same cycle. */
  revision(place: Place, service: Service, name: string): Promise<Revision | null>
  /** The newest revision of a service that existed at a moment; null where none is kept. */
  newestRevisionAt(place: Place, service: string, moment: EpochMs): Promise<Revision | null>
  job(place: Place, name: string): Promise<Job | null>
  execution(place: Place, job: string, name: string): Promise<Execution | null>
}

/** Keeps across cycles what cannot change, and opens the reader of each cycle. */
export interface CloudRunReaders {
  open(deadline: Deadline): CloudRunReader
}

/** How many are kept of each, the last used. */
const kept = { revisions: 20_000, executions: 20_000, moments: 5_000 } as const

/** What may change unseen, such as whether a revision is ready, is looked at again after this long. */
const rereadAfterMs = 10 * 60_000

/** A page of revisions or executions holds mostly old ones: it must save this many calls to be worth it. */
const historyCosts = 5

interface KeptRevision {
  readonly revision: Revision
  /** The service under which its conditions hold. */
  readonly service: Service
  /** When it was read, on the monotonic clock. */
  readonly readAt: number
}

interface Memory {
  readonly revisions: LRUCache<string, KeptRevision>
  readonly executions: LRUCache<string, Execution>
  /** The newest revision of a service at a moment, or that none is kept. */
  readonly moments: LRUCache<string, { readonly revision: Revision | null }>
}

export function createCloudRunReaders({
  client,
  clock,
}: {
  readonly client: CloudRunClient
  readonly clock: Clock
}): CloudRunReaders {
  const memory: Memory = {
    revisions: createBoundedCache(kept.revisions),
    executions: createBoundedCache(kept.executions),
    moments: createBoundedCache(kept.moments),
  }
  const fleets = {
    services: createListOrGet(client.services, clock),
    revisions: createListOrGet(client.revisions, clock, historyCosts),
    jobs: createListOrGet(client.jobs, clock),
    executions: createListOrGet(client.executions, clock, historyCosts),
  }
  return { open: deadline => openReader({ client, clock, memory, fleets, deadline }) }
}

interface Cycle {
  readonly client: CloudRunClient
  readonly clock: Clock
  readonly memory: Memory
  readonly fleets: {
    readonly services: ListOrGet<Service>
    readonly revisions: ListOrGet<Revision>
    readonly jobs: ListOrGet<Job>
    readonly executions: ListOrGet<Execution>
  }
  readonly deadline: Deadline
}

function openReader(cycle: Cycle): CloudRunReader {
  const { fleets, deadline } = cycle
  const loaders = {
    revisions: createLoader(names => fleets.revisions.read(names, deadline)),
    executions: createLoader(names => fleets.executions.read(names, deadline)),
  }
  const services = createListedReads('services', fleets.services, deadline)
  const jobs = createListedReads('jobs', fleets.jobs, deadline)
  return {
    services: services.all,
    jobs: jobs.all,
    service: services.one,
    job: jobs.one,
    revision: (place, service, name) => readRevision(cycle, loaders.revisions, place, service, name),
    execution: (place, job, name) =>
      readExecution(cycle, loaders.executions, `${locationOf(place)}/jobs/${job}/executions/${name}`),
    newestRevisionAt: (place, service, moment) =>
      readNewestRevisionAt(cycle, `${locationOf(place)}/services/${service}`, moment),
  }
}

/** Resources that stand right below a place, for one cycle. */
function createListedReads<T extends { readonly name: string }>(
  collection: 'services' | 'jobs',
  fleet: ListOrGet<T>,
  deadline: Deadline,
) {
  const asked = new Map<string, Promise<T | null>>()
  const lists = new Map<string, Promise<ReadonlyMap<string, T>>>()
  const cheapest = createLoader(names => fleet.read(names, deadline))
  const byGet = createLoader(names => fleet.each(names, deadline))

  async function list(location: string): Promise<ReadonlyMap<string, T>> {
    const items = await fleet.whole(location, deadline)
    return new Map([...items.values()].map(item => [item.name, item]))
  }

  /** From the list of its place where there is one: what that does not hold is believed to be gone only by a `get`. */
  async function read(location: string, name: string, key: string): Promise<T | null> {
    const listed = await lists.get(location)?.catch(() => null)
    const reader = listed ? byGet : cheapest
    return listed?.get(name) ?? reader.load(key)
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
      const answer = asked.get(key) ?? read(location, name, key)
      asked.set(key, answer)
      return answer
    },
  }
}

/** Reads together what is asked for in one turn; each answer is waited for by whoever asked for it alone. */
function createLoader<T>(read: (names: readonly string[]) => readonly Promise<T | null>[]): Loader<T> {
  const loader = new DataLoader<string, Promise<T | null>>(async names => read(names))
  return { load: async name => loader.load(name) }
}

interface Loader<T> {
  load(name: string): Promise<T | null>
}

function locationOf({ project, region }: Place): string {
  return `projects/${project}/locations/${region}`
}

/** Containers never change; conditions hold while the service stays as it is, and a revision that is not ready may become so. */
async function readRevision(
  { memory, clock }: Cycle,
  loader: Loader<Revision>,
  place: Place,
  service: Service,
  name: string,
): Promise<Revision | null> {
  const key = `${locationOf(place)}/services/${service.name}/revisions/${name}`
  const before = memory.revisions.get(key)
  const holds = before !== undefined && isAsBefore(service, before.service)
  const now = clock.monotonic()
  if (holds && now - before.readAt < rereadAfterMs) return before.revision
  const revision = await loader.load(key).catch(thrown => {
    // To look again at what should not have changed can wait.
    if (holds && asDriftwatchError(thrown).code === 'QUOTA_SPENT') return before.revision
    throw thrown
  })
  if (revision === before?.revision) return revision
  if (revision && isReady(revision)) memory.revisions.set(key, { revision, service, readAt: now })
  else memory.revisions.delete(key)
  return revision
}

function isAsBefore(service: Service, before: Service): boolean {
  if (service === before) return true
  return service.etag === before.etag && isDeepStrictEqual(service.terminalCondition, before.terminalCondition)
}

function isReady({ conditions }: Revision): boolean {
  return conditions.some(condition => condition.type === 'Ready' && condition.state === 'succeeded')
}

/** A completed execution never changes. */
async function readExecution({ memory }: Cycle, loader: Loader<Execution>, key: string): Promise<Execution | null> {
  const before = memory.executions.get(key)
  if (before) return before
  const execution = await loader.load(key)
  if (execution && isCompleted(execution)) memory.executions.set(key, execution)
  return execution
}

function isCompleted({ conditions }: Execution): boolean {
  const state = conditions.find(condition => condition.type === 'Completed')?.state
  return state !== undefined && !isUnrecognized(state) && (state === 'succeeded' || state === 'failed')
}

/** No revision of the past is ever added: the answer holds for ever. */
async function readNewestRevisionAt(
  { client, memory, deadline }: Cycle,
  service: string,
  moment: EpochMs,
): Promise<Revision | null> {
  const key = `${service}@${moment}`
  const before = memory.moments.get(key)
  if (before) return before.revision
  let newest: Revision | null = null
  for await (const { items } of completePagesOf(client.revisions, service, deadline))
    for (const revision of items.values()) if (isNewer(revision, newest, moment)) newest = revision
  memory.moments.set(key, { revision: newest })
  return newest
}

function isNewer(revision: Revision, than: Revision | null, moment: EpochMs): boolean {
  return revision.createTime !== null && revision.createTime <= moment && revision.createTime > (than?.createTime ?? 0)
}
