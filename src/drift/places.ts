import type { Status } from '../checks/status.ts'
import type { EpochMs } from '../clock.ts'
import type { CheckError } from './state.ts'

/** What is wrong with labels that name a stack. */
export interface LabelProblem {
  /** The stack that they name. */
  readonly stack: string
  /** A sentence: which resources, and what they need. */
  readonly message: string
}

/** What is known of the stacks of one project and region. */
export interface PlaceState {
  readonly project: string
  readonly region: string
  /** When its services and jobs were last listed to the end; null before the first time. */
  readonly observedAt: EpochMs | null
  /** When that becomes too old to be believed. */
  readonly staleAt: EpochMs | null
  /** What kept it from being listed the last time, or null. */
  readonly error: CheckError | null
  /** What is wrong with its labels: a stack that they mean may not be watched. */
  readonly problems: readonly LabelProblem[]
  /** How many stacks are watched because of its labels. */
  readonly stacks: number
}

/** What was found may be all there is only where everything could be listed and every label is understood. */
export function placeStatus({ staleAt, problems }: PlaceState, now: EpochMs): Extract<Status, 'in_sync' | 'unknown'> {
  return staleAt !== null && now < staleAt && problems.length === 0 ? 'in_sync' : 'unknown'
}

/** What is known of a place before it was listed. */
export function unlistedPlace({ project, region }: Pick<PlaceState, 'project' | 'region'>): PlaceState {
  return { project, region, observedAt: null, staleAt: null, error: null, problems: [], stacks: 0 }
}

/** The first place whose stacks are not known, since it was never listed; null where they all are. */
export function neverListed(places: readonly PlaceState[] | null): PlaceState | null {
  return places?.find(({ observedAt }) => observedAt === null) ?? null
}

/** Whether a stack that is not watched is known to be gone: every place was listed just now, and no label names it. */
export function isKnownGone(places: readonly PlaceState[] | null, stack: string): boolean {
  return (places ?? []).every(
    ({ observedAt, error, problems }) =>
      observedAt !== null && error === null && problems.every(problem => problem.stack !== stack),
  )
}

/** What is known of a place when the wall clock was set by `ms`. */
export function movePlace(place: PlaceState, ms: number): PlaceState {
  const { observedAt, staleAt, error } = place
  return {
    ...place,
    observedAt: observedAt === null ? null : observedAt + ms,
    staleAt: staleAt === null ? null : staleAt + ms,
    error: error && { ...error, at: error.at + ms },
  }
}
