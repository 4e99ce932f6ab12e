import type { CheckKind } from '../checks/check.ts'
import type { Status } from '../checks/status.ts'
import type { State } from '../drift/state.ts'
import type { Snapshot, StackStates } from '../drift/store.ts'

/** Which parts of a report to show. An absent field filters nothing; an empty list matches nothing. */
export interface ReportFilter {
  readonly statuses?: readonly Status[] | undefined
  readonly checks?: readonly CheckKind[] | undefined
  /** Only stacks whose names come after this one. As with `limit`, stacks are then sorted by name. */
  readonly after?: string | undefined
  /** The maximum number of stacks. */
  readonly limit?: number | undefined
}

export interface SelectedStack {
  readonly stack: StackStates
  /** Its states that match. */
  readonly states: readonly State[]
}

export interface Selection {
  readonly stacks: readonly SelectedStack[]
  /** The last selected stack if more follow, else null. */
  readonly last: string | null
}

/** The stacks and states that match a filter. `statuses` and `checks` also hide stacks without a matching check. */
export function selectStates({ stacks }: Snapshot, filter: ReportFilter = {}): Selection {
  const { statuses, checks, after, limit } = filter
  const isByCheck = statuses !== undefined || checks !== undefined
  const shown = stacks
    .filter(({ name }) => after === undefined || name > after)
    .map(stack => ({ stack, states: isByCheck ? stack.states.filter(state => matches(state, filter)) : stack.states }))
    .filter(({ states }) => !isByCheck || states.length > 0)
  if (after === undefined && limit === undefined) return { stacks: shown, last: null }
  const ordered = shown.toSorted((one, other) => (one.stack.name < other.stack.name ? -1 : 1))
  const page = ordered.slice(0, limit)
  return { stacks: page, last: page.length < ordered.length ? (page.at(-1)?.stack.name ?? null) : null }
}

function matches(state: State, { statuses, checks }: ReportFilter): boolean {
  return (statuses?.includes(state.status) ?? true) && (checks?.includes(state.check) ?? true)
}
