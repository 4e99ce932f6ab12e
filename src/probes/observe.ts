import type { Deadline } from '../clients/attempts.ts'
import type { Clock, EpochMs } from '../clock.ts'
import type { Stack } from '../config/schema.ts'
import { formatDuration } from '../duration.ts'
import { asDriftwatchError, DriftwatchError } from '../errors.ts'
import type { Observed, Probe, ProbeKind } from './probe.ts'
import type { Pulse } from './pulse.ts'

/** What came of one look at one stack. */
export type Look<K extends ProbeKind> = {
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
  readonly deadline: Deadline
  /** How long a look may take; `deadline` keeps it. */
  readonly timeoutMs: number
  readonly ending: AbortSignal
  readonly pulse: Pulse
}

/** A look that was robbed of more than this share of its time proves nothing: silence may be our own standing still. */
const mostStoodStill = 0.5

/**
 * The harness of every probe: it bounds the look and times it. What is not over by the deadline has failed, whatever the
 * probe still does; so has what this process slept through. Never rejects.
 */
export async function observe<K extends ProbeKind>(
  probe: Probe<K>,
  stack: Stack,
  { clock, deadline, timeoutMs, ending, pulse }: ObserveOptions,
): Promise<Look<K>> {
  const [at, begin, stoodStill] = [clock.now(), clock.monotonic(), pulse.stoodStillMs()]
  const look = () => ({ kind: probe.kind, stack: stack.name, at, durationMs: clock.monotonic() - begin })
  const sleptThrough = () => {
    const lostMs = pulse.stoodStillMs() - stoodStill
    if (ending.aborted || lostMs <= timeoutMs * mostStoodStill) return null
    return { ...look(), outcome: 'failed', error: loopBlocked(lostMs, timeoutMs) } as const
  }
  try {
    const value = await Promise.race([probe.observe(stack, { signal: deadline.signal }), deadline.over])
    return sleptThrough() ?? { ...look(), outcome: 'answered', value }
  } catch (thrown) {
    return sleptThrough() ?? { ...look(), outcome: 'failed', error: asDriftwatchError(thrown) }
  }
}

function loopBlocked(lostMs: number, timeoutMs: number): DriftwatchError {
  const times = `${formatDuration(lostMs)} of the ${formatDuration(timeoutMs)} allowed`
  return new DriftwatchError(
    'LOOP_BLOCKED',
    `Driftwatch itself stood still for ${times}: it was blocked, stopped or without CPU`,
  )
}
