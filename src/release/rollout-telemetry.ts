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
  /** Of the stack's own service, only what the revisions did that take traffic. */
  readonly after: ServiceCounts
  /** In as long a window that ended when the newest of those was made. Nothing at all: nothing is known of it. */
  readonly before: ServiceCounts
}

/** When what serves came to serve, as far as that can be told. What else is changed of the service moves none of it but the last. */
export interface Rollout {
  /** When the newest revision that takes traffic was made: it did nothing before. */
  readonly madeAt: EpochMs
  /** When it was ready: it took no traffic before. */
  readonly readyAt: EpochMs
  /** When the service was changed last: the traffic may have been moved then. */
  readonly touchedAt: EpochMs
}

export interface ObservedTelemetry {
  /** Null where nobody serves. */
  readonly rollout: Rollout | null
  /** Null: nobody serves, or the rollout is so young that no minute after it is complete. */
  readonly window: Window | null
  /** Empty where there is no window. */
  readonly services: readonly ServiceTelemetry[]
}

const minute = 60_000

/**
 * The windows to look at: the last minutes that are complete, never reaching before the revision was ready, and as many
 * before it was made. Null while there is no complete minute since it was ready.
 */
export function windowsOf(
  { madeAt, readyAt }: Pick<Rollout, 'madeAt' | 'readyAt'>,
  now: EpochMs,
  { windowMs, delayMs }: { readonly windowMs: number; readonly delayMs: number },
): { readonly after: Window; readonly before: Window } | null {
  const to = floor(now - delayMs)
  const from = Math.max(to - windowMs, floor(readyAt + minute - 1))
  if (from >= to) return null
  const end = floor(madeAt)
  return { after: { from, to }, before: { from: end - (to - from), to: end } }
}

function floor(moment: EpochMs): EpochMs {
  return Math.floor(moment / minute) * minute
}
