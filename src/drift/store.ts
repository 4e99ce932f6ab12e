import { isDeepStrictEqual } from 'node:util'
import type { Check, CheckKind } from '../checks/check.ts'
import type { Finding } from '../checks/finding.ts'
import { type EpochMs, formatTime } from '../clock.ts'
import type { Config, Stack } from '../config/config.ts'
import type { ConfigState } from '../config/config-source.ts'
import type { ProbeKind } from '../probes/probe.ts'
import type { Subjects } from './identity.ts'
import { type LabelProblem, movePlace, type PlaceState, unlistedPlace } from './places.ts'
import {
  ageState,
  type CheckError,
  canGoStale,
  initialState,
  moveState,
  recordFailure,
  recordFinding,
  recordLabelRemoved,
  recordRemedy,
  type State,
  type StateContent,
  type TrackedState,
  type Transition,
  transitionOf,
} from './state.ts'

/** A stack with the states of its checks, in the order of `checks/checks.ts`. */
export interface StackStates {
  readonly name: string
  readonly project: string
  readonly region: string
  readonly service: string
  /** Null if the stack has no migration job. */
  readonly job: string | null
  /** Problems with the labels that name the stack. */
  readonly problems: readonly string[]
  readonly states: readonly State[]
  readonly content: StackContent
}

/** A stack with its states without the times of the cycle. Stacks that differ only in these times share one object. */
type StackContent = Omit<StackStates, 'states' | 'content'> & { readonly states: readonly StateContent[] }

/** Adds the content to a stack: the content before if they are equal. */
export function withStackContent(stack: Omit<StackStates, 'content'>, before: StackContent | null): StackStates {
  const { name, project, region, service, job, problems, states } = stack
  const content = { name, project, region, service, job, problems, states: states.map(state => state.content) }
  return { ...stack, content: before && isDeepStrictEqual(content, before) ? before : content }
}

/** The last completed cycle. */
export interface CycleSummary {
  readonly id: number
  readonly startedAt: EpochMs
  readonly durationMs: number
}

/** All states at one moment: the source of reports, metrics and alerts. */
export interface Snapshot {
  readonly takenAt: EpochMs
  /** Null before the first cycle has completed. */
  readonly cycle: CycleSummary | null
  /** Null without discovery. */
  readonly discovery: readonly PlaceState[] | null
  /** Null if the config file is not watched for changes. */
  readonly config: ConfigState | null
  /** Which places have fewer stacks than the configuration requires; null if none. */
  readonly tooFewStacks: string | null
  /** What a reader should know although it affects no status. */
  readonly notes: readonly string[]
  /** Stacks with at least one check. */
  readonly stacks: readonly StackStates[]
}

/** The result of one check in one cycle. */
export type Outcome =
  | {
      readonly kind: 'finding'
      readonly finding: Finding
      /** How old the data is. */
      readonly observedAt: EpochMs
      /** When it was judged. Default: `observedAt`. */
      readonly at?: EpochMs
      /** What was observed. */
      readonly subjects?: Subjects
    }
  | { readonly kind: 'failure'; readonly error: CheckError }

/** The monitored stacks, and their config. */
export interface Watched {
  readonly config: Config
  readonly stacks: readonly Stack[]
  readonly places: readonly PlaceState[] | null
  /** Discovered stacks whose labels were removed within the last day while their service exists. */
  readonly unlabelled: readonly { readonly stack: Stack; readonly since: EpochMs }[]
  readonly tooFewStacks: string | null
}

type Remedies = ReadonlyMap<CheckKind, Pick<State, 'fix' | 'advice'>>

