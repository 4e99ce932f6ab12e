import type { EpochMs } from '../clock.ts'
import type { CloudRunIdentity } from './cloud-run.ts'

/** Whole minutes, excluding `from` and including `to`. */
export interface Window {
  readonly from: EpochMs
  readonly to: EpochMs
}

/** Counts of a service in a window. */
export interface ServiceCounts {
  readonly requests: number
  /** Responses 5xx. */
  readonly serverErrors: number
  /** Log entries of severity ERROR or above, without the request log: its errors are the 5xx responses. */
  readonly errorLogs: number
}

export interface ServiceTelemetry {
  readonly service: string
  /** For the stack's own service, only of the serving revisions. */
  readonly after: ServiceCounts
  /** In a window of the same length that ended when the newest serving revision was created. All 0: no data. */
  readonly before: ServiceCounts
}

/** When the serving revisions started to receive traffic. Other changes of the service only move `touchedAt`. */
export interface Rollout {
  /** When the newest serving revision was created. */
  readonly madeAt: EpochMs
  /** When it became ready. It received no traffic before. */
  readonly readyAt: EpochMs
  /** When the service was last changed, which may have moved traffic. */
  readonly touchedAt: EpochMs
}

export interface ObservedTelemetry {
  /** Null if no revision receives traffic. */
  readonly rollout: Rollout | null
  /** Null if no revision receives traffic, or if no full minute has passed since the rollout. */
  readonly window: Window | null
  /** Empty without a window. */
  readonly services: readonly ServiceTelemetry[]
}

const minute = 60_000

/** The last full minutes after the revision became ready, and as many before it was created; null before the first. */
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

/** The part of a window in which a service existed; empty if there is none. */
export function sinceCreation({ from, to }: Window, { createTime }: CloudRunIdentity): Window {
  return { from: Math.min(to, Math.max(from, floor((createTime ?? 0) + minute - 1))), to }
}

function floor(moment: EpochMs): EpochMs {
  return Math.floor(moment / minute) * minute
}
