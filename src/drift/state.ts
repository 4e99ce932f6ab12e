import { isDeepStrictEqual } from 'node:util'
import type { CheckKind } from '../checks/check.ts'
import type { Difference, Finding } from '../checks/finding.ts'
import type { Status } from '../checks/status.ts'
import { type EpochMs, formatTime } from '../clock.ts'
import { formatDuration } from '../duration.ts'
import type { ErrorCode } from '../errors.ts'
import { prose } from '../printable.ts'
import { type Identities, identify, isAbout, replacedSubjects, type Subjects } from './identity.ts'
import { sanitize } from './sanitize.ts'

/** The last probe that failed, or whose result proved nothing. */
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
  /** When the finding was observed; null before the first observation. */
  readonly observedAt: EpochMs | null
  /** When the observation becomes stale; null before the first one. */
  readonly staleAt: EpochMs | null
  readonly summary: string
  readonly differences: readonly Difference[]
  readonly notes: readonly string[]
  /** Commands that fix the differences, or null. */
  readonly fix: string | null
  /** The reason for the fix, or what to decide without one. */
  readonly advice: string | null
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
  /** The paths of differences that were proven and that no later observation showed as fixed. */
  readonly proven: readonly string[]
  /** When the current pending period began, not counting time without a valid observation; null outside of one. */
  readonly pendingSince: EpochMs | null
  /** The resources that were last observed. */
  readonly identities: Identities
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
  const { check, status, since, observedAt, staleAt, summary, differences, notes, fix, advice } = state
  const error = state.error && { code: state.error.code, message: state.error.message }
  const present = { isObserved: observedAt !== null, goesStale: staleAt !== null }
  const content = { check, status, since, ...present, summary, differences, notes, fix, advice, error }
  return { ...state, content: before && isDeepStrictEqual(content, before.content) ? before.content : content }
}

/** How long a state stays valid without new evidence. */
interface StateLimits {
  readonly staleAfterMs: number
  /** The longest pending period: `rolloutGrace` plus `maxDuration`. */
  readonly longestPendingMs: number
}

/** The state of a check before its first observation. */
export function initialState(check: CheckKind, at: EpochMs): TrackedState {
  const state = {
    check,
    status: 'unknown' as const,
    since: at,
    observedAt: null,
    staleAt: null,
    summary: 'No observation yet.',
    differences: [],
    notes: [],
    fix: null,
    advice: null,
    error: { code: 'NOT_OBSERVED' as const, message: 'the first cycle has not completed', at },
    decidedBy: null,
    proven: [],
    pendingSince: null,
    identities: {},
  }
  return withContent(state, null)
}

/** A finding from observations made at `observedAt`, judged at `at`. */
interface Judgement {
  readonly finding: Finding
  readonly observedAt: EpochMs
  /** Default: `observedAt`. */
  readonly at?: EpochMs
  /** What was observed. */
  readonly subjects?: Subjects
}

/** The state after a finding. If the finding is stale already, the state is unknown. */
export function recordFinding(last: TrackedState, judgement: Judgement, limits: StateLimits): TrackedState {
  const { finding, observedAt, at = observedAt, subjects = {} } = judgement
  // The same finding is the result of equal observations, of the same subjects.
  const before = finding === last.decidedBy ? last : identifyState(last, subjects, observedAt)
  const after = applyFinding(before, judgement, limits)
  const aged = ageState(after, at)
  if (aged === after) return after
  const since = before.status === 'unknown' ? before.since : at
  return withContent({ ...aged, since }, before)
}

function applyFinding(
  before: TrackedState,
  { finding: judged, observedAt }: Judgement,
  limits: StateLimits,
): TrackedState {
  const staleAt = observedAt + limits.staleAfterMs
  if (judged === before.decidedBy) return { ...before, observedAt, staleAt }
  const period = pendingPeriod(before, observedAt)
  const tracked = { ...before, pendingSince: period }
  const finding = withoutHiding(tracked, sanitize(judged), observedAt, limits.longestPendingMs)
  const { unknownReason, ...fields } = finding
  const { status } = fields
  const state = {
    ...before,
    ...fields,
    since: status === before.status ? before.since : observedAt,
    observedAt,
    staleAt,
    error: unknownReason && { ...unknownReason, at: observedAt },
    decidedBy: status === 'in_sync' && unknownReason === null ? judged : null,
    pendingSince: pendingSince(period, status, observedAt),
  }
  return withContent(state, before)
}

/** The state with a new remedy for its finding. Prose is made printable; commands are printable already. */
export function recordRemedy(before: TrackedState, { fix, advice }: Pick<State, 'fix' | 'advice'>): TrackedState {
  if (before.fix === fix && before.advice === advice) return before
  return withContent({ ...before, fix, advice: advice && prose(advice) }, before)
}

/** The state before a finding. What was recorded about a resource does not apply to another one of the same name. */
function identifyState(last: TrackedState, subjects: Subjects, observedAt: EpochMs): TrackedState {
  const identities = identify(last.identities, subjects)
  const replaced = replacedSubjects(last.identities, identities)
  if (replaced.length === 0) return { ...last, identities }
  const proven = last.proven.filter(path => !isAbout(path, replaced, identities))
  return { ...last, identities, since: observedAt, proven, pendingSince: null }
}

