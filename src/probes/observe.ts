import { abortion, startDeadline } from '../clients/attempts.ts'
import type { Clock, EpochMs } from '../clock.ts'
import type { Stack } from '../config/schema.ts'
import { asDriftwatchError, type DriftwatchError } from '../errors.ts'
import type { Observed, Probe, ProbeKind } from './probe.ts'

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

/**
 * The harness of every probe: it bounds the look and times it. What takes longer than `timeoutMs`, or until
 * `ending` aborts, has failed, whatever the probe still does. Never rejects.
 */
export async function observe<K extends ProbeKind>(
  probe: Probe<K>,
  stack: Stack,
  { clock, timeoutMs, ending }: { readonly clock: Clock; readonly timeoutMs: number; readonly ending: AbortSignal },
): Promise<Look<K>> {
  const [at, begin] = [clock.now(), clock.monotonic()]
  const deadline = startDeadline(clock, timeoutMs, ending)
  const look = () => ({ kind: probe.kind, stack: stack.name, at, durationMs: clock.monotonic() - begin })
  try {
    const value = await Promise.race([probe.observe(stack, { signal: deadline.signal }), abortion(deadline.signal)])
    return { ...look(), outcome: 'answered', value }
  } catch (thrown) {
    return { ...look(), outcome: 'failed', error: asDriftwatchError(thrown) }
  } finally {
    deadline.cancel()
  }
}
