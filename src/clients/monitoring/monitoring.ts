import { AlertPolicyServiceClient } from '@google-cloud/monitoring/build/src/v3/alert_policy_service_client.js'
import { MetricServiceClient } from '@google-cloud/monitoring/build/src/v3/metric_service_client.js'
import { NotificationChannelServiceClient } from '@google-cloud/monitoring/build/src/v3/notification_channel_service_client.js'
import { UptimeCheckServiceClient } from '@google-cloud/monitoring/build/src/v3/uptime_check_service_client.js'
import type { grpc } from 'google-gax'
import type { Clock, EpochMs } from '../../clock.ts'
import type { Deadline } from '../../concurrency/deadline.ts'
import { DriftwatchError, type ErrorCode } from '../../errors.ts'
import { type Caller, clientOptions, createCaller } from '../google/google-client.ts'
import { createGoogleCredentials } from '../google/google-credentials.ts'
import { listPages } from '../google/list-pages.ts'
import { createReconnectingClient, type ReconnectingClient } from '../google/reconnecting-client.ts'
import type { AlertPolicy, UptimeCheck } from './alert-policy.ts'
import {
  fromDescriptor,
  fromDuration,
  fromPoints,
  fromTime,
  toDescriptor,
  toPolicy,
  toReadPoints,
  toUptimeCheck,
} from './monitoring-messages.ts'
import type { MetricDescriptor, ReadPoint, SeriesPoint, SeriesResource } from './time-series.ts'

/** Which series to read, over which time. */
export interface SeriesQuery {
  /** In Cloud Monitoring's filter language. */
  readonly filter: string
  readonly from: EpochMs
  readonly to: EpochMs
  /** As `metric.label.stack`. */
  readonly groupBy: readonly string[]
  /** What each group is reduced to: its maximum over the whole time, or its sum in each minute. Default: `max`. */
  readonly reduce?: 'max' | 'sum-per-minute'
}

/** Points of one moment. */
export interface PointsToWrite {
  readonly points: readonly SeriesPoint[]
  readonly resource: SeriesResource
  readonly at: EpochMs
}

/**
 * Cloud Monitoring, as far as the service uses it: it writes its own series and their descriptors, and reads the rest.
 * Every method rejects with a coded error.
 */
export interface MonitoringClient {
  /** At most `longestBatch` points. The cause of an INVALID_ARGUMENT names those that were refused. */
  writePoints(project: string, batch: PointsToWrite, deadline: Deadline): Promise<void>
  /** Makes it, or adds what it lacks; refuses to make another kind of what is there. */
  createDescriptor(project: string, descriptor: MetricDescriptor, deadline: Deadline): Promise<void>
  /** Null where there is none. */
  getDescriptor(project: string, type: string, deadline: Deadline): Promise<MetricDescriptor | null>
  readPoints(project: string, query: SeriesQuery, deadline: Deadline): Promise<ReadPoint[]>
  listPolicies(project: string, deadline: Deadline): Promise<AlertPolicy[]>
  /** Whether there is a notification channel of that full resource name. */
  hasNotificationChannel(name: string, deadline: Deadline): Promise<boolean>
  listUptimeChecks(project: string, deadline: Deadline): Promise<UptimeCheck[]>
  close(): Promise<void>
}

export interface MonitoringOptions {
  readonly clock: Clock
  /** `host:port` of an emulator: without TLS, and no credentials are looked up. Null: Google Cloud. */
  readonly emulatorHost: string | null
  /** How the emulator is reached, in place of that. */
  readonly channel?: grpc.ChannelCredentials
  readonly onRequest?: ((method: string, code: 'OK' | ErrorCode) => void) | undefined
}

/** So many points Cloud Monitoring takes in one request. */
export const longestBatch = 200

const pageSize = 1000
const seriesPageSize = 10_000
const uptimePageSize = 100

const longestAnswerBytes = 16 * 1024 * 1024

export function createMonitoringClient({
  clock,
  emulatorHost,
  channel,
  onRequest,
}: MonitoringOptions): MonitoringClient {
  const credentials = emulatorHost === null ? createGoogleCredentials() : null
  const options = () => clientOptions(emulatorHost, longestAnswerBytes, credentials, channel)
  const metrics = createReconnectingClient(() => new MetricServiceClient(options()))
  const policies = createReconnectingClient(() => new AlertPolicyServiceClient(options()))
  const channels = createReconnectingClient(() => new NotificationChannelServiceClient(options()))
  const uptime = createReconnectingClient(() => new UptimeCheckServiceClient(options()))
  const caller = createCaller({ system: 'Cloud Monitoring', clock, credentials, onRequest })
  return {
    ...metricRequests(metrics, caller),
    ...alertingRequests({ policies, channels, uptime }, caller),
    async close() {
      await Promise.all([metrics, policies, channels, uptime].map(client => client.close()))
    },
  }
}

