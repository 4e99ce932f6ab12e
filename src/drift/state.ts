import { isDeepStrictEqual } from 'node:util'
import type { CheckKind } from '../checks/check.ts'
import type { Difference, Finding } from '../checks/finding.ts'
import type { Status } from '../checks/status.ts'
import { type EpochMs, formatTime } from '../clock.ts'
import { formatDuration } from '../duration.ts'
import type { ErrorCode } from '../errors.ts'
import { prose } from '../printable.ts'
import { sanitize } from './sanitize.ts'

/** The last look that failed, or that proved nothing. */
export interface CheckError {
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
  readonly error: CheckError | null
  readonly content: StateContent
}

/** A state without the times of the cycle. States that differ only in these times share one object. */
export type StateContent = Omit<State, 'observedAt' | 'staleAt' | 'error' | 'content'> & {
  /** Which of the times there are. */
  readonly isObserved: boolean
  readonly goesStale: boolean
  readonly error: Omit<CheckError, 'at'> | null
}

/** A state with the data that later cycles need, so that a rollout cannot hide a drift. */
export interface TrackedState extends State {
  /** The finding that alone decides the content, or null: the same finding then means the same content. */
  readonly decidedBy: Finding | null
  /** The paths that were proven to diverge and have not been seen healed since. */
  readonly proven: readonly string[]
  /** Since when it has been pending without a break, moved on by the time that nothing was seen; null when it is not. */
  readonly pendingSince: EpochMs | null
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

/** Adds the content to a state: that of the state before if they are equal. */
export function withContent<S extends Omit<State, 'content'>>(state: S, before: State | null): S & State {
  const { check, status, since, observedAt, staleAt, summary, differences, notes, fix } = state
  const error = state.error && { code: state.error.code, message: state.error.message }
  const present = { isObserved: observedAt !== null, goesStale: staleAt !== null }
  const content = { check, status, since, ...present, summary, differences, notes, fix, error }
  return { ...state, content: before && isDeepStrictEqual(content, before.content) ? before.content : content }
}

/** How long things may stay as they are. */
export interface StateLimits {
  readonly staleAfterMs: number
  /** Nothing stays pending longer without a break: `rolloutGrace` plus `maxDuration`. */
  readonly longestPendingMs: number
}

/** A check that has not been looked at. */
export function initialState(check: CheckKind, at: EpochMs): TrackedState {
  const state: Omit<TrackedState, 'content'> = {
    check,
    status: 'unknown',
    since: at,
    observedAt: null,
    staleAt: null,
    summary: 'nothing has been looked at yet',
    differences: [],
    notes: [],
    fix: null,
    error: { code: 'NOT_OBSERVED', message: 'the first cycle has not been completed', at },
    decidedBy: null,
    proven: [],
    pendingSince: null,
  }
  return withContent(state, null)
}

/** The state after a finding on what was looked at `observedAt`. */
export function recordFinding(
  before: TrackedState,
  judged: Finding,
  observedAt: EpochMs,
  limits: StateLimits,
): TrackedState {
  const staleAt = observedAt + limits.staleAfterMs
  if (judged === before.decidedBy) return { ...before, observedAt, staleAt }
  const spell = pendingSpell(before, observedAt)
  const finding = withoutHiding(
    { ...before, pendingSince: spell },
    sanitize(judged),
    observedAt,
    limits.longestPendingMs,
  )
  const { status, summary, differences, notes, fix, doubt, proven } = finding
  const state = {
    check: before.check,
    status,
    since: status === before.status ? before.since : observedAt,
    observedAt,
    staleAt,
    summary,
    differences,
    notes,
    fix,
    error: doubt && { ...doubt, at: observedAt },
    decidedBy: status === 'in_sync' && doubt === null ? judged : null,
    proven,
    pendingSince: pendingSince(spell, status, observedAt),
  }
  return withContent(state, before)
}

/** The state after a look that failed: the last finding stays until it is stale, with the error. */
export function recordFailure(before: TrackedState, failed: CheckError): TrackedState {
  const error = { ...failed, message: prose(failed.message) }
  const aged = { ...ageState(before, error.at), decidedBy: null, error }
  const isStale = aged.staleAt === null || error.at >= aged.staleAt
  return withContent(isStale ? { ...aged, summary: `could not look: ${error.message}` } : aged, before)
}

/** The state as it is to be believed at `now`: what was looked at too long ago is unknown. */
export function ageState(state: TrackedState, now: EpochMs): TrackedState {
  if (state.staleAt === null || now < state.staleAt || !claimsAnything(state)) return state
  const claimless = { ...state, decidedBy: null, differences: [], fix: null }
  if (state.status === 'unknown') return withContent({ ...claimless, notes: [] }, state)
  const { staleAt, observedAt } = state
  const message = `last looked at ${formatTime(observedAt ?? staleAt)}, which is too long ago to be believed`
  const aged = {
    ...claimless,
    status: 'unknown' as const,
    since: staleAt,
    summary: message,
    notes: [`before that it was ${state.status}: ${state.summary}`],
    error: state.error ?? { code: 'STALE' as const, message, at: staleAt },
  }
  return withContent(aged, state)
}

/** The state after the wall clock was set by `ms`: as old as before, by the new time. */
export function moveState(state: TrackedState, ms: number): TrackedState {
  const moved = <T extends EpochMs | null>(moment: T) => (moment === null ? moment : moment + ms) as T
  const after = {
    ...state,
    since: moved(state.since),
    observedAt: moved(state.observedAt),
    staleAt: moved(state.staleAt),
    pendingSince: moved(state.pendingSince),
    error: state.error && { ...state.error, at: moved(state.error.at) },
  }
  return withContent(after, state)
}

/** Whether there is something in the state that time makes unbelievable. */
export function claimsAnything({ status, differences, fix }: State): boolean {
  return status !== 'unknown' || differences.length > 0 || fix !== null
}

/** The transition from one state to the next, or null: the first finding is none, whatever looks failed before it. */
export function transitionOf(stack: string, before: TrackedState, after: TrackedState): Transition | null {
  if (before.status === after.status || before.observedAt === null) return null
  return {
    stack,
    check: after.check,
    from: before.status,
    to: after.status,
    since: after.since,
    differences: after.differences,
  }
}

/**
 * A pending finding may not hide what was proven before: it stays drifted while it holds a difference that was proven
 * and never healed, and it is drifted when it has been pending for too long. What is only doubted becomes unknown.
 */
function withoutHiding(before: TrackedState, finding: Finding, observedAt: EpochMs, longestPendingMs: number): Finding {
  if (finding.status === 'in_sync') return finding
  const paths = finding.differences.map(difference => difference.path)
  const unhealed = paths.filter(path => before.proven.includes(path))
  // What is in doubt has not been seen healed.
  const remembered = finding.doubt === null ? unhealed : before.proven
  const proven = [...new Set([...finding.proven, ...remembered])]
  if (finding.status !== 'pending') return { ...finding, proven }
  if (unhealed.length > 0)
    return insist(finding, 'drifted', proven, 'it had drifted before this rollout and has not been in sync since')
  if (finding.doubt !== null && proven.length > 0)
    return insist(finding, 'unknown', proven, 'it had drifted before this rollout, and cannot be seen now')
  if (before.pendingSince === null || observedAt - before.pendingSince <= longestPendingMs)
    return { ...finding, proven }
  const note = `it has been pending for longer than the ${formatDuration(longestPendingMs)} that rollouts explain`
  return paths.length > 0
    ? insist(finding, 'drifted', [...proven, ...paths], note)
    : insist(finding, 'unknown', proven, note)
}

function insist(finding: Finding, status: Status, proven: readonly string[], note: string): Finding {
  return { ...finding, status, proven, notes: [...finding.notes, note] }
}

/** When the pending spell began, had there been no blindness: being blind does not end it, and is not counted. */
function pendingSpell({ pendingSince, staleAt }: TrackedState, observedAt: EpochMs): EpochMs | null {
  if (pendingSince === null || staleAt === null || observedAt <= staleAt) return pendingSince
  return pendingSince + observedAt - staleAt
}

function pendingSince(spell: EpochMs | null, status: Status, observedAt: EpochMs): EpochMs | null {
  if (status === 'in_sync' || status === 'drifted') return null
  return spell ?? (status === 'pending' ? observedAt : null)
}
