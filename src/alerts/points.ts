import type { SeriesPoint } from '../clients/monitoring/time-series.ts'
import type { State } from '../drift/state.ts'
import type { Snapshot } from '../drift/store.ts'
import { alertMetrics } from './descriptors.ts'

/** The labels of a check's series. */
export interface CheckLabels {
  readonly stack: string
  readonly check: string
}

/** The points of a cycle: those of each check, and the heartbeat. */
export function pointsOf(snapshot: Snapshot): SeriesPoint[] {
  const checks = snapshot.stacks.flatMap(({ name, states }) => states.flatMap(state => pointsOfState(name, state)))
  return [...checks, { metric: alertMetrics.heartbeat, labels: {}, value: 1 }]
}

/**
 * An unknown check has no drift point, so that missing data closes no incident. A check that was not observed yet, or
 * depends on another one, has no points.
 */
function pointsOfState(stack: string, { check, status, error }: State): SeriesPoint[] {
  if (status === 'unknown' && (error?.code === 'NOT_OBSERVED' || error?.code === 'DEPENDS_ON')) return []
  const labels = { stack, check }
  const unknown = { metric: alertMetrics.unknown, labels, value: status === 'unknown' ? 1 : 0 }
  if (status === 'unknown') return [unknown]
  return [{ metric: alertMetrics.drifted, labels, value: status === 'drifted' ? 1 : 0 }, unknown]
}

/** Points with the value 0 for checks that are no longer watched, so that their incidents close. */
export function clearingPoints(checks: Iterable<CheckLabels>): SeriesPoint[] {
  return [...checks].flatMap(({ stack, check }) => [
    { metric: alertMetrics.drifted, labels: { stack, check }, value: 0 },
    { metric: alertMetrics.unknown, labels: { stack, check }, value: 0 },
  ])
}

/** The checks of a snapshot by their key. */
export function labelsOfChecks(snapshot: Snapshot): Map<string, CheckLabels> {
  const all = snapshot.stacks.flatMap(({ name, states }) => states.map(({ check }) => ({ stack: name, check })))
  return new Map(all.map(labels => [checkKey(labels), labels]))
}

export function checkKey({ stack, check }: CheckLabels): string {
  return `${stack}/${check}`
}

/** The name of a series for people: `runtime/job-image check_drifted`. */
export function seriesName({ metric, labels }: SeriesPoint): string {
  const short = metric.slice(metric.lastIndexOf('/') + 1)
  return labels.stack === undefined ? short : `${labels.stack}/${labels.check} ${short}`
}
