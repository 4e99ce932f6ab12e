import type { Check, CheckKind } from '../checks/check.ts'
import type { Finding } from '../checks/finding.ts'
import type { EpochMs } from '../clock.ts'
import type { Config, Stack } from '../config/schema.ts'
import {
  ageState,
  claimsAnything,
  type FailedLook,
  initialState,
  moveState,
  recordFailure,
  recordFinding,
  type State,
  type TrackedState,
  type Transition,
  transitionOf,
} from './state.ts'

/** One stack with the states of its checks, in the order of the list of checks. */
export interface StackStates {
  readonly name: string
  readonly project: string
  readonly region: string
  readonly service: string
  /** Null where the stack has no migration job. */
  readonly job: string | null
  readonly states: readonly State[]
}

/** The last completed cycle. */
export interface CycleSummary {
  readonly id: number
  readonly startedAt: EpochMs
  readonly durationMs: number
}

/** Everything that is known at one moment: what reports, metrics and alerts are made of. */
export interface Snapshot {
  readonly takenAt: EpochMs
  /** Null before the first cycle has completed. */
  readonly cycle: CycleSummary | null
  readonly stacks: readonly StackStates[]
}

/** What came of judging one check in one cycle. */
export type Outcome =
  | { readonly kind: 'finding'; readonly finding: Finding; readonly observedAt: EpochMs }
  | { readonly kind: 'failure'; readonly error: FailedLook }

/** The states of every check of every stack, in memory. */
export interface Store {
  /** Records what came of a check; returns the change of status, or null. */
  record(stack: string, check: CheckKind, outcome: Outcome): Transition | null
  /** Turns what is too old to be believed at `now` unknown; returns these changes of status. */
  age(now: EpochMs): Transition[]
  /** The wall clock was set by `ms`: everything that is known stays as old as it is. */
  clockSet(ms: number): void
  cycleCompleted(cycle: CycleSummary): void
  /** What is to be believed at `now`. */
  snapshot(now: EpochMs): Snapshot
  /** When the next state goes stale, or null where none will. */
  nextStaleAt(): EpochMs | null
}

/** `checksOf` gives the checks of a stack that are judged. */
export function createStore(config: Config, checksOf: (stack: Stack) => readonly Check[], startedAt: EpochMs): Store {
  const stacks = new Map(config.stacks.map(stack => [stack.name, trackStack(stack, checksOf(stack), startedAt)]))
  let cycle: CycleSummary | null = null
  return {
    record(stackName, check, outcome) {
      const tracked = stacks.get(stackName)
      const before = tracked?.states.get(check)
      if (!tracked || !before) return null
      const after = advance(before, outcome, tracked.stack, config)
      tracked.states.set(check, after)
      return transitionOf(stackName, before, after)
    },
    age(now) {
      return [...stacks.values()].flatMap(tracked => ageStack(tracked, now))
    },
    clockSet(ms) {
      for (const { states } of stacks.values()) {
        for (const [check, state] of states) states.set(check, moveState(state, ms))
      }
      cycle = cycle && { ...cycle, startedAt: cycle.startedAt + ms }
    },
    cycleCompleted(completed) {
      cycle = completed
    },
    snapshot(now) {
      return { takenAt: now, cycle, stacks: [...stacks.values()].map(tracked => stackStates(tracked, now)) }
    },
    nextStaleAt() {
      const believed = [...stacks.values()].flatMap(({ states }) => [...states.values()].filter(claimsAnything))
      return believed.reduce<EpochMs | null>(
        (next, { staleAt }) => (staleAt !== null && (next === null || staleAt < next) ? staleAt : next),
        null,
      )
    },
  }
}

interface TrackedStack {
  readonly stack: Stack
  readonly states: Map<CheckKind, TrackedState>
}

function trackStack(stack: Stack, checks: readonly Check[], at: EpochMs): TrackedStack {
  return { stack, states: new Map(checks.map(check => [check.kind, initialState(check.kind, at)])) }
}

function advance(before: TrackedState, outcome: Outcome, stack: Stack, config: Config): TrackedState {
  if (outcome.kind === 'failure') return recordFailure(before, outcome.error)
  return recordFinding(before, outcome.finding, outcome.observedAt, {
    staleAfterMs: config.staleAfterMs,
    longestPendingMs: config.rolloutGraceMs + (stack.job?.maxDurationMs ?? 0),
  })
}

function ageStack({ stack, states }: TrackedStack, now: EpochMs): Transition[] {
  return [...states.values()].flatMap(before => {
    const after = ageState(before, now)
    states.set(after.check, after)
    return transitionOf(stack.name, before, after) ?? []
  })
}

function stackStates({ stack, states }: TrackedStack, now: EpochMs): StackStates {
  return {
    name: stack.name,
    project: stack.project,
    region: stack.region,
    service: stack.service.name,
    job: stack.job?.name ?? null,
    states: [...states.values()].map(state => ageState(state, now)),
  }
}
