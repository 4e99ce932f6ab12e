import type { protos } from '@google-cloud/monitoring'
import type { MetricServiceClient } from '@google-cloud/monitoring/build/src/v3/metric_service_client.js'
import type { ClientOptions, grpc } from 'google-gax'
import type { Clock, EpochMs } from '../../clock.ts'
import type { Deadline } from '../../concurrency/deadline.ts'
import { DriftwatchError, type ErrorCode } from '../../errors.ts'
import type { Window } from '../../release/rollout-telemetry.ts'
import type { Place } from '../cloud-run/cloud-run-reader.ts'
import { clientOptions, createCaller } from '../google/google-client.ts'
import { createGoogleCredentials } from '../google/google-credentials.ts'
import { createReconnectingClient, type ReconnectingClient } from '../google/reconnecting-client.ts'

type VendorSeries = protos.google.monitoring.v3.ITimeSeries

/** What some services of a place did, by the minute. */
export interface TelemetryQuery extends Window, Place {
  readonly services: readonly string[]
}

/** One minute of one series. */
export interface MinuteCount {
  readonly service: string
  /** Empty where the series says none. */
  readonly revision: string
  /** When the minute ended. */
  readonly at: EpochMs
  readonly count: number
  /** `5xx` and the like; empty for log entries. */
  readonly responseClass: string
  /** The log that the entries are in; empty for requests. */
  readonly log: string
}

/** The series that Cloud Monitoring keeps of Cloud Run services by itself. Every method rejects with a coded error. */
export interface TelemetryClient {
  /** Loads Google's library, which takes long enough to be done before time is measured. */
  load(): Promise<void>
  requests(query: TelemetryQuery, deadline: Deadline): Promise<MinuteCount[]>
  /** Entries of severity ERROR and above. */
  errorLogs(query: TelemetryQuery, deadline: Deadline): Promise<MinuteCount[]>
  close(): Promise<void>
}

export interface TelemetryOptions {
  readonly clock: Clock
  /** `host:port` of an emulator: without TLS, and no credentials are looked up. Null: Google Cloud. */
  readonly emulatorHost: string | null
  /** How the emulator is reached, in place of that. */
  readonly channel?: grpc.ChannelCredentials
  readonly onRequest?: ((method: string, code: 'OK' | ErrorCode) => void) | undefined
}

/** The requests that are made, as metrics name them. */
export const telemetryMethods = ['ListTimeSeries'] as const

const pageSize = 10_000
const mostPages = 50
const longestAnswerBytes = 16 * 1024 * 1024

const severities = ['ERROR', 'CRITICAL', 'ALERT', 'EMERGENCY']

/** Google's library is loaded when it is needed first: most stacks need none. */
export function createTelemetryClient({ clock, emulatorHost, channel, onRequest }: TelemetryOptions): TelemetryClient {
  let source: Promise<ReconnectingClient<MetricServiceClient>> | null = null
  const credentials = emulatorHost === null ? createGoogleCredentials() : null
  const caller = createCaller({ system: 'Cloud Monitoring', clock, credentials, onRequest })
  const options = () => clientOptions(emulatorHost, longestAnswerBytes, credentials, channel)

  async function list(
    query: TelemetryQuery,
    filter: string,
    label: string,
    deadline: Deadline,
  ): Promise<MinuteCount[]> {
    const name = `projects/${query.project}`
    const request = { name, ...seriesRequest(query, filter, label), pageSize }
    source ??= open(options)
    const client = await source
    const all: MinuteCount[] = []
    let pageToken = ''
    for (let pages = 0; pages < mostPages; pages++) {
      const [messages, , response] = await caller('ListTimeSeries', name, deadline, options =>
        client.call(metrics => metrics.listTimeSeries({ ...request, pageToken }, { ...options, autoPaginate: false })),
      )
      all.push(...messages.flatMap(toMinuteCounts))
      pageToken = response.nextPageToken ?? ''
      if (pageToken === '') return all
    }
    throw new DriftwatchError(
      'MALFORMED_RESPONSE',
      `the time series of ${name} have no end: ${mostPages} pages were read`,
    )
  }

  return {
    async load() {
      source ??= open(options)
      await source
    },
    requests: (query, deadline) =>
      list(query, filterOf(query, 'run.googleapis.com/request_count'), 'response_code_class', deadline),
    errorLogs(query, deadline) {
      const metric = 'logging.googleapis.com/log_entry_count'
      const filter = `${filterOf(query, metric)} AND metric.label.severity = ${oneOf(severities)}`
      return list(query, filter, 'log', deadline)
    },
    close: async () => (await source)?.close(),
  }
}

async function open(options: () => ClientOptions): Promise<ReconnectingClient<MetricServiceClient>> {
  const { MetricServiceClient } = await import('@google-cloud/monitoring/build/src/v3/metric_service_client.js')
  return createReconnectingClient(() => new MetricServiceClient(options()))
}

function filterOf({ region, services }: TelemetryQuery, metric: string): string {
  return [
    `metric.type = "${metric}"`,
    'resource.type = "cloud_run_revision"',
    `resource.label.location = "${region}"`,
    `resource.label.service_name = ${oneOf(services)}`,
  ].join(' AND ')
}

function oneOf(values: readonly string[]): string {
  return `one_of(${values.map(value => `"${value}"`).join(',')})`
}

/** A sum for each minute: a point counts whole in the minute in which it ends, and nothing is interpolated. */
function seriesRequest({ from, to }: Window, filter: string, label: string) {
  return {
    filter,
    interval: { startTime: { seconds: from / 1000 }, endTime: { seconds: to / 1000 } },
    aggregation: {
      alignmentPeriod: { seconds: 60 },
      perSeriesAligner: 'ALIGN_SUM' as const,
      crossSeriesReducer: 'REDUCE_SUM' as const,
      groupByFields: ['resource.label.service_name', 'resource.label.revision_name', `metric.label.${label}`],
    },
    view: 'FULL' as const,
  }
}

function toMinuteCounts({ metric, resource, points }: VendorSeries): MinuteCount[] {
  return (points ?? []).map(({ interval, value }) => ({
    service: resource?.labels?.service_name ?? '',
    revision: resource?.labels?.revision_name ?? '',
    at: Number(interval?.endTime?.seconds ?? 0) * 1000,
    count: Number(value?.int64Value ?? value?.doubleValue ?? 0),
    responseClass: metric?.labels?.response_code_class ?? '',
    log: decoded(metric?.labels?.log ?? ''),
  }))
}

/** Names of logs are percent-encoded where they hold a slash, and not everywhere. */
function decoded(log: string): string {
  return log.replaceAll(/%2f/gi, '/')
}
