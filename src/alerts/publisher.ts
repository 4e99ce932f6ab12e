import { type MonitoringClient, maxPointsPerWrite } from '../clients/monitoring/monitoring.ts'
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
import { installationPoint } from './installations.ts'
import { clearingPoints, labelsOfChecks, pointsOf, seriesName } from './points.ts'
import { rejectedPoints } from './rejected-points.ts'
import { createStaleSeries } from './stale-series.ts'

/** The limits for writing the points, including retries, and separately for all other requests. */
const writeTimeoutMs = 20_000
const extraTimeoutMs = 5000

/** The pause before another attempt to create the metric descriptors. */
const describeRetryMs = 300_000

/** The number of concurrent requests. */
const concurrency = 4

/** The number of series that a message names; the log names all. */
const seriesInMessage = 10

export interface PublisherOptions {
  readonly client: MonitoringClient
  readonly config: Config
  /** Called until it succeeds once. */
  identify(signal: AbortSignal): Promise<Identity>
  readonly clock: Clock
  readonly log: Log
}

/**
 * Returns a function that writes the result of a cycle. It rejects if a point was not written, or if another
 * installation uses the same monitor name, and resolves with a problem that affects only the closing of incidents, or null.
 */
export function createPublisher(options: PublisherOptions) {
  const { identify, clock } = options
  const staleSeries = createStaleSeries(options)
  const describe = createDescriber(options)
  let identity: Identity | null = null

  return async (snapshot: Snapshot, ending: AbortSignal): Promise<CheckError | null> => {
    identity ??= await identify(ending)
    const writer = identity
    const points = [
      ...clearingPoints(staleSeries.seriesToClear(labelsOfChecks(snapshot))),
      ...pointsOf(snapshot),
      installationPoint(snapshot, options.config.alerts),
    ]
    const conflict = await describe(writer, ending)
    const write = (deadline: Deadline) => writePoints(points, writer, deadline, options)
    await withDeadline(clock, writeTimeoutMs, ending, write).catch(thrown => {
      throw conflict ?? thrown
    })
    if (conflict) throw conflict
    const notice = await withDeadline(clock, extraTimeoutMs, ending, deadline =>
      staleSeries.refresh(writer, snapshot.discovery, deadline),
    )
    if (notice?.code === 'MONITOR_SHARED') throw new DriftwatchError(notice.code, notice.message)
    return notice
  }
}

/**
 * Creates the metric descriptors, so that policies can refer to them before the first points. Returns a conflict with an
 * existing descriptor. Other failures are ignored: the first write creates the descriptors too, or fails visibly.
 */
function createDescriber({ client, clock }: PublisherOptions) {
  let unusable: DriftwatchError | null = null
  let nextAt = Number.NEGATIVE_INFINITY

  async function describeAll({ project }: Identity, deadline: Deadline): Promise<DriftwatchError | null> {
    let conflict: DriftwatchError | null = null
    for (const wanted of wantedDescriptors) {
      const actual = await client.getDescriptor(project, wanted.type, deadline).catch(() => null)
      const message = actual && descriptorConflict(wanted, actual)
      if (message) conflict = new DriftwatchError('INVALID_ARGUMENT', message)
      else if (actual === null) await client.createDescriptor(project, wanted, deadline)
    }
    return conflict
  }

  return async (identity: Identity, ending: AbortSignal): Promise<DriftwatchError | null> => {
    if (clock.monotonic() < nextAt) return unusable
    nextAt = clock.monotonic() + describeRetryMs
    try {
      unusable = await withDeadline(clock, extraTimeoutMs, ending, deadline => describeAll(identity, deadline))
      if (unusable === null) nextAt = Number.POSITIVE_INFINITY
    } catch {
      ending.throwIfAborted()
    }
    return unusable
  }
}

interface Failure {
  readonly error: DriftwatchError
  readonly rejected: readonly SeriesPoint[]
}

/** Writes every batch; rejects if a point was not written. */
async function writePoints(
  points: readonly SeriesPoint[],
  identity: Identity,
  deadline: Deadline,
  { client, clock, log }: PublisherOptions,
): Promise<void> {
  const [at, resource] = [clock.now(), seriesResource(identity)]
  const batches = batchesOf(points)
  const total = batches.length
  const failures: Failure[] = []
  const writeNext = async (): Promise<void> => {
    const batch = batches.shift()
    if (batch === undefined) return
    await client.writePoints(identity.project, { points: batch, resource, at }, deadline).catch(thrown => {
      const error = asDriftwatchError(thrown)
      failures.push({ error, rejected: rejectedPoints(error, batch) })
    })
    await writeNext()
  }
  await Promise.all(Array.from({ length: concurrency }, writeNext))
  if (failures.length > 0) throw failureOf(failures, total, log)
}

function failureOf(failures: readonly Failure[], total: number, log: Log): DriftwatchError {
  const names = failures.flatMap(({ rejected }) => rejected.map(seriesName))
  const [{ error }] = failures as [Failure]
  if (!error.retryable) log.warn({ code: error.code, series: names }, 'series rejected')
  const shown = names.slice(0, seriesInMessage).join(', ')
  const more = names.length > seriesInMessage ? ` and ${names.length - seriesInMessage} more` : ''
  const requests = total > 1 ? `${failures.length} of ${total} requests failed: ` : ''
  return new DriftwatchError(error.code, `${requests}${error.message}; not written: ${shown}${more}`, { cause: error })
}

function batchesOf(points: readonly SeriesPoint[]): SeriesPoint[][] {
  const batches: SeriesPoint[][] = []
  for (let at = 0; at < points.length; at += maxPointsPerWrite) batches.push(points.slice(at, at + maxPointsPerWrite))
  return batches
}
