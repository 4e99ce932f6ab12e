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
import { type CheckLabels, checkKey } from './points.ts'

/** So often it is looked for what other instances publish; sooner where looking failed, later where it is not allowed. */
const lookEveryMs = 300_000
const failedAfterMs = 60_000
const refusedAfterMs = 3_600_000

/** A point that was written can be read after so long. */
const visibleAfterMs = 240_000

export interface StaleSeriesOptions {
  readonly client: MonitoringClient
  readonly config: Config
  readonly clock: Clock
}

/** Where stacks are found by their labels; null where none are. */
type Places = readonly PlaceState[] | null

/** Checks that are watched no more, and whose incidents would stay open for days: missing data closes nothing. */
export interface StaleSeries {
  /** Says what is watched from now on; returns what is owed a 0. */
  seriesToClear(watched: ReadonlyMap<string, CheckLabels>): CheckLabels[]
  /**
   * To be called when that is written: looks for more where it is time to. What may be in a place that could not be
   * listed is owed nothing: being blind closes no incident. Returns what keeps it from looking, or null.
   */
  look(identity: Identity, places: Places, deadline: Deadline): Promise<CheckError | null>
}

/**
 * What this instance or another one published and this one does not watch: a stack that left the config. While a deploy
 * runs old and new side by side the old one goes on to write 1 in series of its own, and one 0 in between would be
 * forgotten. So a 0 is written with each cycle until the others have been silent for long.
 */
export function createStaleSeries({ client, config, clock }: StaleSeriesOptions): StaleSeries {
  const lastingMs = 3 * Math.max(lookEveryMs, longestGapMs(config.schedule))
  const owed = new Map<string, { readonly labels: CheckLabels; readonly until: EpochMs }>()
  let known: ReadonlyMap<string, CheckLabels> = new Map()
  // What no data came for since then is closed by now.
  let seenUpTo = clock.now() - config.alerts.autoCloseMs
  let nextLookAt = Number.NEGATIVE_INFINITY
  let notice: CheckError | null = null

  function owe(labels: CheckLabels): void {
    owed.set(checkKey(labels), { labels, until: clock.now() + lastingMs })
  }

  /** The checks that other instances published as drifted or unknown. */
  async function readOthers({ project, monitor, instance }: Identity, deadline: Deadline): Promise<CheckLabels[]> {
    const [from, to] = [seenUpTo, clock.now()]
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

  async function lookNow(identity: Identity, places: Places, deadline: Deadline): Promise<number> {
    const at = clock.now()
    try {
      const unwatched = (await readOthers(identity, deadline)).filter(labels => !known.has(checkKey(labels)))
      const gone = unwatched.filter(({ stack }) => isKnownGone(places, stack))
      for (const labels of gone) owe(labels)
      // Of what may still be there it is asked again.
      if (gone.length === unwatched.length) seenUpTo = at - visibleAfterMs
      notice = null
      return lookEveryMs
    } catch (thrown) {
      const error = asDriftwatchError(thrown)
      notice = explain(error, clock)
      return error.retryable ? failedAfterMs : refusedAfterMs
    }
  }

  return {
    seriesToClear(watched) {
      for (const [key, labels] of known) if (!watched.has(key)) owe(labels)
      for (const key of watched.keys()) owed.delete(key)
      known = watched
      return [...owed.values()].map(({ labels }) => labels)
    },
    async look(identity, places, deadline) {
      for (const [key, { until }] of owed) if (until <= clock.now()) owed.delete(key)
      if (clock.monotonic() >= nextLookAt) nextLookAt = clock.monotonic() + (await lookNow(identity, places, deadline))
      return notice
    },
  }
}

function explain({ code, message }: DriftwatchError, clock: Clock): CheckError {
  const loss = 'incidents of a stack that left the config stay open until they close by themselves'
  const remedy = code === 'PERMISSION_DENIED' ? ' (roles/monitoring.viewer would let it look)' : ''
  return { code, message: `everything is published, but ${loss}${remedy}: ${message}`, at: clock.now() }
}
