import { DriftwatchError } from '../errors.ts'

/** The command was asked to end; `changes` says what was changed so far. */
export function interrupted(changes: string | null = null): DriftwatchError {
  return new DriftwatchError('INTERRUPTED', changes === null ? 'interrupted' : `interrupted: ${changes}`)
}
