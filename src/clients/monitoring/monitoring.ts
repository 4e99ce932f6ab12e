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
import { createReconnectingClient, type ReconnectingClient } from '../google/reconnecting-client.ts'
import type { AlertPolicy, UptimeCheck } from './alert-policy.ts'
import {
  fromDescriptor,
  fromDuration,
  fromPoints,
  fromTime,
  toDescriptor,
  toPolicy,
  toReadSeries,
  toUptimeCheck,
} from './monitoring-messages.ts'
import type { MetricDescriptor, ReadSeries, SeriesPoint, SeriesResource } from './time-series.ts'

/** Which series to read, over which time. The answer holds the largest value of each group. */
export interface SeriesQuery {
  readonly filter: string
  readonly from: EpochMs
  readonly to: EpochMs
  /** As `metric.label.stack`. */
  readonly groupBy: readonly string[]
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
  readSeries(project: string, query: SeriesQuery, deadline: Deadline): Promise<ReadSeries[]>
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
): Pick<MonitoringClient, 'writePoints' | 'createDescriptor' | 'getDescriptor' | 'readSeries'> {
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
    readSeries: (project, query, deadline) =>
      readPages(async pageToken => {
        const name = `projects/${project}`
        const [messages, , response] = await caller('ListTimeSeries', name, deadline, callOptions =>
          metrics.call(client =>
            client.listTimeSeries(
              { name, ...seriesRequest(query), pageSize, pageToken },
              { ...callOptions, autoPaginate: false },
            ),
          ),
        )
        return { items: messages.map(toReadSeries), next: response.nextPageToken }
      }),
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
    listPolicies: (project, deadline) =>
      readPages(async pageToken => {
        const name = `projects/${project}`
        const [messages, , response] = await caller('ListAlertPolicies', name, deadline, callOptions =>
          policies.call(client =>
            client.listAlertPolicies({ name, pageSize, pageToken }, { ...callOptions, autoPaginate: false }),
          ),
        )
        return { items: messages.map(toPolicy), next: response.nextPageToken }
      }),
    async hasNotificationChannel(name, deadline) {
      const found = await orNull(() =>
        caller('GetNotificationChannel', name, deadline, callOptions =>
          channels.call(client => client.getNotificationChannel({ name }, callOptions)),
        ),
      )
      return found !== null
    },
    listUptimeChecks: (project, deadline) =>
      readPages(async pageToken => {
        const parent = `projects/${project}`
        const [messages, , response] = await caller('ListUptimeCheckConfigs', parent, deadline, callOptions =>
          uptime.call(client =>
            client.listUptimeCheckConfigs(
              { parent, pageSize: 100, pageToken },
              { ...callOptions, autoPaginate: false },
            ),
          ),
        )
        return { items: messages.map(toUptimeCheck), next: response.nextPageToken }
      }),
  }
}

/** Points that are there with the same time are refused in these words. */
function isWrittenAlready(thrown: unknown): boolean {
  return thrown instanceof Error && /written in order|more frequently than/i.test(thrown.message)
}

function seriesRequest({ filter, from, to, groupBy }: SeriesQuery) {
  return {
    filter,
    interval: { startTime: fromTime(from), endTime: fromTime(to) },
    aggregation: {
      alignmentPeriod: fromDuration(Math.max(60_000, to - from)),
      perSeriesAligner: 'ALIGN_MAX' as const,
      crossSeriesReducer: 'REDUCE_MAX' as const,
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

async function readPages<T>(
  read: (pageToken: string) => Promise<{ readonly items: readonly T[]; readonly next?: string | null | undefined }>,
): Promise<T[]> {
  const all: T[] = []
  for (let pageToken = ''; ; ) {
    const { items, next } = await read(pageToken)
    all.push(...items)
    if (!next) return all
    pageToken = next
  }
}
