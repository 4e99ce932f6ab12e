import type { Snapshot } from '../drift/store.ts'
import { renderConfigMetric } from './config-state.ts'
import { renderDiscoveryMetrics } from './discovery.ts'
import { createDriftMetrics, renderBuildInfo } from './drift.ts'
import { createRegistry } from './registry.ts'
import { createRuntimeMetrics, type KnownSeries, type RuntimeMetrics } from './runtime.ts'

export interface Metrics extends RuntimeMetrics {
  /** What is known of every check from now on: after a cycle, and when a state goes stale. */
  update(snapshot: Snapshot): void
  /** The metrics of checks and stacks: the same bytes from one update to the next, made when they are asked for first. */
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
  const registry = createRegistry()
  const buildInfo = renderBuildInfo(build)
  const renderDrift = createDriftMetrics()
  let snapshot: Snapshot | null = null
  let drift: Buffer | null = null
  return {
    ...createRuntimeMetrics(registry, known),
    contentType: registry.contentType,
    update(next) {
      snapshot = next
      drift = null
    },
    drift() {
      drift ??= snapshot
        ? Buffer.concat([
            renderDrift(snapshot),
            Buffer.from(renderDiscoveryMetrics(snapshot) + renderConfigMetric(snapshot)),
          ])
        : Buffer.alloc(0)
      return drift
    },
    runtime: async () => Buffer.concat([buildInfo, Buffer.from(await registry.text())]),
  }
}
