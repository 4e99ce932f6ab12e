import type { Clock, EpochMs } from '../clock.ts'
import { type Deadline, withDeadline } from '../concurrency/deadline.ts'
import { type EventLoopMonitor, eventLoopStalled } from '../concurrency/event-loop-monitor.ts'
import type { FairQueue } from '../concurrency/fair-queue.ts'
import type { Stack } from '../config/config.ts'
import { formatDuration } from '../duration.ts'
import { asDriftwatchError, DriftwatchError } from '../errors.ts'
import type { Observed, Probe, ProbeKind } from './probe.ts'

/** What came of one look at one stack. */
export type ProbeResult<K extends ProbeKind> = {
  readonly kind: K
  readonly stack: string
  /** When it began. */
  readonly at: EpochMs
  readonly durationMs: number
} & (
  | { readonly outcome: 'answered'; readonly value: Observed[K] }
  | { readonly outcome: 'failed'; readonly error: DriftwatchError }
)

export interface ObserveOptions {
  readonly clock: Clock
  /** Of the cycle: who has had no turn by then has none in it. */
  readonly deadline: Deadline
  /** On the monotonic clock: when every look is over, also one whose turn came late. */
  readonly overAt: number
  /** How long a look may take: from the beginning of the cycle, or from its turn. */
  readonly timeoutMs: number
  readonly ending: AbortSignal
  readonly pulse: EventLoopMonitor
}

/** A look that was robbed of more than this share of its time proves nothing: silence may be our own standing still. */
const mostStoodStill = 0.5

/** The share of its time after which a look lets the next one begin beside it. */
const turnShare = 0.1

/** Looks at once, or when its turn comes where looks take turns. Never rejects. */
export async function observe<K extends ProbeKind>(
  probe: Probe<K>,
  stack: Stack,
  options: ObserveOptions,
): Promise<ProbeResult<K>> {
  const { turns: fairQueue } = probe
  return fairQueue ? observeInTurn({ ...probe, turns: fairQueue }, stack, options) : observeNow(probe, stack, options)
}

async function observeInTurn<K extends ProbeKind>(
  probe: Probe<K> & { readonly turns: FairQueue },
  stack: Stack,
  options: ObserveOptions,
): Promise<ProbeResult<K>> {
  const { clock, deadline, overAt, timeoutMs, ending } = options
  const turn = { caller: stack.name, deadline, slotMs: timeoutMs * turnShare }
  const look = () =>
    withDeadline(clock, Math.min(timeoutMs, overAt - clock.monotonic()), ending, own =>
      observeNow(probe, stack, { ...options, deadline: own }),
    )
  try {
    return await probe.turns.run(turn, look)
  } catch (thrown) {
    const error = ending.aborted ? asDriftwatchError(thrown) : noTurn(timeoutMs)
    return { kind: probe.kind, stack: stack.name, at: clock.now(), durationMs: 0, outcome: 'failed', error }
  }
}

function noTurn(timeoutMs: number): DriftwatchError {
  const within = formatDuration(timeoutMs)
  return new DriftwatchError(
    'DEADLINE_EXCEEDED',
    `its turn did not come within ${within}: many other looks take long, and in the next cycle it comes before them`,
  )
}

/**
 * The harness of every probe: it bounds the look and times it. What is not over by the deadline has failed, whatever the
 * probe still does; so has what this process slept through. Never rejects.
 */
async function observeNow<K extends ProbeKind>(
  probe: Probe<K>,
  stack: Stack,
  { clock, deadline, timeoutMs, ending, pulse: eventLoop }: ObserveOptions,
): Promise<ProbeResult<K>> {
  const { kind } = probe
  const at = clock.now()
  const begin = clock.monotonic()
  const stalled = eventLoop.stalledMs()
  const failed = (error: DriftwatchError): ProbeResult<K> => {
    return { kind, stack: stack.name, at, durationMs: clock.monotonic() - begin, outcome: 'failed', error }
  }
  const sleptThrough = (): ProbeResult<K> | null => {
    const lostMs = eventLoop.stalledMs() - stalled
    return ending.aborted || lostMs <= timeoutMs * mostStoodStill ? null : failed(eventLoopStalled(lostMs, timeoutMs))
  }
  try {
    const value = await Promise.race([probe.observe(stack, deadline), deadline.over])
    const durationMs = clock.monotonic() - begin
    return sleptThrough() ?? { kind, stack: stack.name, at, durationMs, outcome: 'answered', value }
  } catch (thrown) {
    return sleptThrough() ?? failed(asDriftwatchError(thrown))
  }
}
