import type { EpochMs } from '../../clock.ts'

/** One point of one series of a metric of Driftwatch's own: a gauge that holds a whole number. */
export interface SeriesPoint {
  /** `custom.googleapis.com/...` */
  readonly metric: string
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

/** The monitored resource that series are written on. */
export interface SeriesResource {
  readonly type: string
  readonly labels: Readonly<Record<string, string>>
}

/** What a metric is. */
export interface MetricDescriptor {
  readonly type: string
  readonly displayName: string
  readonly description: string
  /** The vendor's words: `GAUGE` and `INT64`. */
  readonly metricKind: string
  readonly valueType: string
  readonly unit: string
  readonly labels: readonly { readonly key: string; readonly description: string }[]
}

/** One point of a series that was read. */
export interface ReadPoint {
  readonly metricLabels: Readonly<Record<string, string>>
  readonly resourceLabels: Readonly<Record<string, string>>
  readonly value: number
  readonly at: EpochMs
}
