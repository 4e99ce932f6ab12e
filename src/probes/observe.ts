import { startDeadline } from '../clients/attempts.ts'
import type { Clock, EpochMs } from '../clock.ts'
import type { Stack } from '../config/schema.ts'
import { asDriftwatchError, type DriftwatchError } from '../errors.ts'
import type { Observation, Probe, ProbeKind } from './probe.ts'

/** What came of one look. */
export type Look<K extends ProbeKind> =
  | { readonly outcome: 'answered'; readonly observation: Observation<K>; readonly durationMs: number }
  | {
      readonly outcome: 'failed'
      readonly kind: K
      readonly error: DriftwatchError
      readonly at: EpochMs
      readonly durationMs: number
    }

/**
 * The harness of every probe: it bounds the look and times it. What takes longer than `timeoutMs` has failed, whatever
 * the probe still does. Never rejects.
 */
export async function observe<K extends ProbeKind>(
  probe: Probe<K>,
  stack: Stack,
  { clock, timeoutMs }: { readonly clock: Clock; readonly timeoutMs: number },
): Promise<Look<K>> {
  const begin = clock.monotonic()
  const observedAt = clock.now()
  const deadline = startDeadline(clock, timeoutMs)
  try {
    const value = await Promise.race([probe.observe(stack, { signal: deadline.signal }), rejection(deadline.signal)])
    return {
      outcome: 'answered',
      observation: { kind: probe.kind, observedAt, value },
      durationMs: clock.monotonic() - begin,
    }
  } catch (thrown) {
    const error = asDriftwatchError(thrown)
    return { outcome: 'failed', kind: probe.kind, error, at: observedAt, durationMs: clock.monotonic() - begin }
  } finally {
    deadline.cancel()
  }
}

function rejection(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason), { once: true }))
}
