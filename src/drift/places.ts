import type { Status } from '../checks/status.ts'
import type { EpochMs } from '../clock.ts'
import type { CheckError } from './state.ts'

/** A problem with the labels that name a stack. */
export interface LabelProblem {
  /** The stack that the labels name. */
  readonly stack: string
  /** Which resources are affected, and what they need. */
  readonly message: string
}

/** The result of discovery in one project and region. */
export interface PlaceState {
  readonly project: string
  readonly region: string
  /** When its services and jobs were last listed completely; null before the first time. */
  readonly observedAt: EpochMs | null
  /** When that list becomes stale. */
  readonly staleAt: EpochMs | null
  /** Why the last listing failed; null if it succeeded. */
  readonly error: CheckError | null
  /** Problems with its labels: the stacks that they name may not be monitored. */
  readonly problems: readonly LabelProblem[]
  /** How many stacks were discovered here. */
  readonly stacks: number
}

/** In sync only if the list is complete, not stale, and without problems: otherwise stacks may be missing. */
export function placeStatus({ staleAt, problems }: PlaceState, now: EpochMs): Extract<Status, 'in_sync' | 'unknown'> {
  return staleAt !== null && now < staleAt && problems.length === 0 ? 'in_sync' : 'unknown'
}

/** A place before its first listing. */
export function unlistedPlace({ project, region }: Pick<PlaceState, 'project' | 'region'>): PlaceState {
  return { project, region, observedAt: null, staleAt: null, error: null, problems: [], stacks: 0 }
}

/** The first place that was never listed, or null. */
export function neverListed(places: readonly PlaceState[] | null): PlaceState | null {
  return places?.find(({ observedAt }) => observedAt === null) ?? null
}

/** Whether a stack that is not monitored certainly no longer exists: the last listing of each place succeeded, and no label names it. */
export function isKnownGone(places: readonly PlaceState[] | null, stack: string): boolean {
  return (places ?? []).every(
    ({ observedAt, error, problems }) =>
      observedAt !== null && error === null && problems.every(problem => problem.stack !== stack),
  )
}

/** The place after the wall clock was set by `ms`: all its times move along. */
export function movePlace(place: PlaceState, ms: number): PlaceState {
  const { observedAt, staleAt, error } = place
  return {
    ...place,
    observedAt: observedAt === null ? null : observedAt + ms,
    staleAt: staleAt === null ? null : staleAt + ms,
    error: error && { ...error, at: error.at + ms },
  }
}
