import type { Check, CheckKind } from '../checks/check.ts'
import type { CloudRunReader } from '../clients/cloud-run/cloud-run-reader.ts'
import { type Clock, formatTime } from '../clock.ts'
import { startDeadline, withDeadline } from '../concurrency/deadline.ts'
import { startEventLoopMonitor } from '../concurrency/event-loop-monitor.ts'
import { createTimeSlices, type TimeSlices } from '../concurrency/time-slices.ts'
import type { Config, Stack } from '../config/config.ts'
import { longestCycleMs } from '../config/schedule-gap.ts'
import { type Discovery, selectStacks, type WatchedStacks } from '../discovery/discovery.ts'
import { type Subjects, subjectsOf } from '../drift/identity.ts'
import type { Transition } from '../drift/state.ts'
import type { CycleSummary, Outcome, Snapshot, Store, Watched } from '../drift/store.ts'
import { asDriftwatchError, errorTable } from '../errors.ts'
import type { Log } from '../log.ts'
import { maskUrls } from '../printable.ts'
import { type ObserveOptions, observe, type ProbeResult } from '../probes/observe.ts'
import type { Observed, Probe, ProbeKind } from '../probes/probe.ts'
import type { Probes } from '../probes/probes.ts'
import type { DriftwatchCommands } from '../remedies/driftwatch-commands.ts'
import { remedyStack } from '../remedies/remedies.ts'
import type { Judge } from './judge.ts'

export interface CycleListeners {
  onProbe(result: ProbeResult<ProbeKind>): void
  /** A cycle completed, or a state became stale between cycles. Must return quickly and never throw. */
  onChange(snapshot: Snapshot, transitions: readonly Transition[]): void
}

export interface CycleDependencies {
  readonly config: Config
  readonly clock: Clock
  readonly log: Log
  readonly store: Store
  readonly discovery: Discovery
  /** Watch only stacks with these names; null for all. */
  readonly names: readonly string[] | null
  /** Replaces the stacks that are watched; returns the changes of status of those that left. */
  watchStacks(watched: Watched): Transition[]
  selectChecks(stack: Stack): readonly Check[]
  /** Shared by all cycles of a watch. */
  readonly judge: Judge
  /** For the remedies. */
  readonly commands: DriftwatchCommands
  readonly probes: Probes
  /** Aborts the cycle: it then ends at once and publishes nothing. */
  readonly ending: AbortSignal
  readonly listeners: CycleListeners
}

/** One round: discover, observe, judge, record, publish. */
export async function runCycle(id: number, dependencies: CycleDependencies): Promise<CycleSummary> {
  const { config, clock, store, log, ending, watchStacks, listeners } = dependencies
  const [startedAt, begin] = [clock.now(), clock.monotonic()]
  const { timeoutMs } = config
  const deadline = startDeadline(clock, timeoutMs, ending)
  const eventLoop = startEventLoopMonitor(clock)
  const { reader, probes, close } = dependencies.probes.open({ deadline, eventLoop, timeoutMs })
  try {
    const aged = store.age(startedAt)
    const found = await findStacks(reader, dependencies)
    const left = ending.aborted ? [] : watchStacks({ config, ...found })
    const overAt = begin + longestCycleMs(timeoutMs)
    const shared = {
      probes,
      timeSlices: createTimeSlices(clock),
      observeOptions: { clock, timeoutMs, ending, deadline, overAt, eventLoop },
    }
    // If time does not suffice for all stacks, those with the oldest observations come first.
    const oldestFirst = found.stacks
      .map(stack => ({ stack, observedAt: store.observedAt(stack.name) }))
      .sort((one, other) => one.observedAt - other.observedAt)
    const watched = await Promise.all(oldestFirst.map(({ stack }) => watchStack(stack, shared, dependencies)))
    const summary = { id, startedAt, durationMs: Math.round(clock.monotonic() - begin) }
    if (ending.aborted) return summary
    store.cycleCompleted(summary)
    listeners.onChange(store.snapshot(clock.now()), [
      ...aged,
      ...left,
      ...watched.flatMap(({ transitions }) => transitions),
    ])
    logFailures(
      log,
      watched.flatMap(({ results }) => results),
    )
    const stalledMs = Math.round(eventLoop.stalledMs())
    if (stalledMs > 0) log.warn({ cycle: id, stalledMs }, 'event loop stalled during a cycle')
    return summary
  } finally {
    eventLoop.stop()
    close()
    deadline.cancel()
  }
}

/** Discovery may take this share of the time, so that a region that does not respond leaves time for the probes. */
const discoveryShare = 0.5

function findStacks(reader: CloudRunReader, dependencies: CycleDependencies): Promise<WatchedStacks> {
  const { config, clock, ending, discovery, names } = dependencies
  return withDeadline(clock, config.timeoutMs * discoveryShare, ending, async deadline =>
    selectStacks(await discovery.discover(config, reader, deadline), names),
  )
}

/** Shared by the stacks of one cycle. */
interface SharedByStacks {
  readonly probes: readonly Probe<ProbeKind>[]
  readonly timeSlices: TimeSlices
  readonly observeOptions: ObserveOptions
}

async function watchStack(
  stack: Stack,
  { probes, timeSlices, observeOptions }: SharedByStacks,
  dependencies: CycleDependencies,
) {
  const { store, selectChecks, listeners, commands } = dependencies
  const checks = selectChecks(stack)
  const results = await Promise.all(
    probes
      .filter(({ kind }) => checks.some(check => dependsOn(check, kind)))
      .map(probe => observe(probe, stack, observeOptions)),
  )
  for (const result of results) listeners.onProbe(result)
  const outcomes: [CheckKind, Outcome][] = []
  for (const check of checks)
    outcomes.push([check.kind, await judgeResults(check, stack, results, timeSlices, dependencies)])
  const transitions = outcomes.flatMap(([kind, outcome]) => store.record(stack.name, kind, outcome) ?? [])
  const judged = new Set(outcomes.flatMap(([kind, outcome]) => (outcome.kind === 'finding' ? [kind] : [])))
  const observed = observationsOf(results)
  store.remedy(stack.name, findings => remedyStack({ stack, commands, findings, observed }, judged))
  return { results, transitions }
}

function observationsOf(results: readonly ProbeResult<ProbeKind>[]): Partial<Observed> {
  const answered = results.filter(result => result.outcome === 'answered')
  return Object.fromEntries(answered.map(({ kind, value }) => [kind, value]))
}

/** Never mixes observations of different cycles: every probe that the check needs must have answered in this one. */
async function judgeResults(
  check: Check,
  stack: Stack,
  results: readonly ProbeResult<ProbeKind>[],
  timeSlices: TimeSlices,
  { config, clock, log, judge }: CycleDependencies,
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

/** Logs one line for all stacks on which a probe failed with the same code. */
function logFailures(log: Log, results: readonly ProbeResult<ProbeKind>[]): void {
  const failed = results.flatMap(result => (result.outcome === 'failed' ? [result] : []))
  for (const [, alike] of Map.groupBy(failed, ({ kind, error }) => `${kind} ${error.code}`)) {
    const [{ kind, error, at }] = alike as [(typeof alike)[number]]
    const fields = {
      probe: kind,
      code: error.code,
      stacks: alike.length,
      error: maskUrls(error.message),
      at: formatTime(at),
    }
    log[errorTable[error.code].logLevel](fields, 'probe failed')
  }
}
