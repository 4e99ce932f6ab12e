import { refusal } from '../cloud-run/refusal.ts'
import { type Aggregation, assertAggregation, groupsAt, type Point, type Series, toAggregation } from './aggregate.ts'
import { type Filtered, parseFilter } from './filter.ts'

type Message = Record<string, unknown>

/** A metric with its creation time. */
interface Metric {
  readonly descriptor: Message & { readonly metricKind: string; readonly valueType: string }
  readonly since: number
}

/** The minimum interval between two points of a series. */
const shortestGapMs = 10_000
const mostSeries = 200
/** The retention of points: longer than any window. */
const keptMs = 8 * 86_400_000

/** The monitored resources for custom metrics, with their required labels. */
const writable: Readonly<Record<string, readonly string[]>> = {
  global: ['project_id'],
  generic_task: ['project_id', 'location', 'namespace', 'job', 'task_id'],
  generic_node: ['project_id', 'location', 'namespace', 'node_id'],
  gce_instance: ['project_id', 'instance_id', 'zone'],
}

const place = /^(global|[a-z]+-[a-z]+[0-9](-[a-z])?)$/

/** The metrics and series of every project. */
export interface SeriesStore {
  createTimeSeries(request: Message): Message
  createDescriptor(request: Message): Message
  getDescriptor(name: string): Message
  listTimeSeries(request: Message): Message
  /** Whether policies can use a metric yet. */
  knows(project: string, type: string): boolean
  matching(project: string, filter: string): Series[]
}

export function createSeriesStore(now: () => number, knownAfterMs: () => number): SeriesStore {
  const metrics = new Map<string, Metric>()
  const all = new Map<string, Series>()

  function createTimeSeries({ name, timeSeries }: Message): Message {
    const project = projectOf(name)
    const wanted = timeSeries as Message[]
    if (wanted.length > mostSeries)
      throw invalid(
        'Field timeSeries had an invalid value: A maximum of 200 TimeSeries can be written in a single request.',
      )
    const read = wanted.map((message, index) => readSeries(message, index))
    refuseDuplicates(read)
    const refused = read.flatMap(({ series, point, valueType }, index) => {
      const why = writeOne(project, series, point, valueType)
      return why === null ? [] : [{ index, why, series }]
    })
    if (refused.length > 0)
      throw invalid(`One or more TimeSeries could not be written: ${refused.map(describeRejection).join('; ')}`)
    return {}
  }

  /** Writes a point; returns the reason if it is rejected. */
  function writeOne(project: string, series: Filtered, point: Point, valueType: string): string | null {
    const metricKey = `${project} ${series.metricType}`
    const metric = metrics.get(metricKey) ?? { descriptor: described(series, valueType), since: now() }
    if (metric.descriptor.valueType !== valueType)
      return `Value type for metric ${series.metricType} must be ${metric.descriptor.valueType}, but is ${valueType}.`
    if (point.at > now() + 300_000) return 'Data points cannot be written more than 5min in the future.'
    if (point.at < now() - 25 * 3_600_000) return 'Data points cannot be written more than 25h in the past.'
    const key = `${project} ${keyOf(series)}`
    const known = all.get(key) ?? { ...series, points: [] }
    const last = known.points.at(-1)
    if (last && point.at <= last.at)
      return 'Points must be written in order. One or more of the points specified had an older start time than the most recent point.'
    if (last && point.at - last.at < shortestGapMs)
      return `One or more points were written more frequently than the maximum sampling period configured for the metric.`
    metrics.set(metricKey, metric)
    known.points.push(point)
    while ((known.points[0]?.at ?? point.at) < point.at - keptMs) known.points.shift()
    all.set(key, known)
    return null
  }

  return {
    createTimeSeries,
    createDescriptor({ name, metricDescriptor }) {
      const descriptor = metricDescriptor as Metric['descriptor'] & { readonly type: string }
      const key = `${projectOf(name)} ${descriptor.type}`
      const known = metrics.get(key)
      if (known) refuseOtherKind(known.descriptor, descriptor)
      metrics.set(key, { descriptor: { ...known?.descriptor, ...descriptor }, since: known?.since ?? now() })
      return descriptor
    },
    getDescriptor(name) {
      const [, project = '', type = ''] = /^projects\/([^/]+)\/metricDescriptors\/(.+)$/.exec(name) ?? []
      const known = metrics.get(`${project} ${type}`)
      if (!known) throw refusal('NOT_FOUND', `Could not find descriptor for metric '${type}'.`)
      return known.descriptor
    },
    listTimeSeries({ name, filter, interval, aggregation }) {
      const { startTime, endTime } = interval as { startTime: Message; endTime: Message }
      const [from, to] = [Number(startTime.seconds) * 1000, Number(endTime.seconds) * 1000]
      const wanted = { ...toAggregation(aggregation as Message), alignmentMs: to - from }
      assertAggregation({ ...wanted, alignmentMs: 60_000 })
      const found = this.matching(projectOf(name), String(filter))
      return { timeSeries: listed(found, wanted, to), nextPageToken: '' }
    },
    knows(project, type) {
      const known = metrics.get(`${project} ${type}`)
      return known !== undefined && now() - known.since >= knownAfterMs()
    },
    matching(project, filter) {
      const { matches } = parseFilter(filter)
      return [...all]
        .filter(([key, series]) => key.startsWith(`${project} `) && matches(series))
        .map(([, each]) => each)
    },
  }
}

