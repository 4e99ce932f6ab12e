import type { EpochMs } from '../../clock.ts'
import type { Deadline } from '../../concurrency/deadline.ts'
import type { Window } from '../../release/rollout-telemetry.ts'
import type { Place } from '../cloud-run/cloud-run-reader.ts'
import type { GoogleOptions } from '../google/google-client.ts'
import type { MonitoringClient } from './monitoring.ts'
import type { ReadPoint } from './time-series.ts'

/** Which services of a place to count, and over which time. */
export interface TelemetryQuery extends Window, Place {
  readonly services: readonly string[]
}

/** One minute of one series. */
export interface MinuteCount {
  readonly service: string
  /** Empty if the series has no revision label. */
  readonly revision: string
  /** The end of the minute. */
  readonly at: EpochMs
  readonly count: number
  /** `5xx` and the like; empty for log entries. */
  readonly responseClass: string
  /** The log that contains the entries; empty for requests. */
  readonly log: string
}

/** The metrics that Google Cloud records for Cloud Run services. Every method rejects with a coded error. */
export interface TelemetryClient {
  /** Loads Google's library. Call it before time is measured: it takes long. */
  load(): Promise<void>
  requests(query: TelemetryQuery, deadline: Deadline): Promise<MinuteCount[]>
  /** Log entries of severity ERROR and above. */
  errorLogs(query: TelemetryQuery, deadline: Deadline): Promise<MinuteCount[]>
  close(): Promise<void>
}

/** The requests of this client, as metrics name them. */
export const telemetryMethods = ['ListTimeSeries'] as const

const severities: readonly string[] = ['ERROR', 'CRITICAL', 'ALERT', 'EMERGENCY']

/** Loads Google's library only at the first request: most stacks never need it. */
export function createTelemetryClient(options: GoogleOptions): TelemetryClient {
  let client: Promise<MonitoringClient> | null = null

  function open(): Promise<MonitoringClient> {
    client ??= import('./monitoring.ts').then(({ createMonitoringClient }) => createMonitoringClient(options))
    return client
  }

  async function count(
    { project, from, to }: TelemetryQuery,
    filter: string,
    label: string,
    deadline: Deadline,
  ): Promise<MinuteCount[]> {
    const groupBy = ['resource.label.service_name', 'resource.label.revision_name', `metric.label.${label}`]
    const query = { filter, from, to, groupBy, reduce: 'sum-per-minute' as const }
    return (await (await open()).readPoints(project, query, deadline)).map(toMinuteCount)
  }

  return {
    async load() {
      await open()
    },
    requests: (query, deadline) =>
      count(query, filterOf(query, 'run.googleapis.com/request_count'), 'response_code_class', deadline),
    errorLogs(query, deadline) {
      const metric = 'logging.googleapis.com/log_entry_count'
      const filter = `${filterOf(query, metric)} AND metric.label.severity = ${oneOf(severities)}`
      return count(query, filter, 'log', deadline)
    },
    close: async () => (await client)?.close(),
  }
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

function toMinuteCount({ metricLabels, resourceLabels, value, at }: ReadPoint): MinuteCount {
  return {
    service: resourceLabels.service_name ?? '',
    revision: resourceLabels.revision_name ?? '',
    at,
    count: value,
    responseClass: metricLabels.response_code_class ?? '',
    // Some log names have their slashes percent-encoded.
    log: (metricLabels.log ?? '').replaceAll(/%2f/gi, '/'),
  }
}
