import type { Snapshot } from '../drift/store.ts'
import { createDriftMetrics, renderBuildInfo } from './drift.ts'
import { createMetricRegistry } from './metric-registry.ts'
import { renderConfigMetric, renderDiscoveryMetrics } from './place-metrics.ts'
import { createRuntimeMetrics, type KnownSeries, type RuntimeMetrics } from './runtime.ts'

export interface Metrics extends RuntimeMetrics {
  /** Renders the metrics of a new snapshot: after a cycle, and when a state goes stale. */
  update(snapshot: Snapshot): void
  /** The metrics of checks and stacks, as of the last update. */
  drift(): Buffer
  /** The current metrics of Driftwatch itself, which come after the others. */
  runtime(): Promise<Buffer>
  readonly contentType: string
}

export interface MetricsOptions extends KnownSeries {
  /** The versions of Driftwatch and Node.js. */
  readonly build: { readonly version: string; readonly node: string }
}

export function createMetrics({ build, ...known }: MetricsOptions): Metrics {
  const registry = createMetricRegistry()
  const buildInfo = renderBuildInfo(build)
  const renderDrift = createDriftMetrics()
  let drift = Buffer.alloc(0)
  return {
    ...createRuntimeMetrics(registry, known),
    contentType: registry.contentType,
    update(snapshot) {
      drift = Buffer.concat([...renderDrift(snapshot), renderDiscoveryMetrics(snapshot), renderConfigMetric(snapshot)])
    },
    drift: () => drift,
    runtime: async () => Buffer.concat([buildInfo, Buffer.from(await registry.text())]),
  }
}
