import type { MonitoringClient } from '../clients/monitoring/monitoring.ts'
import type { Clock, EpochMs } from '../clock.ts'
import type { Deadline } from '../concurrency/deadline.ts'
import type { Config } from '../config/config.ts'
import { longestGapMs } from '../config/schedule-gap.ts'
import { isKnownGone, type PlaceState } from '../drift/places.ts'
import type { CheckError } from '../drift/state.ts'
import { asDriftwatchError, type DriftwatchError } from '../errors.ts'
import { alertMetrics } from './descriptors.ts'
import { type Identity, seriesFilter } from './identity.ts'
import { describeSharing } from './installations.ts'
import { type CheckLabels, checkKey } from './points.ts'

/** The intervals for reading the series of other instances: normally, after a retryable failure, and after a denial. */
const refreshEveryMs = 300_000
const retryAfterMs = 60_000
const deniedRetryAfterMs = 3_600_000

/** The delay until a written point can be read. */
const visibleAfterMs = 240_000

export interface StaleSeriesOptions {
  readonly client: MonitoringClient
  readonly config: Config
  readonly clock: Clock
}

/** The places of discovery; null without discovery. */
type Places = readonly PlaceState[] | null

/** Checks that are no longer watched. Missing data closes no incident, so their series get a 0. */
export interface StaleSeries {
  /** Sets the checks that are watched from now on; returns the checks whose series get a 0 in this cycle. */
  seriesToClear(watched: ReadonlyMap<string, CheckLabels>): CheckLabels[]
  /**
   * Reads the series of other instances, if the interval has passed. Call it after the points are written. A stack counts
   * as gone only if every place that may contain it was listed. Returns the reason why the series cannot be read, or null.
   */
  refresh(identity: Identity, places: Places, deadline: Deadline): Promise<CheckError | null>
}

/**
 * Tracks the checks that this instance or another one published and this one does not watch, because the stack was
 * removed. During a deploy the old instance still writes 1 to its own series, and a single 0 would not close the
 * incident. So a 0 is written in each cycle until the other instances have been silent for several intervals.
 */
export function createStaleSeries({ client, config, clock }: StaleSeriesOptions): StaleSeries {
  const clearForMs = 3 * Math.max(refreshEveryMs, longestGapMs(config.schedule))
  const pending = new Map<string, { readonly labels: CheckLabels; readonly until: EpochMs; readonly isOwn: boolean }>()
  let watching: ReadonlyMap<string, CheckLabels> = new Map()
  // Incidents of series without data since then are already closed.
  let readUpTo = clock.now() - config.alerts.autoCloseMs
  let nextRefreshAt = Number.NEGATIVE_INFINITY
  let notice: CheckError | null = null

  function scheduleClear(labels: CheckLabels, isOwn: boolean): void {
    pending.set(checkKey(labels), { labels, until: clock.now() + clearForMs, isOwn })
  }

  /** The series of another installation must not get a 0: its incidents would close while it cannot observe them. */
  function keepOthers(message: string): CheckError {
    for (const [key, { isOwn }] of pending) if (!isOwn) pending.delete(key)
    return { code: 'MONITOR_SHARED', message, at: clock.now() }
  }

  /** The checks that other instances published as drifted or unknown. */
  async function readOthers({ project, monitor, instance }: Identity, deadline: Deadline): Promise<CheckLabels[]> {
    const [from, to] = [readUpTo, clock.now()]
    const groupBy = ['metric.label.stack', 'metric.label.check']
    const read = (metric: string) => {
      const filter = `${seriesFilter(metric, monitor)} AND resource.label.task_id != "${instance}"`
      return client.readPoints(project, { filter, from, to, groupBy }, deadline)
    }
    const series = [...(await read(alertMetrics.drifted)), ...(await read(alertMetrics.unknown))]
    return series
      .filter(({ value }) => value > 0)
      .map(({ metricLabels: { stack = '', check = '' } }) => ({ stack, check }))
  }

  async function refreshNow(identity: Identity, places: Places, deadline: Deadline): Promise<number> {
    const at = clock.now()
    try {
      const query = { client, config, now: at, location: identity.location }
      const sharing = await describeSharing(identity, query, deadline)
      if (sharing !== null) {
        notice = keepOthers(sharing)
        return retryAfterMs
      }
      const unwatched = (await readOthers(identity, deadline)).filter(labels => !watching.has(checkKey(labels)))
      const gone = unwatched.filter(({ stack }) => isKnownGone(places, stack))
      for (const labels of gone) scheduleClear(labels, false)
      // Stacks that may still exist are read again.
      if (gone.length === unwatched.length) readUpTo = at - visibleAfterMs
      notice = null
      return refreshEveryMs
    } catch (thrown) {
      const error = asDriftwatchError(thrown)
      notice = explain(error, clock)
      return error.retryable ? retryAfterMs : deniedRetryAfterMs
    }
  }

  return {
    seriesToClear(watched) {
      for (const [key, labels] of watching) if (!watched.has(key)) scheduleClear(labels, true)
      for (const key of watched.keys()) pending.delete(key)
      watching = watched
      return [...pending.values()].map(({ labels }) => labels)
    },
    async refresh(identity, places, deadline) {
      for (const [key, { until }] of pending) if (until <= clock.now()) pending.delete(key)
      if (clock.monotonic() >= nextRefreshAt)
        nextRefreshAt = clock.monotonic() + (await refreshNow(identity, places, deadline))
      return notice
    },
  }
}

function explain({ code, message }: DriftwatchError, clock: Clock): CheckError {
  const effect = 'points are written, but incidents of removed stacks stay open until they close automatically'
  const remedy = code === 'PERMISSION_DENIED' ? '. Grant roles/monitoring.viewer.' : ''
  return { code, message: `${effect}: ${message}${remedy}`, at: clock.now() }
}