export function projectOf(name: unknown): string {
  const [, project] = /^projects\/([^/]+)/.exec(String(name)) ?? []
  if (project === undefined) throw invalid(`Name must begin with 'projects/{project_id}', got: ${name}`)
  return project
}

function invalid(details: string): Error {
  return refusal('INVALID_ARGUMENT', details)
}

function readSeries(message: Message, index: number): { series: Filtered; point: Point; valueType: string } {
  const field = `timeSeries[${index}]`
  const { metric, resource, points, metricKind } = message as {
    metric: { type: string; labels: Record<string, string> } | null
    resource: { type: string; labels: Record<string, string> } | null
    points: { interval: { endTime: Message | null } | null; value: Message | null }[]
    metricKind: string
  }
  if (!metric?.type.startsWith('custom.googleapis.com/'))
    throw invalid(
      `Field ${field}.metric.type had an invalid value of "${metric?.type}": must be a user-defined metric.`,
    )
  if (points.length !== 1)
    throw invalid(
      `Field ${field}.points had an invalid value: Only one point can be written per TimeSeries per request.`,
    )
  const series = {
    metricType: metric.type,
    metricLabels: metric.labels,
    resourceType: resource?.type ?? '',
    resourceLabels: resource?.labels ?? {},
  }
  refuseResource(series, field)
  const [point] = points
  const at = Number(point?.interval?.endTime?.seconds ?? 0) * 1000
  const valueType = point?.value && 'int64Value' in point.value ? 'INT64' : 'DOUBLE'
  if (metricKind !== 'GAUGE' && metricKind !== 'METRIC_KIND_UNSPECIFIED')
    throw invalid(`Field ${field}.metricKind had an invalid value of "${metricKind}".`)
  return { series, point: { at, value: Number(point?.value?.int64Value ?? point?.value?.doubleValue ?? 0) }, valueType }
}

function refuseResource({ resourceType, resourceLabels }: Filtered, field: string): void {
  const needed = writable[resourceType]
  if (needed === undefined)
    throw invalid(
      `Field ${field}.resource.type had an invalid value of "${resourceType}": Unrecognized or unwritable resource type.`,
    )
  const missing = needed.find(label => !resourceLabels[label])
  if (missing !== undefined)
    throw invalid(`Field ${field}.resource.labels had an invalid value: Missing label "${missing}" of ${resourceType}.`)
  const { location, zone } = resourceLabels
  const where = location ?? zone
  if (where !== undefined && !place.test(where))
    throw invalid(`Field ${field}.resource.labels had an invalid value of "${where}": Unrecognized region or location.`)
}

function refuseDuplicates(read: readonly { readonly series: Filtered }[]): void {
  const seen = new Set<string>()
  for (const [index, { series }] of read.entries()) {
    if (seen.has(keyOf(series)))
      throw invalid(
        `Field timeSeries[${index}] had an invalid value: Duplicate TimeSeries encountered. Only one point can be written per TimeSeries per request.`,
      )
    seen.add(keyOf(series))
  }
}

function refuseOtherKind(known: Metric['descriptor'], wanted: Metric['descriptor']): void {
  for (const field of ['metricKind', 'valueType'] as const) {
    if (known[field] !== wanted[field])
      throw invalid(
        `Field metricDescriptor.${field} had an invalid value of "${wanted[field]}": the metric exists as ${known[field]}, which cannot be changed.`,
      )
  }
}

function describeRejection({ index, why, series }: { index: number; why: string; series: Filtered }): string {
  const labels = Object.entries(series.resourceLabels).map(([key, value]) => `${key}:${value}`)
  return `timeSeries[${index}]: write for resource=${series.resourceType}{${labels.join(',')}} failed with: ${why}`
}

/** Google creates missing descriptors when points are written. */
function described(series: Filtered, valueType: string): Metric['descriptor'] {
  const labels = Object.keys(series.metricLabels).map(key => ({ key, valueType: 'STRING', description: '' }))
  return { type: series.metricType, metricKind: 'GAUGE', valueType, labels }
}

function keyOf({ metricType, metricLabels, resourceType, resourceLabels }: Filtered): string {
  const sorted = (labels: Readonly<Record<string, string>>) =>
    Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1))
  return JSON.stringify([metricType, sorted(metricLabels), resourceType, sorted(resourceLabels)])
}

function listed(found: readonly Series[], aggregation: Aggregation, to: number): Message[] {
  const [first] = found
  return [...groupsAt(found, aggregation, to).values()].map(({ labels, value }) => ({
    metric: { type: first?.metricType, labels: labelsOf(labels, 'metric.label.') },
    resource: { type: first?.resourceType, labels: labelsOf(labels, 'resource.label.') },
    metricKind: 'GAUGE',
    valueType: 'INT64',
    points: [{ interval: { endTime: { seconds: to / 1000 } }, value: { int64Value: value } }],
  }))
}

function labelsOf(labels: Readonly<Record<string, string>>, prefix: string): Record<string, string> {
  const own = Object.entries(labels).filter(([field]) => field.startsWith(prefix))
  return Object.fromEntries(own.map(([field, value]) => [field.slice(prefix.length), value]))
}
