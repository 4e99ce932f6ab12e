import type { UnknownReason } from '../release/unknown-reason.ts'
import type { Status } from './status.ts'

export const differenceKinds = ['missing', 'unexpected', 'changed'] as const
export type DifferenceKind = (typeof differenceKinds)[number]

/** One concrete divergence. */
export interface Difference {
  /** What diverges: `job.image`, `service.traffic`. */
  readonly path: string
  readonly kind: DifferenceKind
  readonly expected: string | null
  readonly actual: string | null
  /** The origin, if known: who changed it last and when, or how a role got a privilege. */
  readonly via: string | null
  /** The objects that one difference covers, up to a limit that the notes state. */
  readonly objects?: readonly string[]
}

/** A finding lists at most this many differences. */
export const maxDifferences = 1000

/** The result of a check. */
export interface Finding {
  readonly status: Status
  /** Full sentences for the on-call person. */
  readonly summary: string
  readonly differences: readonly Difference[]
  /** What the reader should know besides the differences. Full sentences. */
  readonly notes: readonly string[]
  /** A shell command that fixes it, or null. */
  readonly fix: string | null
  /** Set if something could not be judged. */
  readonly doubt: UnknownReason | null
  /** The paths of the differences that no rollout explains: the reason for `drifted`. */
  readonly proven: readonly string[]
}

/** An error message as a sentence: `no credentials` becomes `No credentials.` A name at the start keeps its case. */
export function toSentence(message: string): string {
  const start = /^[a-z]+ /.test(message) ? message.charAt(0).toUpperCase() + message.slice(1) : message
  return /[.!?]$/.test(start) ? start : `${start}.`
}
