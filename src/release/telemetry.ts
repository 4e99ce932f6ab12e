import type { EpochMs } from '../clock.ts'

/** A span of whole minutes: after `from`, up to `to`. */
export interface Window {
  readonly from: EpochMs
  readonly to: EpochMs
}

/** What a service did in a window. */
export interface ServiceCounts {
  readonly requests: number
  /** Responses 5xx. */
  readonly serverErrors: number
  /** Log entries of severity ERROR or above, the log of requests left out: its errors are the 5xx. */
  readonly errorLogs: number
}

export interface ServiceTelemetry {
  readonly service: string
  readonly after: ServiceCounts
  /** In as long a window that ended with the rollout. */
  readonly before: ServiceCounts
}

export interface ObservedTelemetry {
  /** Since when what serves takes traffic, at the latest; null where nobody serves. */
  readonly rolloutAt: EpochMs | null
  /** Null: nobody serves, or the rollout is so young that no minute after it is complete. */
  readonly window: Window | null
  /** Empty where there is no window. */
  readonly services: readonly ServiceTelemetry[]
}

const minute = 60_000

/**
 * The windows to look at: the last minutes that are complete, never reaching before the rollout, and as many before it.
 * Null while there is no complete minute since the rollout.
 */
export function windowsOf(
  rolloutAt: EpochMs,
  now: EpochMs,
  { windowMs, delayMs }: { readonly windowMs: number; readonly delayMs: number },
): { readonly after: Window; readonly before: Window } | null {
  const to = floor(now - delayMs)
  const from = Math.max(to - windowMs, floor(rolloutAt + minute - 1))
  if (from >= to) return null
  const end = floor(rolloutAt)
  return { after: { from, to }, before: { from: end - (to - from), to: end } }
}

function floor(moment: EpochMs): EpochMs {
  return Math.floor(moment / minute) * minute
}
