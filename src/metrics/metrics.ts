import type { Snapshot } from '../drift/store.ts'
import { createDriftMetrics, renderBuildInfo } from './drift.ts'
import { createMetricRegistry } from './metric-registry.ts'
import { renderConfigMetric, renderDiscoveryMetrics } from './place-metrics.ts'
import { createRuntimeMetrics, type KnownSeries, type RuntimeMetrics } from './runtime.ts'

export interface Metrics extends RuntimeMetrics {
  /** What is known of every check from now on: after a cycle, and when a state goes stale. Rendered now, and not at a scrape. */
  update(snapshot: Snapshot): void
  /** The metrics of checks and stacks: the same bytes from one update to the next. */
  drift(): Buffer
  /** The metrics of Driftwatch itself, as they are now. They come after the others. */
  runtime(): Promise<Buffer>
  readonly contentType: string
}

export interface MetricsOptions extends KnownSeries {
  /** Driftwatch's own version, and that of the Node.js that runs it. */
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
