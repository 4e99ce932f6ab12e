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
  type GoogleCall,
  type GoogleOptions,
  nullIfNotFound,
  openGoogleApi,
} from '../google/google-client.ts'
import { createReconnectingClient } from '../google/reconnecting-client.ts'
import { type CachedResource, createResponseCache } from '../google/response-cache.ts'
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
  readonly budget?: CallBudget
}

/** The requests of this client, as metrics name them. */
export const cloudRunMethods = ['Service', 'Revision', 'Job', 'Execution'].flatMap(noun => [
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
interface VendorReads {
  get(request: { name: string }, options: CallOptions): Promise<readonly unknown[]>
  list(
    request: { parent: string; pageToken: string; pageSize: number },
    options: CallOptions & { readonly autoPaginate: false },
  ): Promise<readonly [readonly unknown[], unknown, VendorPage]>
}

/** Cache size for each kind of resource: about 10,000 current ones. Revisions and executions are rarely read twice. */
const cacheBytes = { current: 48 * 2 ** 20, past: 2 ** 20 }

export function createCloudRunClient(options: CloudRunOptions): CloudRunClient {
  const { clientOptions, call } = openGoogleApi({ ...options, system: 'Cloud Run', maxResponseBytes })
  const services = createReconnectingClient(() => new ServicesClient(clientOptions()))
  const revisions = createReconnectingClient(() => new RevisionsClient(clientOptions()))
  const jobs = createReconnectingClient(() => new JobsClient(clientOptions()))
  const executions = createReconnectingClient(() => new ExecutionsClient(clientOptions()))
  return {
    services: createReader('Service', toService, cacheBytes.current, call, {
      get: (request, callOptions) => services.call(client => client.getService(request, callOptions)),
      list: (request, callOptions) => services.call(client => client.listServices(request, callOptions)),
    }),
    revisions: createReader('Revision', toRevision, cacheBytes.past, call, {
      get: (request, callOptions) => revisions.call(client => client.getRevision(request, callOptions)),
      list: (request, callOptions) => revisions.call(client => client.listRevisions(request, callOptions)),
    }),
    jobs: createReader('Job', toJob, cacheBytes.current, call, {
      get: (request, callOptions) => jobs.call(client => client.getJob(request, callOptions)),
      list: (request, callOptions) => jobs.call(client => client.listJobs(request, callOptions)),
    }),
    executions: createReader('Execution', toExecution, cacheBytes.past, call, {
      get: (request, callOptions) => executions.call(client => client.getExecution(request, callOptions)),
      list: (request, callOptions) => executions.call(client => client.listExecutions(request, callOptions)),
    }),
    async close() {
      await Promise.all([services, revisions, jobs, executions].map(client => client.close()))
    },
  }
}

function createReader<M extends { name?: string | null }, T extends object>(
  noun: string,
  translate: (message: M) => T,
  maxBytes: number,
  call: GoogleCall,
  reads: VendorReads,
): ResourceReader<T> {
  const cache = createResponseCache({ field: `${noun.toLowerCase()}s`, translate, maxBytes })
  return {
    get: (name, deadline) =>
      nullIfNotFound(() =>
        call(`Get${noun}`, name, deadline, async options => {
          const [resource] = await reads.get({ name }, { ...options, ...cache.one() })
          return (resource as CachedResource<T>).decode()
        }),
      ),
    list: (parent, pageToken, deadline) =>
      call(`List${noun}s`, parent, deadline, async options => {
        const request = { parent, pageToken, pageSize }
        const callOptions = { ...options, ...cache.page(), autoPaginate: false as const }
        const [resources, , response] = await reads.list(request, callOptions)
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
