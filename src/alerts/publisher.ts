import { type Deadline, startDeadline } from '../clients/attempts.ts'
import { longestBatch, type MonitoringClient } from '../clients/monitoring.ts'
import type { SeriesPoint } from '../clients/time-series.ts'
import type { Clock } from '../clock.ts'
import type { FailedLook } from '../drift/state.ts'
import type { Snapshot } from '../drift/store.ts'
import { asDriftwatchError, DriftwatchError } from '../errors.ts'
import type { Log } from '../log.ts'
import { descriptorConflict, wantedDescriptors } from './descriptors.ts'
import { type Identity, seriesResource } from './identity.ts'
import { createLeftBehind } from './left-behind.ts'
import { type CheckLabels, checksOf, lastPointsOf, pointsOf, seriesName } from './points.ts'
import { refusedPoints } from './refused-points.ts'

/** One publishing, retries included. */
const publishTimeoutMs = 20_000

/** So many requests are under way at once. */
const concurrency = 4

/** So many series are named in a message; the log names them all. */
const namedInMessage = 10

export interface PublisherOptions {
  readonly client: MonitoringClient
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
  publish(snapshot: Snapshot, ending: AbortSignal): Promise<FailedLook | null>
}

export function createPublisher(options: PublisherOptions): Publisher {
  const { client, identify, clock } = options
  const leftBehind = createLeftBehind({ client, clock })
  const describe = createDescriber(client)
  let identity: Identity | null = null
  let known: ReadonlyMap<string, CheckLabels> = new Map()

  async function publishBy(snapshot: Snapshot, deadline: Deadline): Promise<FailedLook | null> {
    identity ??= await identify(deadline.signal)
    const checks = checksOf(snapshot)
    const gone = [...known].filter(([key]) => !checks.has(key)).map(([, labels]) => labels)
    const old = leftBehind.take(checks)
    const conflict = await describe(identity, deadline)
    await writePoints([...lastPointsOf([...gone, ...old]), ...pointsOf(snapshot)], identity, deadline, options).catch(
      thrown => {
        throw conflict ?? thrown
      },
    )
    known = checks
    leftBehind.written(old)
    if (conflict) throw conflict
    return leftBehind.find(identity, checks, deadline)
  }

  return {
    async publish(snapshot, ending) {
      const deadline = startDeadline(clock, publishTimeoutMs, ending)
      try {
        return await publishBy(snapshot, deadline)
      } finally {
        deadline.cancel()
      }
    },
  }
}

/**
 * Makes the metrics known before policies watch them, until that is done. Returns what keeps a metric from being used;
 * where the right to describe it is lacking, the first write makes it too.
 */
function createDescriber(client: MonitoringClient) {
  let described = false
  return async ({ project }: Identity, deadline: Deadline): Promise<DriftwatchError | null> => {
    if (described) return null
    let unusable: DriftwatchError | null = null
    try {
      for (const wanted of wantedDescriptors) {
        const actual = await client.getDescriptor(project, wanted.type, deadline).catch(() => null)
        const conflict = actual && descriptorConflict(wanted, actual)
        if (conflict) unusable = new DriftwatchError('INVALID_ARGUMENT', conflict)
        else if (actual === null) await client.createDescriptor(project, wanted, deadline)
      }
      described = unusable === null
    } catch {
      // Tried again with the next cycle: the write shows whether it matters.
      deadline.signal.throwIfAborted()
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
