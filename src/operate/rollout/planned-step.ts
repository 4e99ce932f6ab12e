import { formatCommand } from '../../checks/fix.ts'
import { splitWords } from '../../config/mask.ts'
import { DriftwatchError } from '../../errors.ts'

/** One thing that a command would do, in words. */
export interface PlannedStep {
  readonly name: string
  readonly text: string
  /** The resource that it writes to: `service runtime`. Left out: it only looks. */
  readonly writes?: string
}

/** That a command will not do what it was asked for, why, and what would help. Nothing was changed. */
export function refused(why: string, remedy: string | null = null): DriftwatchError {
  return new DriftwatchError('REFUSED', remedy === null ? why : `${why}\n  ${remedy}`)
}

/** A command as a sentence shows it: `["runtime-migrate"]`. */
export function words(list: readonly string[]): string {
  return list.length === 0 ? "the image's own entrypoint" : formatCommand(...splitWords(list))
}
