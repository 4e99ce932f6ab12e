import { ExecutionsClient } from '@google-cloud/run/build/src/v2/executions_client.js'
import { JobsClient } from '@google-cloud/run/build/src/v2/jobs_client.js'
import { RevisionsClient } from '@google-cloud/run/build/src/v2/revisions_client.js'
import { ServicesClient } from '@google-cloud/run/build/src/v2/services_client.js'
import type { Deadline } from '../../concurrency/deadline.ts'
import { asDriftwatchError } from '../../errors.ts'
import { vendorName, vendorProse } from '../../printable.ts'
import type { Execution, Job, Revision, Service } from '../../release/cloud-run.ts'
import type { CallBudget } from '../google/call-budget.ts'
import {
  type CallOptions,
  type GoogleClient,
  type GoogleOptions,
  nullIfNotFound,
  openGoogleApi,
} from '../google/google-client.ts'
import { type CachedResource, createResponseCache, type ResponseCache } from '../google/response-cache.ts'
import { toExecution, toJob, toRevision, toService } from './cloud-run-messages.ts'

/** One page of a list. */
export interface ResourcePage<T> {
  /** By full resource name. */
  readonly items: ReadonlyMap<string, T>
  /** Empty on the last page. */
  readonly nextPageToken: string
  /** Locations that Cloud Run could not reach: the list lacks their resources. */
  readonly unreachable: readonly string[]
  /** Resources that could not be parsed and are missing from `items`, each with the reason. */
  readonly unreadable: readonly string[]
}

/** Reads one kind of resource. Rejects with a coded error. */
export interface ResourceReader<T> {
  /** By full resource name; null where Cloud Run positively has no such resource. */
  get(name: string, deadline: Deadline): Promise<T | null>
  list(parent: string, pageToken: string, deadline: Deadline): Promise<ResourcePage<T>>
}

/** Read access to Cloud Run. */
export interface CloudRunClient {
  readonly services: ResourceReader<Service>
  readonly revisions: ResourceReader<Revision>
  readonly jobs: ResourceReader<Job>
  readonly executions: ResourceReader<Execution>
  close(): Promise<void>
}

export interface CloudRunOptions extends GoogleOptions {
  /** Limits the rate of requests; if absent, there is no limit. */
  readonly budget?: Pick<CallBudget, 'take'>
  /** Default: its own. */
  readonly caches?: ResourceCaches
}

/** Decoded resources. Clients can share them, because a cached resource is found by all its bytes. */
export type ResourceCaches = ReturnType<typeof createResourceCaches>

/** The requests of this client, as metrics name them. */
export const cloudRunMethods: readonly string[] = ['Service', 'Revision', 'Job', 'Execution'].flatMap(noun => [
  `Get${noun}`,
  `List${noun}s`,
])

/** More than Cloud Run puts on a page, so that there are as few pages as possible. */
const pageSize = 1000

/** A page of large services has a few MiB. */
export const maxResponseBytes = 16 * 1024 * 1024

interface VendorPage {
  readonly nextPageToken?: string | null
  readonly unreachable?: readonly string[] | null
}

/** The two requests of a vendor's client that read one kind of resource. They resolve with `CachedResource`s. */
interface VendorReads<Client> {
  get(client: Client, request: { name: string }, options: CallOptions): Promise<readonly unknown[]>
  list(
    client: Client,
    request: { parent: string; pageToken: string; pageSize: number },
    options: CallOptions & { readonly autoPaginate: false },
  ): Promise<readonly [readonly unknown[], unknown, VendorPage]>
}

/** Cache size for each kind of resource: about 10,000 current ones. Revisions and executions are rarely read twice. */
const cacheBytes = { current: 48 * 2 ** 20, past: 2 ** 20 } as const

export function createResourceCaches() {
  const cacheOf = <M extends { name?: string | null }, T extends object>(
    field: string,
    translate: (message: M) => T,
    maxBytes: number,
  ) => createResponseCache({ field, translate, maxBytes })
  return {
    services: cacheOf('services', toService, cacheBytes.current),
    revisions: cacheOf('revisions', toRevision, cacheBytes.past),
    jobs: cacheOf('jobs', toJob, cacheBytes.current),
    executions: cacheOf('executions', toExecution, cacheBytes.past),
  }
}

export function createCloudRunClient(options: CloudRunOptions): CloudRunClient {
  const { caches = createResourceCaches() } = options
  const connect = openGoogleApi({ ...options, system: 'Cloud Run', maxResponseBytes })
  const services = connect(options => new ServicesClient(options))
  const revisions = connect(options => new RevisionsClient(options))
  const jobs = connect(options => new JobsClient(options))
  const executions = connect(options => new ExecutionsClient(options))
  return {
    services: createReader<ServicesClient, Service>('Service', caches.services, services, {
      get: (client, request, options) => client.getService(request, options),
      list: (client, request, options) => client.listServices(request, options),
    }),
    revisions: createReader<RevisionsClient, Revision>('Revision', caches.revisions, revisions, {
      get: (client, request, options) => client.getRevision(request, options),
      list: (client, request, options) => client.listRevisions(request, options),
    }),
    jobs: createReader<JobsClient, Job>('Job', caches.jobs, jobs, {
      get: (client, request, options) => client.getJob(request, options),
      list: (client, request, options) => client.listJobs(request, options),
    }),
    executions: createReader<ExecutionsClient, Execution>('Execution', caches.executions, executions, {
      get: (client, request, options) => client.getExecution(request, options),
      list: (client, request, options) => client.listExecutions(request, options),
    }),
    async close() {
      await Promise.all([services, revisions, jobs, executions].map(client => client.close()))
    },
  }
}

function createReader<Client, T extends object>(
  noun: string,
  cache: ResponseCache,
  vendor: GoogleClient<Client>,
  reads: VendorReads<Client>,
): ResourceReader<T> {
  return {
    get: (name, deadline) =>
      nullIfNotFound(() =>
        vendor.call(`Get${noun}`, name, deadline, async (client, options) => {
          const [resource] = await reads.get(client, { name }, { ...options, ...cache.one() })
          return (resource as CachedResource<T>).decode()
        }),
      ),
    list: (parent, pageToken, deadline) =>
      vendor.call(`List${noun}s`, parent, deadline, async (client, options) => {
        const request = { parent, pageToken, pageSize }
        const callOptions = { ...options, ...cache.page(), autoPaginate: false as const }
        const [resources, , response] = await reads.list(client, request, callOptions)
        const { nextPageToken, unreachable } = response
        return {
          ...decodeAll(resources as CachedResource<T>[]),
          nextPageToken: nextPageToken ?? '',
          unreachable: unreachable ?? [],
        }
      }),
  }
}

function decodeAll<T>(resources: readonly CachedResource<T>[]): Pick<ResourcePage<T>, 'items' | 'unreadable'> {
  const items = new Map<string, T>()
  const unreadable: string[] = []
  for (const { name, decode } of resources) {
    try {
      items.set(name, decode())
    } catch (thrown) {
      const message = vendorProse(asDriftwatchError(thrown).message)
      unreadable.push(`${vendorName(name) || '(a resource without a name)'}: ${message}`)
    }
  }
  return { items, unreadable }
}
