import type { EpochMs } from '../clock.ts'
import type { State } from './state.ts'

/** One stack with the states of its checks, in the order of the list of checks. */
export interface StackStates {
  readonly name: string
  readonly project: string
  readonly region: string
  readonly service: string
  /** Null where the stack has no migration job. */
  readonly job: string | null
  readonly states: readonly State[]
}

/** The last completed cycle. */
export interface CycleSummary {
  readonly id: number
  readonly startedAt: EpochMs
  readonly durationMs: number
}

/** Everything that is known at one moment: what reports, metrics and alerts are made of. */
export interface Snapshot {
  readonly takenAt: EpochMs
  /** Null before the first cycle has completed. */
  readonly cycle: CycleSummary | null
  readonly stacks: readonly StackStates[]
}
