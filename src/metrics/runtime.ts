import type { EpochMs } from '../clock.ts'
import { type ErrorCode, errorCodes, errorTable } from '../errors.ts'
import { type ProbeKind, probeKinds } from '../probes/probe.ts'
import { metricDefinitions } from './definitions.ts'
import { toSeconds } from './drift.ts'
import type { MetricRegistry } from './metric-registry.ts'

/** The metrics of Driftwatch itself. */
export interface RuntimeMetrics {
  /** A probe of one stack ended, whether it succeeded or failed. */
  observeProbe(probe: ProbeKind, seconds: number): void
  probeFailed(probe: ProbeKind, code: ErrorCode): void
  /** A request to an API ended: `apiRequest('run', 'ListServices', 'OK')`. */
  apiRequest(api: string, method: string, code: ErrorCode | 'OK'): void
  cycleCompleted(seconds: number, at: EpochMs): void
  alertPublished(channel: string, result: 'ok' | 'failed'): void
  /** The oldest of the latest verifications of all stacks; null without stacks. */
  verified(oldest: EpochMs | null): void
  cacheMismatch(): void
}

/** Labels that are known at the start: their counters start at 0. */
export interface KnownSeries {
  readonly channels?: readonly string[]
  /** Methods by API. */
  readonly apiMethods?: Readonly<Record<string, readonly string[]>>
}

const probeBuckets: readonly number[] = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30]
const cycleBuckets: readonly number[] = [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120]

export function createRuntimeMetrics(registry: MetricRegistry, known: KnownSeries): RuntimeMetrics {
  const probeDuration = registry.histogram(metricDefinitions.probeDuration, probeBuckets)
  const probeErrors = registry.counter(metricDefinitions.probeErrors)
  const apiRequests = registry.counter(metricDefinitions.apiRequests)
  const cycleDuration = registry.histogram(metricDefinitions.cycleDuration, cycleBuckets)
  const cycleCompleted = registry.gauge(metricDefinitions.cycleCompleted)
  const alertPublishes = registry.counter(metricDefinitions.alertPublishes)
  const verified = registry.gauge(metricDefinitions.verified)
  const cacheMismatches = registry.counter(metricDefinitions.cacheMismatches)

  cacheMismatches({}, 0)
  // The error codes of failed probes are those that are logged as warnings.
  const codes = errorCodes.filter(code => errorTable[code].logLevel === 'warn')
  for (const probe of probeKinds) {
    probeDuration.zero({ probe })
    for (const code of codes) probeErrors({ probe, code }, 0)
  }
  for (const [api, methods] of Object.entries(known.apiMethods ?? {})) {
    for (const method of methods) for (const code of ['OK', ...codes]) apiRequests({ api, method, code }, 0)
  }
  for (const channel of known.channels ?? []) {
    for (const result of ['ok', 'failed']) alertPublishes({ channel, result }, 0)
  }

  return {
    observeProbe: (probe, seconds) => probeDuration.observe({ probe }, seconds),
    probeFailed: (probe, code) => probeErrors({ probe, code }, 1),
    apiRequest: (api, method, code) => apiRequests({ api, method, code }, 1),
    cycleCompleted(seconds, at) {
      cycleDuration.observe({}, seconds)
      cycleCompleted(toSeconds(at))
    },
    alertPublished: (channel, result) => alertPublishes({ channel, result }, 1),
    verified(oldest) {
      if (oldest !== null) verified(toSeconds(oldest))
    },
    cacheMismatch: () => cacheMismatches({}, 1),
  }
}
