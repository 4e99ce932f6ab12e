import type { ErrorCode } from '../errors.ts'

/** Why something could not be proven either way. */
export interface Doubt {
  readonly code: ErrorCode
  /** What could not be told, and of what. */
  readonly message: string
}
