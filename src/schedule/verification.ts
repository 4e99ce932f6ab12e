import { isDeepStrictEqual } from 'node:util'
import type { CheckKind } from '../checks/check.ts'
import type { Finding } from '../checks/finding.ts'
import type { Clock, EpochMs } from '../clock.ts'
import type { Config, Stack } from '../config/config.ts'
import { usualGapMs } from '../config/schedule-gap.ts'
import type { ObservedStack } from './observe-stack.ts'

/** Decides which stacks a cycle verifies, and remembers the last verification and the last findings of each stack. */
export interface Verification {
  /**
   * The stacks to verify now. Every stack is due once in `verifyEvery`, as far as the quota allows. The first observation
   * of a stack counts as a verification. The stacks are spread over the cycles.
   */
  takeDue(stacks: readonly Stack[], config: Config): ReadonlySet<Stack>
  verified(stack: Stack): void
  /** Records the findings of a cycle. */
  judged(stack: Stack, outcomes: ObservedStack['outcomes']): void
  /** The finding of the cycle before; null if there is none. */
  lastFinding(stack: Stack, check: CheckKind): Finding | null
  /** The oldest of the latest verifications of all stacks; null without stacks. */
  oldest(): EpochMs | null
  /** Moves all times by `ms`, after the wall clock was set by as much. */
  clockSet(ms: number): void
}

/** How many calls a place allows beyond its ordinary observations. */
export type SpareCalls = (resource: string) => number

interface Entry {
  /** When the stack was verified. */
  verifiedAt: EpochMs
  /** When the last verification began, on the monotonic clock. */
  takenAt: number
  /** The share of the period after which the stack is due. Stacks that are new together are not due together. */
  share: number
}

/** The calls to Cloud Run that a verification costs: service, job, execution and revision. */
const callsPerStack = 4

export function createVerification(clock: Clock, spareCalls: SpareCalls): Verification {
  let entries = new Map<string, Entry>()
  const findings = new WeakMap<Stack, Map<CheckKind, Finding>>()
  const periodOf = createPeriod()
  let lastCycleAt = clock.monotonic()

  function watch(stacks: readonly Stack[], now: number): void {
    const added = stacks.filter(({ name }) => !entries.has(name))
    const initial = new Map(
      added.map(({ name }, at) => [
        name,
        { verifiedAt: clock.now(), takenAt: now, share: (at + 1) / added.length } satisfies Entry,
      ]),
    )
    entries = new Map(stacks.map(({ name }) => [name, entries.get(name) ?? (initial.get(name) as Entry)]))
  }

  return {
    takeDue(stacks, config) {
      const now = clock.monotonic()
      watch(stacks, now)
      const { gapMs, periodMs } = periodOf(config)
      // Cycles on request follow each other quickly, and leave the verifications to the scheduled ones.
      if (now - lastCycleAt < gapMs / 2) return new Set()
      const most = Math.ceil((stacks.length * (now - lastCycleAt)) / periodMs)
      lastCycleAt = now
      const due = stacks
        .map(stack => ({ stack, entry: entries.get(stack.name) as Entry }))
        .map(each => ({ ...each, dueAt: each.entry.takenAt + each.entry.share * periodMs }))
        .filter(({ dueAt }) => dueAt <= now)
        .sort((one, other) => one.dueAt - other.dueAt)
      const taken = takeWithinQuota(due, most, spareCalls)
      for (const { entry } of taken) Object.assign(entry, { takenAt: now, share: 1 })
      return new Set(taken.map(({ stack }) => stack))
    },
    verified({ name }) {
      const entry = entries.get(name)
      if (entry) entry.verifiedAt = clock.now()
    },
    judged(stack, outcomes) {
      const known = findings.get(stack) ?? new Map<CheckKind, Finding>()
      findings.set(stack, known)
      for (const [check, outcome] of outcomes) if (outcome.kind === 'finding') known.set(check, outcome.finding)
    },
    lastFinding: (stack, check) => findings.get(stack)?.get(check) ?? null,
    oldest() {
      const times = [...entries.values()].map(({ verifiedAt }) => verifiedAt)
      return times.length === 0 ? null : times.reduce((least, time) => Math.min(least, time))
    },
    clockSet(ms) {
      for (const entry of entries.values()) entry.verifiedAt += ms
    },
  }
}

/** The first `most` stacks for which their place allows calls. */
function takeWithinQuota<T extends { readonly stack: Stack }>(
  due: readonly T[],
  most: number,
  spareCalls: SpareCalls,
): T[] {
  const spare = new Map<string, number>()
  const taken: T[] = []
  for (const each of due) {
    if (taken.length >= most) break
    const place = `projects/${each.stack.project}/locations/${each.stack.region}`
    const left = spare.get(place) ?? spareCalls(place)
    spare.set(place, left < callsPerStack ? left : left - callsPerStack)
    if (left >= callsPerStack) taken.push(each)
  }
  return taken
}

/** A stack is due in the cycle that is nearest to the end of `verifyEvery`. */
function createPeriod(): (config: Config) => { readonly gapMs: number; readonly periodMs: number } {
  let known: { readonly schedule: string; readonly gapMs: number } | null = null
  return ({ schedule, verifyEveryMs }) => {
    if (known?.schedule !== schedule) known = { schedule, gapMs: usualGapMs(schedule) }
    const { gapMs } = known
    return { gapMs, periodMs: Math.max(0, verifyEveryMs - gapMs / 2) }
  }
}

/** Whether two findings have the same status and the same differences. */
export function isSameVerdict(one: Finding, other: Finding): boolean {
  return one.status === other.status && isDeepStrictEqual(one.differences, other.differences)
}

/** Likewise, except for values, which can change with the time. */
export function isSimilarVerdict(one: Finding, other: Finding): boolean {
  const paths = ({ differences }: Finding) => differences.map(({ path }) => path)
  return one.status === other.status && isDeepStrictEqual(paths(one), paths(other))
}
