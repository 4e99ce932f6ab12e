import type { EpochMs } from '../clock.ts'
import type { CheckKind } from '../checks/check.ts'
import type { Difference } from '../checks/finding.ts'
import type { Status } from '../checks/status.ts'
import type { ErrorCode } from '../errors.ts'

/** The last look that failed, or that proved nothing. */
export interface FailedLook {
  readonly code: ErrorCode
  readonly message: string
  readonly at: EpochMs
}

/** The latest finding of one check of one stack. */
export interface State {
  readonly check: CheckKind
  readonly status: Status
  /** When this status began. */
  readonly since: EpochMs
  /** When what the finding rests on was looked at; null before the first answer. */
  readonly observedAt: EpochMs | null
  /** When it becomes too old to be believed; null before the first answer. */
  readonly staleAt: EpochMs | null
  readonly summary: string
  readonly differences: readonly Difference[]
  readonly notes: readonly string[]
  readonly fix: string | null
  readonly error: FailedLook | null
}

/** A change of status. */
export interface Transition {
  readonly stack: string
  readonly check: CheckKind
  readonly from: Status
  readonly to: Status
  readonly since: EpochMs
  readonly differences: readonly Difference[]
}