/** The state after a failed probe: the last finding with the error, until that finding is stale. */
export function recordFailure(before: TrackedState, failed: CheckError): TrackedState {
  const error = { ...failed, message: prose(failed.message) }
  const aged = { ...ageState(before, error.at), decidedBy: null, error }
  const isStale = aged.staleAt === null || error.at >= aged.staleAt
  return withContent(isStale ? { ...aged, summary: `The probe failed: ${endSentence(error.message)}` } : aged, before)
}

function endSentence(text: string): string {
  return text.endsWith('.') ? text : `${text}.`
}

/** The state after the labels of its stack were removed: unknown, because nothing is observed any more. */
export function recordLabelRemoved(before: TrackedState, service: string, at: EpochMs): TrackedState {
  const message = `service ${service} exists, but its labels no longer name this stack`
  const state = {
    ...before,
    status: 'unknown' as const,
    since: before.status === 'unknown' ? before.since : at,
    summary: `The check ended because labels were removed: ${message}.`,
    differences: [],
    notes: [`Previous status: ${before.status}. ${before.summary}`],
    fix: null,
    advice: 'Restore the labels, or set driftwatch-role=off on the service to stop monitoring it.',
    error: { code: 'LABEL_REMOVED' as const, message, at },
    decidedBy: null,
  }
  return withContent(state, before)
}

/** The state at `now`: unknown if its observation is stale. */
export function ageState(state: TrackedState, now: EpochMs): TrackedState {
  if (state.staleAt === null || now < state.staleAt || !canGoStale(state)) return state
  const empty = { ...state, decidedBy: null, differences: [], fix: null, advice: null }
  if (state.status === 'unknown') return withContent({ ...empty, notes: [] }, state)
  const { staleAt, observedAt } = state
  const aged = {
    ...empty,
    status: 'unknown' as const,
    since: staleAt,
    summary: `The last observation is stale. It was made at ${formatTime(observedAt ?? staleAt)}.`,
    notes: [`Previous status: ${state.status}. ${state.summary}`, ...state.notes],
    error: state.error ?? { code: 'STALE' as const, message: 'the last observation is stale', at: staleAt },
  }
  return withContent(aged, state)
}

/** The state after the wall clock was set by `ms`: all its times move along. */
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

/** Whether anything in the state becomes invalid with time. */
export function canGoStale({ status, differences, fix }: State): boolean {
  return status !== 'unknown' || differences.length > 0 || fix !== null
}

/** The transition from one state to the next, or null. The first finding of a check is not a transition. */
export function transitionOf(stack: string, before: TrackedState, after: TrackedState): Transition | null {
  if (before.status === after.status || before.observedAt === null) return null
  const { check, status, since, differences } = after
  return { stack, check, from: before.status, to: status, since, differences }
}

/**
 * A rollout must not hide a drift. A pending finding counts as drifted while it contains a difference that was proven
 * earlier and not fixed since, and after the longest pending period. Without proof it counts as unknown.
 */
function withoutHiding(before: TrackedState, finding: Finding, observedAt: EpochMs, longestPendingMs: number): Finding {
  if (finding.status === 'in_sync') return finding
  const paths = finding.differences.map(difference => difference.path)
  const unfixed = paths.filter(path => before.proven.includes(path))
  // A finding that is partly unknown does not prove that anything was fixed.
  const remembered = finding.unknownReason === null ? unfixed : before.proven
  const proven = [...new Set([...finding.proven, ...remembered])]
  if (finding.status !== 'pending') return { ...finding, proven }
  if (unfixed.length > 0)
    return override(finding, 'drifted', proven, 'The check drifted before this rollout and has not been in sync since.')
  if (finding.unknownReason !== null && proven.length > 0)
    return override(finding, 'unknown', proven, 'The check drifted before this rollout and cannot be verified now.')
  if (before.pendingSince === null || observedAt - before.pendingSince <= longestPendingMs)
    return { ...finding, proven }
  const note = `The check has been pending for longer than ${formatDuration(longestPendingMs)}, the limit for a rollout.`
  return paths.length > 0
    ? override(finding, 'drifted', [...proven, ...paths], note)
    : override(finding, 'unknown', proven, note)
}

function override(finding: Finding, status: Status, proven: readonly string[], note: string): Finding {
  return { ...finding, status, proven, notes: [...finding.notes, note] }
}

/** When the pending period began, moved forward by the time in which the last observation was stale. */
function pendingPeriod({ pendingSince, staleAt }: TrackedState, observedAt: EpochMs): EpochMs | null {
  if (pendingSince === null || staleAt === null || observedAt <= staleAt) return pendingSince
  return pendingSince + observedAt - staleAt
}

function pendingSince(period: EpochMs | null, status: Status, observedAt: EpochMs): EpochMs | null {
  if (status === 'in_sync' || status === 'drifted') return null
  return period ?? (status === 'pending' ? observedAt : null)
}