/** The states of all checks, in memory. */
export interface Store {
  /**
   * Replaces the monitored stacks. A check whose subjects are unchanged keeps its state. A
   * stack that lost its labels stays as unknown if it was not in sync. Returns these changes of status.
   */
  watch(watched: Watched, now: EpochMs): Transition[]
  /** The oldest observation of a stack's checks; 0 if one of them has none. */
  observedAt(stack: string): EpochMs
  /** Records the result of a check; returns the change of status, or null. */
  record(stack: string, check: CheckKind, outcome: Outcome): Transition | null
  /** Sets what fixes the differences of each check of a stack, decided from all its states. */
  remedy(stack: string, decide: (states: ReadonlyMap<CheckKind, TrackedState>) => Remedies): void
  /** Sets stale states to unknown; returns these changes of status. */
  age(now: EpochMs): Transition[]
  /** Moves all times by `ms`, after the wall clock was set by as much. */
  clockSet(ms: number): void
  cycleCompleted(cycle: CycleSummary): void
  configRead(state: ConfigState): void
  /** All states at `now`. */
  snapshot(now: EpochMs): Snapshot
  /** When the next state or place becomes stale after `now`, or null. */
  nextStaleAt(now: EpochMs): EpochMs | null
}

/** `checksOf` returns the checks of a stack. The store starts with the stacks that the config lists. */
export function createStore(config: Config, checksOf: (stack: Stack) => readonly Check[], startedAt: EpochMs): Store {
  let limits = config
  let places: readonly PlaceState[] | null = config.discover?.places.map(unlistedPlace) ?? null
  let tooFewStacks: string | null = null
  let notes: readonly string[] = []
  let stacks = track(config.stacks, new Map(), startedAt)
  let cycle: CycleSummary | null = null
  let configState: ConfigState | null = null

  function track(watched: readonly Stack[], before: TrackedStacks, at: EpochMs): TrackedStacks {
    return new Map(watched.map(stack => [stack.name, trackStack(stack, checksOf, before.get(stack.name), at)]))
  }

  return {
    watch(watched, now) {
      limits = watched.config
      places = watched.places
      tooFewStacks = watched.tooFewStacks
      const before = stacks
      const kept = watched.unlabelled.flatMap(({ stack, since }) => {
        const tracked = before.get(stack.name)
        return tracked && isNotInSync(tracked) ? [{ tracked, since }] : []
      })
      const left = watched.unlabelled.filter(({ stack }) =>
        kept.every(({ tracked }) => tracked.stack.name !== stack.name),
      )
      notes = left.map(({ stack, since }) => noteThatLeft(stack, since))
      stacks = new Map([
        ...track(watched.stacks, before, now),
        ...kept.map(({ tracked }) => [tracked.stack.name, tracked] as const),
      ])
      return kept.flatMap(({ tracked, since }) => endByLabel(tracked, since))
    },
    observedAt(stack) {
      const states = [...(stacks.get(stack)?.states.values() ?? [])]
      return Math.min(...states.map(({ observedAt }) => observedAt ?? 0))
    },
    record(stackName, check, outcome) {
      const tracked = stacks.get(stackName)
      const before = tracked?.states.get(check)
      if (!tracked || !before) return null
      const after = advance(before, outcome, tracked.stack, limits)
      tracked.states.set(check, after)
      return transitionOf(stackName, before, after)
    },
    remedy(stackName, decide) {
      const states = stacks.get(stackName)?.states
      if (!states || ![...states.values()].some(needsRemedy)) return
      for (const [check, remedy] of decide(states)) {
        const before = states.get(check)
        if (before) states.set(check, recordRemedy(before, remedy))
      }
    },
    age(now) {
      return [...stacks.values()].flatMap(tracked => ageStack(tracked, now))
    },
    clockSet(ms) {
      for (const { states } of stacks.values()) {
        for (const [check, state] of states) states.set(check, moveState(state, ms))
      }
      places = places?.map(place => movePlace(place, ms)) ?? null
      cycle = cycle && { ...cycle, startedAt: cycle.startedAt + ms }
    },
    cycleCompleted(completed) {
      cycle = completed
    },
    configRead(state) {
      configState = state
    },
    snapshot(now) {
      const problems = Map.groupBy(places?.flatMap(place => place.problems) ?? [], ({ stack }) => stack)
      const shown = [...stacks.values()]
        .filter(({ states }) => states.size > 0)
        .map(tracked => stackStates(tracked, problems, now))
      return { takenAt: now, cycle, discovery: places, config: configState, tooFewStacks, notes, stacks: shown }
    },
    nextStaleAt(now) {
      let next = Number.POSITIVE_INFINITY
      for (const { states } of stacks.values()) {
        for (const state of states.values()) if (canGoStale(state)) next = Math.min(next, state.staleAt ?? next)
      }
      for (const { staleAt } of places ?? []) if (staleAt !== null && staleAt > now) next = Math.min(next, staleAt)
      return Number.isFinite(next) ? next : null
    },
  }
}

