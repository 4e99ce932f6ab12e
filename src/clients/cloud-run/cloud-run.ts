import { ExecutionsClient } from '@google-cloud/run/build/src/v2/executions_client.js'
import { JobsClient } from '@google-cloud/run/build/src/v2/jobs_client.js'
import { RevisionsClient } from '@google-cloud/run/build/src/v2/revisions_client.js'
import { ServicesClient } from '@google-cloud/run/build/src/v2/services_client.js'
import type { grpc } from 'google-gax'
import type { Clock } from '../../clock.ts'
import type { Deadline } from '../../concurrency/deadline.ts'
import { asDriftwatchError, DriftwatchError, type ErrorCode } from '../../errors.ts'
import { vendorName, vendorProse } from '../../printable.ts'
import type { Execution, Job, Revision, Service } from '../../release/cloud-run.ts'
import type { CallBudget } from '../google/call-budget.ts'
import { type Caller, type CallOptions, clientOptions, createCaller } from '../google/google-client.ts'
import { createGoogleCredentials } from '../google/google-credentials.ts'
import { createReconnectingClient } from '../google/reconnecting-client.ts'
import { type CachedResource, createResponseCache } from '../google/response-cache.ts'
import { toExecution, toJob, toRevision, toService } from './cloud-run-messages.ts'

/** Some resources of a list, by full resource name. */
export interface ResourcePage<T> {
  readonly items: ReadonlyMap<string, T>
  /** Empty on the last page. */
  readonly nextPageToken: string
  /** Locations that could not be asked: what they hold is missing from the list. */
  readonly unreachable: readonly string[]
  /** Resources that are missing from the page since they could not be read, each with the reason. */
  readonly unreadable: readonly string[]
}

/** How one kind of resource is read. Rejects with a coded error when it could not be. */
export interface ResourceReader<T> {
  /** By full resource name; null where Cloud Run positively has none. */
  get(name: string, deadline: Deadline): Promise<T | null>
  list(parent: string, pageToken: string, deadline: Deadline): Promise<ResourcePage<T>>
}

/** Cloud Run, as far as Driftwatch reads it. Nothing here writes. */
export interface CloudRunClient {
  readonly services: ResourceReader<Service>
  readonly revisions: ResourceReader<Revision>
  readonly jobs: ResourceReader<Job>
  readonly executions: ResourceReader<Execution>
  close(): Promise<void>
}

export interface CloudRunOptions {
  readonly clock: Clock
  /** `host:port` of an emulator: without TLS, and no credentials are looked up. Null: Google Cloud. */
  readonly emulatorHost: string | null
  /** How the emulator is reached, in place of that. */
  readonly channel?: grpc.ChannelCredentials
  /** Gives leave to each request; left out, all may be made. */
  readonly budget?: CallBudget
  /** Told of every request: `method` as `GetService`, `code` as `OK` or one of our error codes. */
  readonly onRequest?: (method: string, code: 'OK' | ErrorCode) => void
}

/** The requests that are made, as metrics name them. */
export const cloudRunMethods = ['Service', 'Revision', 'Job', 'Execution'].flatMap(noun => [
  `Get${noun}`,
  `List${noun}s`,
])

/** More than a server puts on a page: as few pages as it allows. */
const pageSize = 1000

/** A page of big services is a few MiB; what is larger is no answer of Cloud Run's. */
export const longestAnswerBytes = 16 * 1024 * 1024

interface VendorPage {
  readonly nextPageToken?: string | null
  readonly unreachable?: readonly string[] | null
}

/** The two requests of a vendor's client that read one kind of resource. What they resolve with is an `Arrival`. */
interface VendorReads {
  get(request: { name: string }, options: CallOptions): Promise<readonly unknown[]>
  list(
    request: { parent: string; pageToken: string; pageSize: number },
    options: CallOptions & { readonly autoPaginate: false },
  ): Promise<readonly [readonly unknown[], unknown, VendorPage]>
}

/** How many bytes are kept of each kind of resource: some ten thousand, and less of those that are past, since few of them are asked for twice. */
const keptBytes = { current: 48 * 2 ** 20, past: 2 ** 20 }

export function createCloudRunClient({
  clock,
  emulatorHost,
  channel,
  budget,
  onRequest,
}: CloudRunOptions): CloudRunClient {
  const credentials = emulatorHost === null ? createGoogleCredentials() : null
  const options = () => clientOptions(emulatorHost, longestAnswerBytes, credentials, channel)
  // Each client changes the options that it is given: it gets its own.
  const services = createReconnectingClient(() => new ServicesClient(options()))
  const revisions = createReconnectingClient(() => new RevisionsClient(options()))
  const jobs = createReconnectingClient(() => new JobsClient(options()))
  const executions = createReconnectingClient(() => new ExecutionsClient(options()))
  const caller = createCaller({ system: 'Cloud Run', clock, credentials, budget, onRequest })
  return {
    services: createReader('Service', toService, keptBytes.current, caller, {
      get: (request, callOptions) => services.call(client => client.getService(request, callOptions)),
      list: (request, callOptions) => services.call(client => client.listServices(request, callOptions)),
    }),
    revisions: createReader('Revision', toRevision, keptBytes.past, caller, {
      get: (request, callOptions) => revisions.call(client => client.getRevision(request, callOptions)),
      list: (request, callOptions) => revisions.call(client => client.listRevisions(request, callOptions)),
    }),
    jobs: createReader('Job', toJob, keptBytes.current, caller, {
      get: (request, callOptions) => jobs.call(client => client.getJob(request, callOptions)),
      list: (request, callOptions) => jobs.call(client => client.listJobs(request, callOptions)),
    }),
    executions: createReader('Execution', toExecution, keptBytes.past, caller, {
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
  caller: Caller,
  reads: VendorReads,
): ResourceReader<T> {
  const answers = createResponseCache({ field: `${noun.toLowerCase()}s`, translate, maxBytes })
  return {
    async get(name, deadline) {
      try {
        return await caller(`Get${noun}`, name, deadline, async options => {
          const [arrival] = await reads.get({ name }, { ...options, ...answers.one() })
          return (arrival as CachedResource<T>).decode()
        })
      } catch (error) {
        if (error instanceof DriftwatchError && error.code === 'NOT_FOUND') return null
        throw error
      }
    },
    list: (parent, pageToken, deadline) =>
      caller(`List${noun}s`, parent, deadline, async options => {
        const request = { parent, pageToken, pageSize }
        const callOptions = { ...options, ...answers.page(), autoPaginate: false as const }
        const [arrivals, , response] = await reads.list(request, callOptions)
        const { nextPageToken, unreachable } = response
        return {
          ...takeAll(arrivals as CachedResource<T>[]),
          nextPageToken: nextPageToken ?? '',
          unreachable: unreachable ?? [],
        }
      }),
  }
}

function takeAll<T>(arrivals: readonly CachedResource<T>[]): Pick<ResourcePage<T>, 'items' | 'unreadable'> {
  const items = new Map<string, T>()
  const unreadable: string[] = []
  for (const { name, decode: take } of arrivals) {
    try {
      items.set(name, take())
    } catch (thrown) {
      unreadable.push(`${vendorName(name) || 'one without a name'}: ${vendorProse(asDriftwatchError(thrown).message)}`)
    }
  }
  return { items, unreadable }
}
