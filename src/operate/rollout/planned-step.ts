import { splitWords } from '../../config/mask.ts'
import { DriftwatchError } from '../../errors.ts'
import { formatCommand } from '../../remedies/shell.ts'

/** A step of a plan, described for a person. */
export interface PlannedStep {
  readonly name: string
  readonly text: string
  /** The resource that the step writes to, such as `service runtime`; absent if it is read-only. */
  readonly writes?: string
}

/** The command is refused before it changed anything; `remedy` is a command line that helps. */
export function refused(reason: string, remedy: string | null = null): DriftwatchError {
  return new DriftwatchError('REFUSED', remedy === null ? reason : `${reason}\n  ${remedy}`)
}

export function failed(reason: string, ...details: readonly string[]): DriftwatchError {
  return new DriftwatchError('STEP_FAILED', [reason, ...details.map(line => `  ${line}`)].join('\n'))
}

/** The command of a container, as text. */
export function describeCommand(command: readonly string[]): string {
  return command.length === 0 ? "(the image's entrypoint)" : formatCommand(...splitWords(command))
}
