import { type Clock, systemClock } from '../clock.ts'
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
  /** Default: the clock of the system. */
  readonly clock?: Clock
}

export function createMetrics({ build, clock = systemClock, ...known }: MetricsOptions): Metrics {
  const registry = createMetricRegistry()
  const buildInfo = renderBuildInfo(build)
  const renderDrift = createDriftMetrics()
  const readRuntime = keepFor(runtimeValidMs, clock, async () =>
    Buffer.concat([buildInfo, Buffer.from(await registry.text())]),
  )
  let drift = Buffer.alloc(0)
  return {
    ...dropOnChange(createRuntimeMetrics(registry, known), readRuntime.drop),
    contentType: registry.contentType,
    update(snapshot) {
      drift = Buffer.concat([...renderDrift(snapshot), renderDiscoveryMetrics(snapshot), renderConfigMetric(snapshot)])
    },
    drift: () => drift,
    runtime: readRuntime.read,
  }
}

/** How old the metrics of the process itself may be, such as its memory. */
const runtimeValidMs = 1000

/** The functions of `metrics`; each of them also calls `drop`. */
function dropOnChange(metrics: RuntimeMetrics, drop: () => void): RuntimeMetrics {
  const dropping =
    <Args extends unknown[]>(change: (...args: Args) => void) =>
    (...args: Args) => {
      drop()
      change(...args)
    }
  return {
    observeProbe: dropping(metrics.observeProbe),
    probeFailed: dropping(metrics.probeFailed),
    apiRequest: dropping(metrics.apiRequest),
    cycleCompleted: dropping(metrics.cycleCompleted),
    alertPublished: dropping(metrics.alertPublished),
    verified: dropping(metrics.verified),
    cacheMismatch: dropping(metrics.cacheMismatch),
  }
}

/** Shares one result among all calls for a while, so that many requests cost as much as one. Failures are not kept. */
function keepFor<T>(ms: number, clock: Clock, read: () => Promise<T>) {
  let kept: { readonly result: Promise<T>; readonly until: number } | null = null
  const drop = () => {
    kept = null
  }
  return {
    drop,
    read() {
      if (kept && clock.monotonic() < kept.until) return kept.result
      const result = read()
      kept = { result, until: clock.monotonic() + ms }
      result.catch(drop)
      return result
    },
  }
}
