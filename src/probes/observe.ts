import type { Clock, EpochMs } from '../clock.ts'
import { type Deadline, withDeadline } from '../concurrency/deadline.ts'
import { type EventLoopMonitor, eventLoopStalled } from '../concurrency/event-loop-monitor.ts'
import type { FairQueue } from '../concurrency/fair-queue.ts'
import type { Stack } from '../config/config.ts'
import { formatDuration } from '../duration.ts'
import { asDriftwatchError, DriftwatchError } from '../errors.ts'
import type { Observed, Probe, ProbeKind } from './probe.ts'

/** The result of one probe of one stack. */
export type ProbeResult<K extends ProbeKind> = {
  readonly kind: K
  readonly stack: string
  /** When the probe started. */
  readonly at: EpochMs
  readonly durationMs: number
} & (
  | {
      readonly outcome: 'answered'
      readonly value: Observed[K]
      /** How old the data is: `at`, or earlier. */
      readonly asOf: EpochMs
      readonly subject: string | null
    }
  | { readonly outcome: 'failed'; readonly error: DriftwatchError }
)

export interface ObserveOptions {
  readonly clock: Clock
  /** The deadline of the cycle. A queued probe that has not started by then fails. */
  readonly deadline: Deadline
  /** On the monotonic clock: when all probes end, including those that started late. */
  readonly overAt: number
  /** The time for one probe, from the start of the cycle or from its turn. */
  readonly timeoutMs: number
  readonly ending: AbortSignal
  readonly eventLoop: EventLoopMonitor
}

/** If the event loop stalled for more than this share of the time, a missing response proves nothing. */
const maxStalledShare = 0.5

/** After this share of its time, a probe no longer blocks the next one in the queue. */
const turnShare = 0.1

/** Runs a probe immediately, or in turn if it has a queue. Never rejects. */
export async function observe<K extends ProbeKind>(
  probe: Probe<K>,
  stack: Stack,
  options: ObserveOptions,
): Promise<ProbeResult<K>> {
  const { queue } = probe
  return queue ? observeInTurn({ ...probe, queue }, stack, options) : observeNow(probe, stack, options)
}

async function observeInTurn<K extends ProbeKind>(
  probe: Probe<K> & { readonly queue: FairQueue },
  stack: Stack,
  options: ObserveOptions,
): Promise<ProbeResult<K>> {
  const { clock, deadline, overAt, timeoutMs, ending } = options
  const turn = { caller: stack.name, deadline, slotMs: timeoutMs * turnShare }
  const start = () =>
    withDeadline(clock, Math.min(timeoutMs, overAt - clock.monotonic()), ending, own =>
      observeNow(probe, stack, { ...options, deadline: own }),
    )
  try {
    return await probe.queue.run(turn, start)
  } catch (thrown) {
    const error = ending.aborted ? asDriftwatchError(thrown) : noTurn(timeoutMs)
    return { kind: probe.kind, stack: stack.name, at: clock.now(), durationMs: 0, outcome: 'failed', error }
  }
}

/** The deadline of a probe does not know what was probed. */
function tooLate(kind: ProbeKind, { name, project, region }: Stack, error: DriftwatchError): DriftwatchError {
  if (error.code !== 'DEADLINE_EXCEEDED') return error
  return new DriftwatchError(
    error.code,
    `the ${kind} probe of ${JSON.stringify(name)} (${project}, ${region}) ${error.message}`,
  )
}

function noTurn(timeoutMs: number): DriftwatchError {
  const within = formatDuration(timeoutMs)
  return new DriftwatchError(
    'DEADLINE_EXCEEDED',
    `no free slot within ${within}: too many other probes are slow. In the next cycle this probe comes first.`,
  )
}

/** A probe fails if it is not finished by the deadline, or if the event loop stalled for too long. Never rejects. */
async function observeNow<K extends ProbeKind>(
  probe: Probe<K>,
  stack: Stack,
  { clock, deadline, timeoutMs, ending, eventLoop }: ObserveOptions,
): Promise<ProbeResult<K>> {
  const { kind } = probe
  const at = clock.now()
  const begin = clock.monotonic()
  const stalled = eventLoop.stalledMs()
  const failed = (error: DriftwatchError): ProbeResult<K> => {
    return { kind, stack: stack.name, at, durationMs: clock.monotonic() - begin, outcome: 'failed', error }
  }
  const stallFailure = (): ProbeResult<K> | null => {
    const lostMs = eventLoop.stalledMs() - stalled
    return ending.aborted || lostMs <= timeoutMs * maxStalledShare ? null : failed(eventLoopStalled(lostMs, timeoutMs))
  }
  try {
    const value = await Promise.race([probe.observe(stack, deadline), deadline.over])
    const durationMs = clock.monotonic() - begin
    const { asOf, subject } = probe.originOf?.(value) ?? { asOf: null, subject: null }
    const answer = { outcome: 'answered', value, asOf: Math.min(at, asOf ?? at), subject } as const
    return stallFailure() ?? { kind, stack: stack.name, at, durationMs, ...answer }
  } catch (thrown) {
    const error =
      thrown === deadline.signal.reason ? tooLate(kind, stack, asDriftwatchError(thrown)) : asDriftwatchError(thrown)
    return stallFailure() ?? failed(error)
  }
}
