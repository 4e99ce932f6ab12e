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
  /** How it came to be, where that is known: who changed it last and when, or the route of a privilege. */
  readonly via: string | null
  /** Where one difference stands for many objects: which, up to a bound that the notes state. */
  readonly objects?: readonly string[]
}

/** How many differences a finding tells one by one. */
export const mostDifferences = 1000

/** What a check says. */
export interface Finding {
  readonly status: Status
  /** One sentence: what an on-call person needs. */
  readonly summary: string
  readonly differences: readonly Difference[]
  /** What a reader should know although it is no difference. */
  readonly notes: readonly string[]
  /** A command that mends it and can be pasted, or null. */
  readonly fix: string | null
  /** Set when something could not be proven. */
  readonly doubt: UnknownReason | null
  /** The paths of the differences that no rollout explains any longer: what `drifted` rests on. */
  readonly proven: readonly string[]
}
