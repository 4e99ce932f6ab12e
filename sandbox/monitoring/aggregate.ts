import { refusal } from '../cloud-run/refusal.ts'
import { type Filtered, fieldValue, plainField } from './filter.ts'

export interface Point {
  /** Epoch ms, whole seconds. */
  readonly at: number
  readonly value: number
}

export interface Series extends Filtered {
  readonly points: Point[]
}

export interface Aggregation {
  readonly alignmentMs: number
  readonly aligner: string
  readonly reducer: string
  /** As `metric.label.stack`. */
  readonly groupBy: readonly string[]
}

/** The combined value of several series at one moment. */
export interface Group {
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

const aligners: Readonly<Record<string, (values: readonly number[]) => number>> = {
  ALIGN_MIN: values => Math.min(...values),
  ALIGN_MAX: values => Math.max(...values),
  ALIGN_SUM: sum,
  ALIGN_MEAN: values => sum(values) / values.length,
  ALIGN_COUNT: values => values.length,
  ALIGN_NEXT_OLDER: values => values.at(-1) ?? 0,
}

const reducers: Readonly<Record<string, (values: readonly number[]) => number>> = {
  REDUCE_MIN: values => Math.min(...values),
  REDUCE_MAX: values => Math.max(...values),
  REDUCE_SUM: sum,
  REDUCE_MEAN: values => sum(values) / values.length,
  REDUCE_COUNT: values => values.length,
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0)
}

/** A reducer without fields to group by makes one group of all series. */
export function toAggregation(message: Record<string, unknown> | null | undefined): Aggregation {
  const { alignmentPeriod, perSeriesAligner, crossSeriesReducer, groupByFields } = (message ?? {}) as {
    alignmentPeriod?: { seconds?: string | number } | null
    perSeriesAligner?: string
    crossSeriesReducer?: string
    groupByFields?: string[]
  }
  return {
    alignmentMs: Number(alignmentPeriod?.seconds ?? 0) * 1000,
    aligner: perSeriesAligner ?? 'ALIGN_NONE',
    reducer: crossSeriesReducer ?? 'REDUCE_NONE',
    groupBy: (groupByFields ?? []).map(plainField),
  }
}

/** Throws for what Cloud Monitoring, or this emulator, does not support. */
export function assertAggregation({ alignmentMs, aligner, reducer }: Aggregation): void {
  const bad = (text: string) => refusal('INVALID_ARGUMENT', `Field aggregation${text}`)
  if (alignmentMs < 60_000 || alignmentMs % 60_000 !== 0)
    throw bad(`.alignmentPeriod had an invalid value of "${alignmentMs / 1000}s": must be a multiple of 60 seconds.`)
  if (!aligners[aligner]) throw bad(`.perSeriesAligner had an invalid value of "${aligner}".`)
  if (reducer !== 'REDUCE_NONE' && !reducers[reducer])
    throw bad(`.crossSeriesReducer had an invalid value of "${reducer}".`)
}

/** The values of groups in the alignment period that ends at a moment, without groups that have no points. */
export function groupsAt(all: Iterable<Series>, aggregation: Aggregation, at: number): Map<string, Group> {
  const values = new Map<string, { labels: Record<string, string>; values: number[] }>()
  for (const series of all) {
    const points = pointsWithin(series, at - aggregation.alignmentMs, at)
    if (points.length === 0) continue
    const labels = groupLabels(series, aggregation)
    const key = JSON.stringify(labels)
    const group = values.get(key) ?? { labels, values: [] }
    group.values.push(aligners[aggregation.aligner]?.(points) ?? 0)
    values.set(key, group)
  }
  const reduce = reducers[aggregation.reducer] ?? (([value = 0]: readonly number[]) => value)
  return new Map([...values].map(([key, group]) => [key, { labels: group.labels, value: reduce(group.values) }]))
}

/** The labels that identify the group of a series. */
export function groupLabels(series: Series, { reducer, groupBy }: Aggregation): Record<string, string> {
  if (reducer !== 'REDUCE_NONE') return Object.fromEntries(groupBy.map(field => [field, fieldValue(field, series)]))
  return Object.fromEntries([
    ...Object.entries(series.metricLabels).map(([key, value]) => [`metric.label.${key}`, value]),
    ...Object.entries(series.resourceLabels).map(([key, value]) => [`resource.label.${key}`, value]),
  ])
}

/** The values after `from` and up to `to`, oldest first. */
function pointsWithin({ points }: Series, from: number, to: number): number[] {
  const found: number[] = []
  for (let index = points.length - 1; index >= 0; index--) {
    const point = points[index]
    if (point === undefined || point.at <= from) break
    if (point.at <= to) found.unshift(point.value)
  }
  return found
}