function metricRequests(
  metrics: ReconnectingClient<MetricServiceClient>,
  caller: Caller,
): Pick<MonitoringClient, 'writePoints' | 'createDescriptor' | 'getDescriptor' | 'readPoints'> {
  return {
    async writePoints(project, { points, resource, at }, deadline) {
      const timeSeries = fromPoints(points, resource, at)
      const name = `projects/${project}`
      let unsure = false
      await caller('CreateTimeSeries', name, deadline, async callOptions => {
        try {
          await metrics.call(client => client.createTimeSeries({ name, timeSeries }, callOptions))
        } catch (thrown) {
          // The attempt before may have been heard although its answer was lost: then the points are there.
          if (unsure && isWrittenAlready(thrown)) return
          unsure = true
          throw thrown
        }
      })
    },
    async createDescriptor(project, descriptor, deadline) {
      const request = { name: `projects/${project}`, metricDescriptor: fromDescriptor(descriptor) }
      await caller('CreateMetricDescriptor', `projects/${project} ${descriptor.type}`, deadline, callOptions =>
        metrics.call(client => client.createMetricDescriptor(request, callOptions)),
      )
    },
    getDescriptor(project, type, deadline) {
      const name = `projects/${project}/metricDescriptors/${type}`
      return orNull(async () => {
        const [message] = await caller('GetMetricDescriptor', name, deadline, callOptions =>
          metrics.call(client => client.getMetricDescriptor({ name }, callOptions)),
        )
        return toDescriptor(message)
      })
    },
    async readPoints(project, query, deadline) {
      const name = `projects/${project}`
      const request = { name, ...seriesRequest(query), pageSize: seriesPageSize }
      const series = await readAll(`time series of ${name}`, pageToken =>
        caller('ListTimeSeries', name, deadline, callOptions =>
          metrics.call(client =>
            client.listTimeSeries({ ...request, pageToken }, { ...callOptions, autoPaginate: false }),
          ),
        ),
      )
      return series.flatMap(toReadPoints)
    },
  }
}

interface AlertingClients {
  readonly policies: ReconnectingClient<AlertPolicyServiceClient>
  readonly channels: ReconnectingClient<NotificationChannelServiceClient>
  readonly uptime: ReconnectingClient<UptimeCheckServiceClient>
}

function alertingRequests(
  { policies, channels, uptime }: AlertingClients,
  caller: Caller,
): Pick<MonitoringClient, 'listPolicies' | 'hasNotificationChannel' | 'listUptimeChecks'> {
  return {
    async listPolicies(project, deadline) {
      const name = `projects/${project}`
      const messages = await readAll(`alert policies of ${name}`, pageToken =>
        caller('ListAlertPolicies', name, deadline, callOptions =>
          policies.call(client =>
            client.listAlertPolicies({ name, pageSize, pageToken }, { ...callOptions, autoPaginate: false }),
          ),
        ),
      )
      return messages.map(toPolicy)
    },
    async hasNotificationChannel(name, deadline) {
      const found = await orNull(() =>
        caller('GetNotificationChannel', name, deadline, callOptions =>
          channels.call(client => client.getNotificationChannel({ name }, callOptions)),
        ),
      )
      return found !== null
    },
    async listUptimeChecks(project, deadline) {
      const parent = `projects/${project}`
      const request = { parent, pageSize: uptimePageSize }
      const messages = await readAll(`uptime checks of ${parent}`, pageToken =>
        caller('ListUptimeCheckConfigs', parent, deadline, callOptions =>
          uptime.call(client =>
            client.listUptimeCheckConfigs({ ...request, pageToken }, { ...callOptions, autoPaginate: false }),
          ),
        ),
      )
      return messages.map(toUptimeCheck)
    },
  }
}

/** Points that are there with the same time are refused in these words. */
function isWrittenAlready(thrown: unknown): boolean {
  return thrown instanceof Error && /written in order|more frequently than/i.test(thrown.message)
}

function seriesRequest({ filter, from, to, groupBy, reduce = 'max' }: SeriesQuery) {
  const [alignmentMs, operation] = reduce === 'max' ? ([to - from, 'MAX'] as const) : ([0, 'SUM'] as const)
  return {
    filter,
    interval: { startTime: fromTime(from), endTime: fromTime(to) },
    aggregation: {
      alignmentPeriod: fromDuration(Math.max(60_000, alignmentMs)),
      perSeriesAligner: `ALIGN_${operation}` as const,
      crossSeriesReducer: `REDUCE_${operation}` as const,
      groupByFields: [...groupBy],
    },
    view: 'FULL' as const,
  }
}

async function orNull<T>(ask: () => Promise<T>): Promise<T | null> {
  try {
    return await ask()
  } catch (error) {
    if (error instanceof DriftwatchError && error.code === 'NOT_FOUND') return null
    throw error
  }
}

/** What a list method of Google's clients resolves with. */
type VendorPage<Message> = readonly [readonly Message[], unknown, { readonly nextPageToken?: string | null }]

async function readAll<Message>(
  list: string,
  read: (pageToken: string) => Promise<VendorPage<Message>>,
): Promise<Message[]> {
  const readPage = async (pageToken: string) => {
    const [messages, , { nextPageToken }] = await read(pageToken)
    return { messages, nextPageToken: nextPageToken ?? '' }
  }
  const all: Message[] = []
  for await (const { messages } of listPages(list, readPage, page => page.messages.length)) all.push(...messages)
  return all
}
