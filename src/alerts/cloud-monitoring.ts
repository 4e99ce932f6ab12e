import { type Deadline, startDeadline } from '../clients/attempts.ts'
import { longestBatch, type MonitoringClient } from '../clients/monitoring.ts'
import type { SeriesPoint } from '../clients/time-series.ts'
import type { Clock, EpochMs } from '../clock.ts'
import type { FailedLook } from '../drift/state.ts'
import type { Snapshot } from '../drift/store.ts'
import { asDriftwatchError, DriftwatchError } from '../errors.ts'
import type { Log } from '../log.ts'
import type { Channel, ChannelListeners } from './channel.ts'
import { descriptorConflict, wantedDescriptors } from './descriptors.ts'
import { type Identity, seriesResource } from './identity.ts'
import { createLeftBehind } from './left-behind.ts'
import { checksOf, lastPointsOf, pointsOf, seriesName } from './points.ts'
import { refusedPoints } from './refused-points.ts'

const name = 'cloud-monitoring'

/** Cloud Monitoring refuses points of one series that are closer; one publishing follows another by no less. */
const shortestGapMs = 10_000

/** One publishing, retries included. */
const publishTimeoutMs = 20_000

/** So many requests are under way at once. */
const concurrency = 4

/** So many series are named in a message; the log names them all. */
const namedInMessage = 10

export interface CloudMonitoringOptions extends ChannelListeners {
  readonly client: MonitoringClient
  /** Asked until it answers once. */
  identify(signal: AbortSignal): Promise<Identity>
  readonly clock: Clock
  readonly log: Log
  /** What else is to be said of the channel, such as that its policies differ. */
  remark?(): FailedLook | null
}

/**
 * Writes what each cycle found as metrics, in a queue of its own that holds the latest snapshot only: however slow Cloud
 * Monitoring is, no cycle waits for it.
 */
export function createCloudMonitoringChannel(options: CloudMonitoringOptions): Channel {
  const { clock, log, onPublished, onState, remark = () => null } = options
  const publisher = createPublisher(options)
  const ending = new AbortController()
  let waiting: Snapshot | null = null
  let running: Promise<void> | null = null
  let lastCycle: number | null = null
  let lastWrite = Number.NEGATIVE_INFINITY
  let publishedAt: EpochMs | null = null
  let error: FailedLook | null = null
  let notice: FailedLook | null = null

  async function drain(): Promise<void> {
    while (waiting !== null && !ending.signal.aborted) {
      const pause = lastWrite + shortestGapMs - clock.monotonic()
      if (pause > 0) await clock.sleep(pause, ending.signal)
      const snapshot = waiting
      waiting = null
      await publishOne(snapshot)
      // From its end, so that whatever came before the write does not count.
      lastWrite = clock.monotonic()
    }
  }

  async function publishOne(snapshot: Snapshot): Promise<void> {
    try {
      notice = await publisher.publish(snapshot, ending.signal)
      publishedAt = clock.now()
      error = null
    } catch (thrown) {
      if (ending.signal.aborted) return
      const failure = asDriftwatchError(thrown)
      error = { code: failure.code, message: failure.message, at: clock.now() }
      log.warn({ channel: name, code: failure.code, error: failure.message }, 'publishing failed')
    }
    onPublished(name, error === null ? 'ok' : 'failed')
    onState()
  }

  return {
    name,
    publish(snapshot) {
      // What goes stale without a cycle is not written: the heartbeat stands for a cycle, and its silence is the alarm.
      if (snapshot.cycle === null || snapshot.cycle.id === lastCycle || ending.signal.aborted) return
      lastCycle = snapshot.cycle.id
      waiting = snapshot
      running ??= drain()
        .catch(thrown => {
          if (!ending.signal.aborted) log.error({ err: thrown }, 'the queue of a channel failed')
        })
        .finally(() => {
          running = null
        })
    },
    state: () => ({ channel: name, publishedAt, error: error ?? remark() ?? notice }),
    async close() {
      waiting = null
      ending.abort()
      await running
    },
  }
}

