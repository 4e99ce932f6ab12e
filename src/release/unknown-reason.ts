import type { ErrorCode } from '../errors.ts'

/** Why something could not be determined. */
export interface UnknownReason {
  readonly code: ErrorCode
  /** What could not be determined, and about which resource. */
  readonly message: string
}
