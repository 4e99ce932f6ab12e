import type { EpochMs } from '../clock.ts'

/** The later of two moments, as far as they are known: since when a pair of sides differs at the most. */
export function laterOf(...moments: readonly (EpochMs | null)[]): EpochMs | null {
  return moments.reduce(
    (latest, moment) => (moment !== null && (latest === null || moment > latest) ? moment : latest),
    null,
  )
}

/**
 * Whether a rollout may explain what is seen: the thing changed less than `graceMs` before it was looked at. What
 * nobody knows the age of is not young.
 */
export function isYoung(changedAt: EpochMs | null, observedAt: EpochMs, graceMs: number): boolean {
  return changedAt !== null && observedAt - changedAt < graceMs
}
