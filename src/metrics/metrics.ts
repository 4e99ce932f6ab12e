import type { Snapshot } from '../drift/store.ts'
import { renderBuildInfo, renderDriftMetrics } from './drift.ts'
import { createRegistry } from './registry.ts'
import { createRuntimeMetrics, type KnownSeries, type RuntimeMetrics } from './runtime.ts'

export interface Metrics extends RuntimeMetrics {
  /** Renders what is known of every check anew: once a cycle, and when a state goes stale. */
  update(snapshot: Snapshot): void
  /** Everything in the exposition format, for one scrape. */
  text(): Promise<string>
  readonly contentType: string
}

export interface MetricsOptions extends KnownSeries {
  /** Driftwatch's own version, and that of the Node.js that runs it. */
  readonly build: { readonly version: string; readonly node: string }
}

export function createMetrics({ build, ...known }: MetricsOptions): Metrics {
  const registry = createRegistry()
  const buildInfo = renderBuildInfo(build)
  let drift = ''
  return {
    ...createRuntimeMetrics(registry, known),
    contentType: registry.contentType,
    update(snapshot) {
      drift = renderDriftMetrics(snapshot)
    },
    text: async () => drift + buildInfo + (await registry.text()),
  }
}
