import type { Check, CheckKind } from '../checks/check.ts'
import type { Clock } from '../clock.ts'
import type { TimeSlices } from '../concurrency/time-slices.ts'
import type { Config, Stack } from '../config/config.ts'
import { type Subjects, subjectsOf } from '../drift/identity.ts'
import type { Outcome } from '../drift/store.ts'
import { asDriftwatchError } from '../errors.ts'
import type { Log } from '../log.ts'
import { type ObserveOptions, observe, type ProbeResult } from '../probes/observe.ts'
import type { Observed, Probe, ProbeKind } from '../probes/probe.ts'
import type { Judge } from './judge.ts'

/** How to observe and judge the stacks of one cycle. */
export interface ObservingOptions extends JudgingOptions {
  readonly probes: readonly Probe<ProbeKind>[]
  readonly observeOptions: ObserveOptions
}

export interface JudgingOptions {
  readonly config: Config
  readonly clock: Clock
  readonly log: Log
  readonly judge: Judge
  readonly timeSlices: TimeSlices
}

/** What a cycle knows about a stack. */
export interface ObservedStack {
  readonly results: readonly ProbeResult<ProbeKind>[]
  readonly outcomes: readonly (readonly [CheckKind, Outcome])[]
}

/** Runs the probes that the checks need, and judges the checks. Never rejects. */
export async function observeStack(
  stack: Stack,
  checks: readonly Check[],
  options: ObservingOptions,
): Promise<ObservedStack> {
  const results = await runProbes(stack, checks, options)
  return { results, outcomes: await judgeStack(stack, checks, results, options) }
}

/** Runs the probes that the checks need. Never rejects. */
export function runProbes(
  stack: Stack,
  checks: readonly Check[],
  { probes, observeOptions }: Pick<ObservingOptions, 'probes' | 'observeOptions'>,
): Promise<readonly ProbeResult<ProbeKind>[]> {
  const needed = probes.filter(({ kind }) => checks.some(check => dependsOn(check, kind)))
  return Promise.all(needed.map(probe => observe(probe, stack, observeOptions)))
}

/** Judges checks one after another. Never rejects. */
export async function judgeStack(
  stack: Stack,
  checks: readonly Check[],
  results: readonly ProbeResult<ProbeKind>[],
  options: JudgingOptions,
): Promise<ObservedStack['outcomes']> {
  const outcomes: [CheckKind, Outcome][] = []
  for (const check of checks) outcomes.push([check.kind, await judgeResults(check, stack, results, options)])
  return outcomes
}

/** Never mixes observations of different cycles: every probe that the check needs must have answered in this one. */
async function judgeResults(
  check: Check,
  stack: Stack,
  results: readonly ProbeResult<ProbeKind>[],
  { config, clock, log, judge, timeSlices }: JudgingOptions,
): Promise<Outcome> {
  const now = clock.now()
  const observed: Partial<Record<ProbeKind, unknown>> = {}
  let observedAt = Number.POSITIVE_INFINITY
  for (const result of results) {
    if (!dependsOn(check, result.kind)) continue
    if (result.outcome === 'answered') {
      observed[result.kind] = result.value
      observedAt = Math.min(observedAt, result.asOf)
    } else if (check.needs.includes(result.kind)) {
      const { code, message } = result.error
      return { kind: 'failure', error: { code, message, at: result.at } }
    }
  }
  try {
    const finding = await judge(check, { stack, config, observed: observed as Observed, observedAt }, timeSlices)
    const subjects = subjectsOf(check.needs, observedSubjects(results))
    return { kind: 'finding', finding, observedAt, at: now, subjects }
  } catch (thrown) {
    const error = asDriftwatchError(thrown)
    log.error({ err: thrown, stack: stack.name, check: check.kind }, 'check failed')
    return { kind: 'failure', error: { code: error.code, message: error.message, at: now } }
  }
}

/** What was observed of a stack, also for checks that depend on it indirectly. */
function observedSubjects(results: readonly ProbeResult<ProbeKind>[]): Subjects {
  const answerOf = <K extends ProbeKind>(kind: K) => {
    const result = results.find(each => each.kind === kind)
    return result?.outcome === 'answered' ? { ...result, value: result.value as Observed[K] } : null
  }
  return {
    service: answerOf('service')?.value?.service ?? null,
    job: answerOf('job')?.value ?? null,
    database: answerOf('postgres-catalog')?.subject ?? null,
  }
}

function dependsOn({ needs, uses }: Check, kind: ProbeKind): boolean {
  return needs.includes(kind) || (uses?.includes(kind) ?? false)
}
