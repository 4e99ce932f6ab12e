import { refusal } from '../cloud-run/refusal.ts'
import { assertAggregation, toAggregation } from './aggregate.ts'
import { type Filtered, parseFilter } from './filter.ts'

type Message = Record<string, unknown>

/** The telemetry of a service per minute, from a time on. */
export interface Rate {
  readonly fromTime: string
  /** A rate applies until the next one of the same revision. If absent, the series have no revision. */
  readonly revision?: string
  /** By response class: `2xx`, `5xx`. */
  readonly requests?: Readonly<Record<string, number>>
  /** Log entries of severity ERROR, without the request log. */
  readonly errorLogs?: number
}

/** Rates by short name of the service, oldest first; the same in every project and region. */
export type TelemetryWorld = Readonly<Record<string, readonly Rate[]>>

/** The series that Cloud Run and Cloud Logging write. */
export interface Telemetry {
  set(world: TelemetryWorld): void
  /** The response of ListTimeSeries; null for another metric. */
  list(request: Message): Message | null
}

/** A minute is sampled at its end and can be read some time later. */
const visibleAfterMs = 180_000
const minute = 60_000

const metrics = ['run.googleapis.com/request_count', 'logging.googleapis.com/log_entry_count']

interface Labelled extends Filtered {
  readonly revision: string
  countAt(rate: Rate): number
}

export function createTelemetry(now: () => number, initial: TelemetryWorld = {}): Telemetry {
  let world = initial
  return {
    set(next) {
      world = next
    },
    list({ filter, interval, aggregation }) {
      const { metricType, resourceType, matches } = parseFilter(String(filter))
      if (!metrics.includes(metricType)) return null
      if (resourceType !== 'cloud_run_revision')
        throw refusal('INVALID_ARGUMENT', 'the filter must specify resource.type')
      const wanted = toAggregation(aggregation as Message)
      assertAggregation(wanted)
      if (wanted.aligner !== 'ALIGN_SUM' || wanted.reducer !== 'REDUCE_SUM' || wanted.alignmentMs !== minute)
        throw refusal('UNIMPLEMENTED', 'the emulator supports only sums per minute of these series')
      const ends = minutesOf(interval as Message, now() - visibleAfterMs)
      const region = /resource\.label\.location = "([^"]*)"/.exec(String(filter))?.[1] ?? ''
      const timeSeries = Object.entries(world)
        .flatMap(([service, rates]) =>
          seriesOf(metricType, service, region, rates)
            .filter(matches)
            .map(series => ({ series, rates })),
        )
        .map(({ series, rates }) => message(series, rates, ends))
        .filter(({ points }) => points.length > 0)
      return { timeSeries, nextPageToken: '' }
    },
  }
}

function seriesOf(metricType: string, service: string, region: string, rates: readonly Rate[]): Labelled[] {
  return [...Map.groupBy(rates, ({ revision = '' }) => revision)].flatMap(([revision, ofRevision]) =>
    seriesOfRevision(metricType, { service, region, revision }, ofRevision),
  )
}

function seriesOfRevision(
  metricType: string,
  { service, region, revision }: { readonly service: string; readonly region: string; readonly revision: string },
  rates: readonly Rate[],
): Labelled[] {
  const resourceLabels = { service_name: service, location: region, revision_name: revision }
  const resource = { resourceType: 'cloud_run_revision', resourceLabels, revision }
  if (metricType === metrics[0]) {
    const classes = [...new Set(rates.flatMap(({ requests = {} }) => Object.keys(requests)))]
    return classes.map(name => ({
      ...resource,
      metricType,
      metricLabels: { response_code_class: name },
      countAt: rate => rate.requests?.[name] ?? 0,
    }))
  }
  // Cloud Run logs each failed request as an ERROR.
  const logs = {
    'run.googleapis.com%2Fstderr': (rate: Rate) => rate.errorLogs ?? 0,
    'run.googleapis.com%2Frequests': (rate: Rate) => rate.requests?.['5xx'] ?? 0,
  }
  return Object.entries(logs).map(([log, countAt]) => ({
    ...resource,
    metricType,
    metricLabels: { log, severity: 'ERROR' },
    countAt,
  }))
}

/** The readable minutes that end within the interval, newest first. */
function minutesOf({ startTime, endTime }: Message, visibleUntil: number): number[] {
  const seconds = (time: unknown) => Number((time as Message).seconds) * 1000
  const [from, to] = [seconds(startTime), seconds(endTime)]
  if (from >= to)
    throw refusal('INVALID_ARGUMENT', 'Field interval had an invalid value: the end is not after the start.')
  const count = Math.floor((to - from) / minute)
  return Array.from({ length: count }, (_, at) => to - at * minute).filter(end => end <= visibleUntil)
}

function message(
  { metricType, metricLabels, resourceType, resourceLabels, revision, countAt }: Labelled,
  rates: readonly Rate[],
  ends: readonly number[],
) {
  const points = ends.flatMap(end => {
    const rate = rates.findLast(each => (each.revision ?? '') === revision && Date.parse(each.fromTime) <= end - minute)
    const count = rate ? countAt(rate) : 0
    const endTime = { seconds: end / 1000 }
    return count > 0
      ? [{ interval: { startTime: { seconds: end / 1000 - 60 }, endTime }, value: { int64Value: count } }]
      : []
  })
  const { service_name, revision_name } = resourceLabels
  const label = Object.entries(metricLabels).filter(([key]) => key !== 'severity')
  return {
    metric: { type: metricType, labels: Object.fromEntries(label) },
    resource: { type: resourceType, labels: { service_name, revision_name } },
    metricKind: 'DELTA',
    valueType: 'INT64',
    points,
  }
}
