import type { SeriesPoint } from '../clients/monitoring/time-series.ts'
import type { State } from '../drift/state.ts'
import type { Snapshot } from '../drift/store.ts'
import { alertMetrics } from './descriptors.ts'

/** One check of one stack, as series name it. */
export interface CheckLabels {
  readonly stack: string
  readonly check: string
}

/** The points of a cycle: those of every check, and the heartbeat. */
export function pointsOf(snapshot: Snapshot): SeriesPoint[] {
  const checks = snapshot.stacks.flatMap(({ name, states }) => states.flatMap(state => pointsOfState(name, state)))
  return [...checks, { metric: alertMetrics.heartbeat, labels: {}, value: 1 }]
}

/**
 * While a check is unknown nothing is said of its drift, so that losing sight closes no incident. Nothing at all is said
 * of what was never looked at, and of what only waits for another check.
 */
function pointsOfState(stack: string, { check, status, error }: State): SeriesPoint[] {
  if (status === 'unknown' && (error?.code === 'NOT_OBSERVED' || error?.code === 'DEPENDS_ON')) return []
  const labels = { stack, check }
  const unknown = { metric: alertMetrics.unknown, labels, value: status === 'unknown' ? 1 : 0 }
  if (status === 'unknown') return [unknown]
  return [{ metric: alertMetrics.drifted, labels, value: status === 'drifted' ? 1 : 0 }, unknown]
}

/** The last points of checks that are watched no more: their incidents close. */
export function lastPointsOf(checks: Iterable<CheckLabels>): SeriesPoint[] {
  return [...checks].flatMap(({ stack, check }) => [
    { metric: alertMetrics.drifted, labels: { stack, check }, value: 0 },
    { metric: alertMetrics.unknown, labels: { stack, check }, value: 0 },
  ])
}

/** Every check of a snapshot by a key of its own. */
export function labelsOfChecks(snapshot: Snapshot): Map<string, CheckLabels> {
  const all = snapshot.stacks.flatMap(({ name, states }) => states.map(({ check }) => ({ stack: name, check })))
  return new Map(all.map(labels => [checkKey(labels), labels]))
}

export function checkKey({ stack, check }: CheckLabels): string {
  return `${stack}/${check}`
}

/** How a series is named to people: `runtime/job-image check_drifted`. */
export function seriesName({ metric, labels }: SeriesPoint): string {
  const short = metric.slice(metric.lastIndexOf('/') + 1)
  return labels.stack === undefined ? short : `${labels.stack}/${labels.check} ${short}`
}