type TrackedStacks = ReadonlyMap<string, TrackedStack>

interface TrackedStack {
  readonly stack: Stack
  readonly states: Map<CheckKind, TrackedState>
  /** The content of the last snapshot. */
  content: StackContent | null
}

function trackStack(
  stack: Stack,
  checksOf: (stack: Stack) => readonly Check[],
  before: TrackedStack | undefined,
  at: EpochMs,
): TrackedStack {
  if (before?.stack === stack) return before
  const states = checksOf(stack).map(check => {
    const known = before && subjectOf(before.stack, check) === subjectOf(stack, check) ? before.states : null
    return [check.kind, known?.get(check.kind) ?? initialState(check.kind, at)] as const
  })
  return { stack, states: new Map(states), content: before?.content ?? null }
}

/** The subjects of a check: when they change, its previous state no longer applies. */
function subjectOf({ project, region, service, job, database, httpContract }: Stack, { needs }: Check): string {
  const subjects: Partial<Record<ProbeKind, unknown>> = {
    job: job?.name,
    execution: job?.name,
    'postgres-catalog': database?.url.reveal(),
    http: httpContract?.url,
  }
  return JSON.stringify([project, region, service.name, ...needs.map(kind => subjects[kind] ?? null)])
}

function advance(before: TrackedState, outcome: Outcome, stack: Stack, config: Config): TrackedState {
  if (outcome.kind === 'failure') return recordFailure(before, outcome.error)
  return recordFinding(before, outcome, {
    staleAfterMs: config.staleAfterMs,
    longestPendingMs: config.rolloutGraceMs + (stack.job?.maxDurationMs ?? 0),
  })
}

/** Whether a state has differences to fix, or a remedy of earlier ones. */
function needsRemedy({ status, fix, advice }: State): boolean {
  return status === 'drifted' || fix !== null || advice !== null
}

function isNotInSync({ states }: TrackedStack): boolean {
  return [...states.values()].some(({ status }) => status !== 'in_sync')
}

function noteThatLeft({ name }: Stack, since: EpochMs): string {
  return `Stack ${name} is no longer watched: it was in sync, and at ${formatTime(since)} its labels were gone.`
}

/** Ends the checks of a stack without labels, once. */
function endByLabel({ stack, states }: TrackedStack, since: EpochMs): Transition[] {
  return [...states.values()].flatMap(before => {
    if (before.error?.code === 'LABEL_REMOVED') return []
    const after = recordLabelRemoved(before, stack.service.name, since)
    states.set(after.check, after)
    return transitionOf(stack.name, before, after) ?? []
  })
}

function ageStack({ stack, states }: TrackedStack, now: EpochMs): Transition[] {
  return [...states.values()].flatMap(before => {
    const after = ageState(before, now)
    states.set(after.check, after)
    return transitionOf(stack.name, before, after) ?? []
  })
}

function stackStates(
  tracked: TrackedStack,
  problemsOf: ReadonlyMap<string, readonly LabelProblem[]>,
  now: EpochMs,
): StackStates {
  const { name, project, region, service, job } = tracked.stack
  const problems = problemsOf.get(name)?.map(({ message }) => message) ?? []
  const states = [...tracked.states.values()].map(state => ageState(state, now))
  const fields = { name, project, region, service: service.name, job: job?.name ?? null, problems, states }
  const shown = withStackContent(fields, tracked.content)
  tracked.content = shown.content
  return shown
}