/** Everything that one publishing does, without the queue. Rejects where a point was not written. */
function createPublisher({ client, identify, clock, log }: CloudMonitoringOptions) {
  const leftBehind = createLeftBehind({ client, clock })
  let identity: Identity | null = null
  let described = false
  let unusable: DriftwatchError | null = null
  let known = new Map<string, { stack: string; check: string }>()

  /** Once: a metric must be known before policies watch it. Without the right to, the first write makes it too. */
  async function describe({ project }: Identity, deadline: Deadline): Promise<void> {
    if (described) return
    unusable = null
    for (const wanted of wantedDescriptors) {
      const actual = await client.getDescriptor(project, wanted.type, deadline).catch(() => null)
      const conflict = actual && descriptorConflict(wanted, actual)
      if (conflict) unusable = new DriftwatchError('INVALID_ARGUMENT', conflict)
      else if (actual === null) await client.createDescriptor(project, wanted, deadline)
    }
    described = unusable === null
  }

  async function write(points: readonly SeriesPoint[], who: Identity, deadline: Deadline): Promise<void> {
    const at = clock.now()
    const failures: Failure[] = []
    const batches = batchesOf(points)
    const total = batches.length
    const next = async (): Promise<void> => {
      const batch = batches.shift()
      if (batch === undefined) return
      try {
        await client.writePoints(who.project, { points: batch, resource: seriesResource(who), at }, deadline)
      } catch (thrown) {
        const error = asDriftwatchError(thrown)
        failures.push({ error, refused: refusedPoints(error, batch) })
      }
      await next()
    }
    await Promise.all(Array.from({ length: concurrency }, next))
    if (failures.length > 0) throw report(failures, total)
  }

  function report(failures: readonly Failure[], total: number): DriftwatchError {
    const names = failures.flatMap(({ refused }) => refused.map(seriesName))
    const [{ error }] = failures as [Failure]
    if (names.length > 0 && !error.retryable)
      log.warn({ channel: name, code: error.code, series: names }, 'series were refused')
    const shown = names.slice(0, namedInMessage).join(', ')
    const more = names.length > namedInMessage ? ` and ${names.length - namedInMessage} more` : ''
    const batches = total > 1 ? `${failures.length} of ${total} requests failed: ` : ''
    return new DriftwatchError(error.code, `${batches}${error.message}; not written: ${shown}${more}`, { cause: error })
  }

  return {
    /** Returns what could be written but not everything that belongs to it, or null. */
    async publish(snapshot: Snapshot, ending: AbortSignal): Promise<FailedLook | null> {
      const deadline = startDeadline(clock, publishTimeoutMs, ending)
      try {
        identity ??= await identify(deadline.signal)
        const checks = checksOf(snapshot)
        const gone = [...known].filter(([key]) => !checks.has(key)).map(([, labels]) => labels)
        const old = leftBehind.take(checks)
        await describe(identity, deadline).catch(ignoreUnlessEnding(deadline))
        await write([...lastPointsOf([...gone, ...old]), ...pointsOf(snapshot)], identity, deadline).catch(thrown => {
          throw unusable ?? thrown
        })
        known = checks
        leftBehind.written(old)
        if (unusable) throw unusable
        return await leftBehind.find(identity, checks, deadline)
      } finally {
        deadline.cancel()
      }
    },
  }
}

interface Failure {
  readonly error: DriftwatchError
  readonly refused: readonly SeriesPoint[]
}

/** A descriptor that could not be made is tried again with the next cycle: the write shows whether it matters. */
function ignoreUnlessEnding({ signal }: Deadline): (thrown: unknown) => void {
  return () => signal.throwIfAborted()
}

function batchesOf(points: readonly SeriesPoint[]): SeriesPoint[][] {
  const batches: SeriesPoint[][] = []
  for (let at = 0; at < points.length; at += longestBatch) batches.push(points.slice(at, at + longestBatch))
  return batches
}
