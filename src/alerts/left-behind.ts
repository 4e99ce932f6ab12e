import type { Deadline } from '../clients/attempts.ts'
import type { MonitoringClient } from '../clients/monitoring.ts'
import type { Clock } from '../clock.ts'
import type { FailedLook } from '../drift/state.ts'
import { asDriftwatchError, type DriftwatchError } from '../errors.ts'
import { alertMetrics } from './descriptors.ts'
import { type Identity, seriesFilter } from './identity.ts'
import { type CheckLabels, checkKey } from './points.ts'

/** How far back it is looked for checks that an earlier instance published. */
const reachMs = 86_400_000

/** So often it is tried to look. */
const attempts = 5

/**
 * What an instance before this one published and this one does not watch any more: a stack that left the config while
 * Driftwatch was down. Its incidents would stay open for days; a last 0 closes them.
 */
export function createLeftBehind({ client, clock }: { readonly client: MonitoringClient; readonly clock: Clock }) {
  const owed = new Map<string, CheckLabels>()
  let left = attempts
  let notice: FailedLook | null = null

  async function look(identity: Identity, watched: ReadonlyMap<string, CheckLabels>, deadline: Deadline) {
    const to = clock.now()
    const read = (metric: string) =>
      client.readSeries(
        identity.project,
        {
          filter: seriesFilter(metric, identity.monitor),
          from: to - reachMs,
          to,
          groupBy: ['metric.label.stack', 'metric.label.check'],
        },
        deadline,
      )
    const series = [...(await read(alertMetrics.drifted)), ...(await read(alertMetrics.unknown))]
    for (const { value, metricLabels } of series) {
      const labels = { stack: metricLabels.stack ?? '', check: metricLabels.check ?? '' }
      if (value > 0 && !watched.has(checkKey(labels))) owed.set(checkKey(labels), labels)
    }
  }

  return {
    /** What a last point is owed, without what is watched again. */
    take: (watched: ReadonlyMap<string, CheckLabels>): CheckLabels[] =>
      [...owed].filter(([key]) => !watched.has(key)).map(([, labels]) => labels),
    written(checks: readonly CheckLabels[]): void {
      for (const labels of checks) owed.delete(checkKey(labels))
    },
    /** Looks once; returns what keeps it from looking, or null. */
    async find(
      identity: Identity,
      watched: ReadonlyMap<string, CheckLabels>,
      deadline: Deadline,
    ): Promise<FailedLook | null> {
      if (left === 0) return notice
      try {
        await look(identity, watched, deadline)
        left = 0
        notice = null
      } catch (thrown) {
        const error = asDriftwatchError(thrown)
        left = error.retryable ? left - 1 : 0
        notice = error.retryable && left > 0 ? null : explain(error, clock)
      }
      return notice
    },
  }
}

function explain({ code, message }: DriftwatchError, clock: Clock): FailedLook {
  const loss = 'incidents of a stack that left the config before this start stay open until they close by themselves'
  const remedy = code === 'PERMISSION_DENIED' ? ' (roles/monitoring.viewer would let it look)' : ''
  return { code, message: `everything is published, but ${loss}${remedy}: ${message}`, at: clock.now() }
}
