import type { Check } from '../checks/check.ts'
import type { CloudRunReader } from '../clients/cloud-run/cloud-run-reader.ts'
import { type Clock, formatTime } from '../clock.ts'
import { startDeadline } from '../concurrency/deadline.ts'
import { startEventLoopMonitor } from '../concurrency/event-loop-monitor.ts'
import { createTimeSlices, type TimeSlices } from '../concurrency/time-slices.ts'
import type { Config, Stack } from '../config/config.ts'
import { longestCycleMs } from '../config/schedule-gap.ts'
import { type Discovery, selectStacks, type WatchedStacks } from '../discovery/discovery.ts'
import type { Transition } from '../drift/state.ts'
import type { CycleSummary, Outcome, Snapshot, Store, Watched } from '../drift/store.ts'
import { asDriftwatchError, errorTable } from '../errors.ts'
import type { Log } from '../log.ts'
import { type ObserveOptions, observe, type ProbeResult } from '../probes/observe.ts'
import type { Observed, Probe, ProbeKind } from '../probes/probe.ts'
import type { Probes } from '../probes/probes.ts'
import type { Judge } from './judge.ts'

export interface CycleListeners {
  /** Called with the result of every probe. */
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
  /** Of all stacks only those of these names; null for all. */
  readonly names: readonly string[] | null
  /** From now on these are watched, and no others. */
  watchStacks(watched: Watched): void
  selectChecks(stack: Stack): readonly Check[]
  /** Judges in every cycle of a watch. */
  readonly judge: Judge
  readonly probes: Probes
  /** Aborts when what is under way is not wanted any more: the cycle then ends at once and publishes nothing. */
  readonly ending: AbortSignal
  readonly listeners: CycleListeners
}

/** One round: discover, observe, judge, record, publish. */
export async function runCycle(id: number, dependencies: CycleDependencies): Promise<CycleSummary> {
  const { config, clock, store, log, ending, watchStacks, listeners } = dependencies
  const [startedAt, begin] = [clock.now(), clock.monotonic()]
  const deadline = startDeadline(clock, config.timeoutMs, ending)
  const eventLoop = startEventLoopMonitor(clock)
  const { timeoutMs } = config
  const { reader, probes, close } = dependencies.probes.open({ deadline, eventLoop, timeoutMs })
  try {
    const aged = store.age(startedAt)
    const stacks = await findStacks(reader, dependencies)
    if (!ending.aborted) watchStacks({ config, ...stacks })
    const overAt = begin + longestCycleMs(timeoutMs)
    const parts = {
      pace: createTimeSlices(clock),
      looks: { clock, timeoutMs, ending, deadline, overAt, eventLoop },
    }
    // Where not all can be looked at in time, those come first that have waited longest.
    const inTurn = stacks.stacks
      .map(stack => ({ stack, observedAt: store.observedAt(stack.name) }))
      .sort((one, other) => one.observedAt - other.observedAt)
    const judged = await Promise.all(inTurn.map(({ stack }) => watchStack(stack, probes, parts, dependencies)))
    const summary = { id, startedAt, durationMs: Math.round(clock.monotonic() - begin) }
    if (ending.aborted) return summary
    store.cycleCompleted(summary)
    listeners.onChange(store.snapshot(clock.now()), [...aged, ...judged.flatMap(({ transitions }) => transitions)])
    logFailures(
      log,
      judged.flatMap(({ looks }) => looks),
    )
    const stoodStillMs = Math.round(eventLoop.stalledMs())
    if (stoodStillMs > 0) log.warn({ cycle: id, stoodStillMs }, 'the process stood still during a cycle')
    return summary
  } finally {
    eventLoop.stop()
    close()
    deadline.cancel()
  }
}

/** So much of the time may go to finding stacks: a region that hangs leaves the rest to looking at the others. */
const discoveryShare = 0.5

async function findStacks(reader: CloudRunReader, dependencies: CycleDependencies): Promise<WatchedStacks> {
  const { config, clock, ending, discovery, names } = dependencies
  const deadline = startDeadline(clock, config.timeoutMs * discoveryShare, ending)
  try {
    return selectStacks(await discovery.look(config, reader, deadline), names)
  } finally {
    deadline.cancel()
  }
}

interface StackLooks {
  readonly looks: readonly ProbeResult<ProbeKind>[]
  readonly transitions: readonly Transition[]
}

/** What the stacks of one cycle share. */
interface CycleParts {
  readonly pace: TimeSlices
  readonly looks: ObserveOptions
}

async function watchStack(
  stack: Stack,
  probes: readonly Probe<ProbeKind>[],
  parts: CycleParts,
  dependencies: CycleDependencies,
): Promise<StackLooks> {
  const { store, selectChecks, listeners } = dependencies
  const checks = selectChecks(stack)
  const looks = await Promise.all(
    probes
      .filter(({ kind }) => checks.some(check => regards(check, kind)))
      .map(probe => observe(probe, stack, parts.looks)),
  )
  for (const look of looks) listeners.onProbe(look)
  const transitions: Transition[] = []
  for (const check of checks) {
    const outcome = await judgeLooks(check, stack, looks, parts.pace, dependencies)
    const transition = store.record(stack.name, check.kind, outcome)
    if (transition) transitions.push(transition)
  }
  return { looks, transitions }
}

/**
 * A check is judged only when every probe that it needs answered in this cycle: old looks are never mixed with new ones.
 * What it only uses is left out where that did not answer.
 */
async function judgeLooks(
  check: Check,
  stack: Stack,
  looks: readonly ProbeResult<ProbeKind>[],
  timeSlices: TimeSlices,
  { config, clock, log, judge }: CycleDependencies,
): Promise<Outcome> {
  const now = clock.now()
  const observed: Partial<Record<ProbeKind, unknown>> = {}
  let observedAt = Number.POSITIVE_INFINITY
  for (const look of looks) {
    if (!regards(check, look.kind)) continue
    if (look.outcome === 'answered') {
      observed[look.kind] = look.value
      observedAt = Math.min(observedAt, look.at)
    } else if (check.needs.includes(look.kind)) {
      const { code, message } = look.error
      return { kind: 'failure', error: { code, message, at: look.at } }
    }
  }
  try {
    const finding = await judge(check, { stack, config, observed: observed as Observed, observedAt }, timeSlices)
    return { kind: 'finding', finding, observedAt }
  } catch (thrown) {
    const error = asDriftwatchError(thrown)
    log.error({ err: thrown, stack: stack.name, check: check.kind }, 'a check could not judge what it was given')
    return { kind: 'failure', error: { code: error.code, message: error.message, at: now } }
  }
}

function regards({ needs, uses }: Check, kind: ProbeKind): boolean {
  return needs.includes(kind) || (uses?.includes(kind) ?? false)
}

/** One line for all looks that failed alike: a fleet behind a broken API is one problem. */
function logFailures(log: Log, looks: readonly ProbeResult<ProbeKind>[]): void {
  const failed = looks.flatMap(look => (look.outcome === 'failed' ? [look] : []))
  for (const [, alike] of Map.groupBy(failed, ({ kind, error }) => `${kind} ${error.code}`)) {
    const [{ kind, error, at }] = alike as [(typeof alike)[number]]
    const fields = { probe: kind, code: error.code, stacks: alike.length, error: error.message, at: formatTime(at) }
    log[errorTable[error.code].logLevel](fields, 'a look failed')
  }
}
