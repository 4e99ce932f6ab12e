import { AlertPolicyServiceClient } from '@google-cloud/monitoring/build/src/v3/alert_policy_service_client.js'
import { MetricServiceClient } from '@google-cloud/monitoring/build/src/v3/metric_service_client.js'
import { NotificationChannelServiceClient } from '@google-cloud/monitoring/build/src/v3/notification_channel_service_client.js'
import { UptimeCheckServiceClient } from '@google-cloud/monitoring/build/src/v3/uptime_check_service_client.js'
import type { EpochMs } from '../../clock.ts'
import type { Deadline } from '../../concurrency/deadline.ts'
import { type GoogleClient, type GoogleOptions, nullIfNotFound, openGoogleApi } from '../google/google-client.ts'
import { listPages } from '../google/list-pages.ts'
import type { AlertPolicy, UptimeCheck } from './alert-policy.ts'
import {
  fromDescriptor,
  fromMs,
  fromPoints,
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

/** Points that have the same time. */
export interface PointsToWrite {
  readonly points: readonly SeriesPoint[]
  readonly resource: SeriesResource
  readonly at: EpochMs
}

/** Reads Cloud Monitoring, and writes Driftwatch's own series. Every method rejects with a coded error. */
export interface MonitoringClient {
  /** At most `maxPointsPerWrite` points. The cause of an INVALID_ARGUMENT names the rejected points. */
  writePoints(project: string, batch: PointsToWrite, deadline: Deadline): Promise<void>
  /** Creates a descriptor, or adds labels to it. Rejects if the metric has another kind or type. */
  createDescriptor(project: string, descriptor: MetricDescriptor, deadline: Deadline): Promise<void>
  /** Null if the metric has no descriptor. */
  getDescriptor(project: string, type: string, deadline: Deadline): Promise<MetricDescriptor | null>
  /** The newest point of a series comes first. */
  readPoints(project: string, query: SeriesQuery, deadline: Deadline): Promise<ReadPoint[]>
  listPolicies(project: string, deadline: Deadline): Promise<AlertPolicy[]>
  /** `name` is a full resource name. */
  hasNotificationChannel(name: string, deadline: Deadline): Promise<boolean>
  listUptimeChecks(project: string, deadline: Deadline): Promise<UptimeCheck[]>
  close(): Promise<void>
}

/** The limit of Cloud Monitoring. */
export const maxPointsPerWrite = 200

const pageSizes = { policies: 1000, series: 10_000, uptimeChecks: 100 } as const

const maxResponseBytes = 16 * 1024 * 1024

export function createMonitoringClient(options: GoogleOptions): MonitoringClient {
  const connect = openGoogleApi({ ...options, system: 'Cloud Monitoring', maxResponseBytes })
  const metrics = connect(options => new MetricServiceClient(options))
  const policies = connect(options => new AlertPolicyServiceClient(options))
  const channels = connect(options => new NotificationChannelServiceClient(options))
  const uptime = connect(options => new UptimeCheckServiceClient(options))
  return {
    ...metricRequests(metrics),
    ...alertingRequests(policies, channels, uptime),
    async close() {
      await Promise.all([metrics, policies, channels, uptime].map(client => client.close()))
    },
  }
}

function metricRequests(
  metrics: GoogleClient<MetricServiceClient>,
): Pick<MonitoringClient, 'writePoints' | 'createDescriptor' | 'getDescriptor' | 'readPoints'> {
  return {
    async writePoints(project, { points, resource, at }, deadline) {
      const timeSeries = fromPoints(points, resource, at)
      const name = `projects/${project}`
      let mayBeWritten = false
      await metrics.call('CreateTimeSeries', name, deadline, async (client, options) => {
        try {
          await client.createTimeSeries({ name, timeSeries }, options)
        } catch (thrown) {
          // The previous attempt may have written the points although its response was lost.
          if (mayBeWritten && isWrittenAlready(thrown)) return
          mayBeWritten = true
          throw thrown
        }
      })
    },
    async createDescriptor(project, descriptor, deadline) {
      const name = `projects/${project}`
      const request = { name, metricDescriptor: fromDescriptor(descriptor) }
      await metrics.call('CreateMetricDescriptor', `${name} ${descriptor.type}`, deadline, (client, options) =>
        client.createMetricDescriptor(request, options),
      )
    },
    getDescriptor(project, type, deadline) {
      const name = `projects/${project}/metricDescriptors/${type}`
      return nullIfNotFound(async () => {
        const [message] = await metrics.call('GetMetricDescriptor', name, deadline, (client, options) =>
          client.getMetricDescriptor({ name }, options),
        )
        return toDescriptor(message)
      })
    },
    async readPoints(project, query, deadline) {
      const name = `projects/${project}`
      const request = { name, ...seriesRequest(query), pageSize: pageSizes.series }
      const series = await readAll(`time series of ${name}`, pageToken =>
        metrics.call('ListTimeSeries', name, deadline, (client, options) =>
          client.listTimeSeries({ ...request, pageToken }, { ...options, autoPaginate: false }),
        ),
      )
      return series.flatMap(toReadPoints)
    },
  }
}

function alertingRequests(
  policies: GoogleClient<AlertPolicyServiceClient>,
  channels: GoogleClient<NotificationChannelServiceClient>,
  uptime: GoogleClient<UptimeCheckServiceClient>,
): Pick<MonitoringClient, 'listPolicies' | 'hasNotificationChannel' | 'listUptimeChecks'> {
  return {
    async listPolicies(project, deadline) {
      const name = `projects/${project}`
      const request = { name, pageSize: pageSizes.policies }
      const messages = await readAll(`alert policies of ${name}`, pageToken =>
        policies.call('ListAlertPolicies', name, deadline, (client, options) =>
          client.listAlertPolicies({ ...request, pageToken }, { ...options, autoPaginate: false }),
        ),
      )
      return messages.map(toPolicy)
    },
    async hasNotificationChannel(name, deadline) {
      const found = await nullIfNotFound(() =>
        channels.call('GetNotificationChannel', name, deadline, (client, options) =>
          client.getNotificationChannel({ name }, options),
        ),
      )
      return found !== null
    },
    async listUptimeChecks(project, deadline) {
      const parent = `projects/${project}`
      const request = { parent, pageSize: pageSizes.uptimeChecks }
      const messages = await readAll(`uptime checks of ${parent}`, pageToken =>
        uptime.call('ListUptimeCheckConfigs', parent, deadline, (client, options) =>
          client.listUptimeCheckConfigs({ ...request, pageToken }, { ...options, autoPaginate: false }),
        ),
      )
      return messages.map(toUptimeCheck)
    },
  }
}

/** Cloud Monitoring rejects points with these words if it has points of the same time. */
function isWrittenAlready(thrown: unknown): boolean {
  return thrown instanceof Error && /written in order|more frequently than/i.test(thrown.message)
}

function seriesRequest({ filter, from, to, groupBy, reduce = 'max' }: SeriesQuery) {
  const [alignmentMs, operation] = reduce === 'max' ? ([to - from, 'MAX'] as const) : ([0, 'SUM'] as const)
  return {
    filter,
    interval: { startTime: fromMs(from), endTime: fromMs(to) },
    aggregation: {
      alignmentPeriod: fromMs(Math.max(60_000, alignmentMs)),
      perSeriesAligner: `ALIGN_${operation}` as const,
      crossSeriesReducer: `REDUCE_${operation}` as const,
      groupByFields: [...groupBy],
    },
    view: 'FULL' as const,
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
