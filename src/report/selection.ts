import type { CheckKind } from '../checks/check.ts'
import type { Status } from '../checks/status.ts'
import type { State } from '../drift/state.ts'
import type { Snapshot, StackStates } from '../drift/store.ts'

/** What to show of a report. A part that is left out shows everything; an empty list shows nothing. */
export interface ReportFilter {
  readonly statuses?: readonly Status[] | undefined
  readonly checks?: readonly CheckKind[] | undefined
  /** Only stacks whose names come after this one; as with `limit`, stacks then stand in the order of their names. */
  readonly after?: string | undefined
  /** At most so many stacks. */
  readonly limit?: number | undefined
}

export interface SelectedStack {
  readonly stack: StackStates
  /** The states of it that are shown. */
  readonly states: readonly State[]
}

export interface Selection {
  readonly stacks: readonly SelectedStack[]
  /** The last stack that is shown, where there are more after it; else null. */
  readonly last: string | null
}

/** The stacks and states that a filter shows: with `statuses` or `checks`, stacks of which no check is left are hidden. */
export function selectStates({ stacks }: Snapshot, filter: ReportFilter = {}): Selection {
  const { statuses, checks, after, limit } = filter
  const chooses = statuses !== undefined || checks !== undefined
  const shown = stacks
    .filter(({ name }) => after === undefined || name > after)
    .map(stack => ({ stack, states: chooses ? stack.states.filter(state => matches(state, filter)) : stack.states }))
    .filter(({ states }) => !chooses || states.length > 0)
  if (after === undefined && limit === undefined) return { stacks: shown, last: null }
  const ordered = shown.toSorted((one, other) => (one.stack.name < other.stack.name ? -1 : 1))
  const page = ordered.slice(0, limit)
  return { stacks: page, last: page.length < ordered.length ? (page.at(-1)?.stack.name ?? null) : null }
}

function matches(state: State, { statuses, checks }: ReportFilter): boolean {
  return (statuses?.includes(state.status) ?? true) && (checks?.includes(state.check) ?? true)
}
