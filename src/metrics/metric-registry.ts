import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'
import type { MetricDefinition } from './definitions.ts'

type Defined<T extends MetricDefinition['type'], L extends string> = MetricDefinition & {
  readonly type: T
  readonly labels: readonly L[]
}

type Labels<L extends string> = Readonly<Record<L, string>>

/** Counters, gauges and histograms. Hides the metrics library. */
export interface MetricRegistry {
  readonly contentType: string
  counter<L extends string>(definition: Defined<'counter', L>): (labels: Labels<L>, amount: number) => void
  /** It has no series before its first value. */
  gauge(definition: Defined<'gauge', never>): (value: number) => void
  /** `zero` creates the series of these labels before its first value. */
  histogram<L extends string>(
    definition: Defined<'histogram', L>,
    buckets: readonly number[],
  ): { observe(labels: Labels<L>, value: number): void; zero(labels: Labels<L>): void }
  text(): Promise<string>
}

/** A separate registry, with the metrics of the process and of Node.js. */
export function createMetricRegistry(): MetricRegistry {
  const registry = new Registry()
  collectDefaultMetrics({ register: registry })
  const settings = ({ name, help }: MetricDefinition) => ({ name, help, registers: [registry] })
  return {
    contentType: registry.contentType,
    counter(definition) {
      const counter = new Counter({ ...settings(definition), labelNames: definition.labels })
      return (labels, amount) => counter.inc(labels, amount)
    },
    gauge(definition) {
      const gauge = new Gauge(settings(definition))
      gauge.remove()
      return value => gauge.set(value)
    },
    histogram(definition, buckets) {
      const histogram = new Histogram({
        ...settings(definition),
        labelNames: definition.labels,
        buckets: [...buckets],
      })
      return {
        observe: (labels, value) => histogram.observe(labels, value),
        zero: labels => histogram.zero(labels),
      }
    },
    text: () => registry.metrics(),
  }
}
