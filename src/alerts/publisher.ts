import { longestBatch, type MonitoringClient } from '../clients/monitoring/monitoring.ts'
import type { SeriesPoint } from '../clients/monitoring/time-series.ts'
import type { Clock } from '../clock.ts'
import { type Deadline, withDeadline } from '../concurrency/deadline.ts'
import type { Config } from '../config/config.ts'
import type { CheckError } from '../drift/state.ts'
import type { Snapshot } from '../drift/store.ts'
import { asDriftwatchError, DriftwatchError } from '../errors.ts'
import type { Log } from '../log.ts'
import { descriptorConflict, wantedDescriptors } from './descriptors.ts'
import { type Identity, seriesResource } from './identity.ts'
import { labelsOfChecks, lastPointsOf, pointsOf, seriesName } from './points.ts'
import { refusedPoints } from './rejected-points.ts'
import { createStaleSeries } from './stale-series.ts'

/** Writing the points, retries included. What is done besides has a time of its own, and takes none from them. */
const writeTimeoutMs = 20_000
const besidesTimeoutMs = 5000

/** After so long it is tried again to describe the metrics. */
const describeAgainMs = 300_000

/** So many requests are under way at once. */
const concurrency = 4

/** So many series are named in a message; the log names them all. */
const namedInMessage = 10

export interface PublisherOptions {
  readonly client: MonitoringClient
  readonly config: Config
  /** Asked until it answers once. */
  identify(signal: AbortSignal): Promise<Identity>
  readonly clock: Clock
  readonly log: Log
}

/** Writes what one cycle found. */
export interface Publisher {
  /**
   * Returns what belongs to it and could not be done, or null. Rejects with a coded error where a point was not written.
   */
  publish(snapshot: Snapshot, ending: AbortSignal): Promise<CheckError | null>
}

export function createPublisher(options: PublisherOptions): Publisher {
  const { identify, clock } = options
  const staleSeries = createStaleSeries(options)
  const describe = createDescriber(options)
  let identity: Identity | null = null

  return {
    async publish(snapshot, ending) {
      identity ??= await identify(ending)
      const who = identity
      const points = [...lastPointsOf(staleSeries.seriesToClear(labelsOfChecks(snapshot))), ...pointsOf(snapshot)]
      const conflict = await describe(who, ending)
      await withDeadline(clock, writeTimeoutMs, ending, deadline => writePoints(points, who, deadline, options)).catch(
        thrown => {
          throw conflict ?? thrown
        },
      )
      if (conflict) throw conflict
      return withDeadline(clock, besidesTimeoutMs, ending, deadline =>
        staleSeries.look(who, snapshot.discovery, deadline),
      )
    },
  }
}

/**
 * Makes the metrics known before policies watch them, until that is done. Returns what keeps a metric from being used;
 * where they cannot be described, the first write makes them too, and shows whether it matters.
 */
function createDescriber({ client, clock }: PublisherOptions) {
  let unusable: DriftwatchError | null = null
  let nextAt = Number.NEGATIVE_INFINITY

  async function describeAll({ project }: Identity, deadline: Deadline): Promise<DriftwatchError | null> {
    let found: DriftwatchError | null = null
    for (const wanted of wantedDescriptors) {
      const actual = await client.getDescriptor(project, wanted.type, deadline).catch(() => null)
      const conflict = actual && descriptorConflict(wanted, actual)
      if (conflict) found = new DriftwatchError('INVALID_ARGUMENT', conflict)
      else if (actual === null) await client.createDescriptor(project, wanted, deadline)
    }
    return found
  }

  return async (who: Identity, ending: AbortSignal): Promise<DriftwatchError | null> => {
    if (clock.monotonic() < nextAt) return unusable
    nextAt = clock.monotonic() + describeAgainMs
    try {
      unusable = await withDeadline(clock, besidesTimeoutMs, ending, deadline => describeAll(who, deadline))
      if (unusable === null) nextAt = Number.POSITIVE_INFINITY
    } catch {
      ending.throwIfAborted()
    }
    return unusable
  }
}

interface Failure {
  readonly error: DriftwatchError
  readonly refused: readonly SeriesPoint[]
}

/** Writes all that can be written; rejects where something could not. */
async function writePoints(
  points: readonly SeriesPoint[],
  who: Identity,
  deadline: Deadline,
  { client, clock, log }: PublisherOptions,
): Promise<void> {
  const [at, resource] = [clock.now(), seriesResource(who)]
  const batches = batchesOf(points)
  const total = batches.length
  const failures: Failure[] = []
  const writeNext = async (): Promise<void> => {
    const batch = batches.shift()
    if (batch === undefined) return
    await client.writePoints(who.project, { points: batch, resource, at }, deadline).catch(thrown => {
      const error = asDriftwatchError(thrown)
      failures.push({ error, refused: refusedPoints(error, batch) })
    })
    await writeNext()
  }
  await Promise.all(Array.from({ length: concurrency }, writeNext))
  if (failures.length > 0) throw failureOf(failures, total, log)
}

function failureOf(failures: readonly Failure[], total: number, log: Log): DriftwatchError {
  const names = failures.flatMap(({ refused }) => refused.map(seriesName))
  const [{ error }] = failures as [Failure]
  if (!error.retryable) log.warn({ code: error.code, series: names }, 'series were refused')
  const shown = names.slice(0, namedInMessage).join(', ')
  const more = names.length > namedInMessage ? ` and ${names.length - namedInMessage} more` : ''
  const requests = total > 1 ? `${failures.length} of ${total} requests failed: ` : ''
  return new DriftwatchError(error.code, `${requests}${error.message}; not written: ${shown}${more}`, { cause: error })
}

function batchesOf(points: readonly SeriesPoint[]): SeriesPoint[][] {
  const batches: SeriesPoint[][] = []
  for (let at = 0; at < points.length; at += longestBatch) batches.push(points.slice(at, at + longestBatch))
  return batches
}
