import type { EpochMs } from '../../clock.ts'

/** One point of a series to write: the series is an integer gauge. */
export interface SeriesPoint {
  /** `custom.googleapis.com/...` */
  readonly metric: string
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

/** The monitored resource of a series. */
export interface SeriesResource {
  readonly type: string
  readonly labels: Readonly<Record<string, string>>
}

export interface MetricDescriptor {
  readonly type: string
  readonly displayName: string
  readonly description: string
  /** `GAUGE` */
  readonly metricKind: string
  /** `INT64` */
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
