import type { Check } from '../checks/check.ts'
import type { CloudRunReader } from '../clients/cloud-run/cloud-run-reader.ts'
import { type Clock, formatTime } from '../clock.ts'
import { startDeadline, withDeadline } from '../concurrency/deadline.ts'
import { startEventLoopMonitor } from '../concurrency/event-loop-monitor.ts'
import { createTimeSlices } from '../concurrency/time-slices.ts'
import type { Config, Stack } from '../config/config.ts'
import { longestCycleMs } from '../config/schedule-gap.ts'
import { type Discovery, selectStacks, type WatchedStacks } from '../discovery/discovery.ts'
import type { Transition } from '../drift/state.ts'
import type { CycleSummary, Snapshot, Store, Watched } from '../drift/store.ts'
import { errorTable } from '../errors.ts'
import type { Log } from '../log.ts'
import { maskUrls } from '../printable.ts'
import type { ProbeResult } from '../probes/observe.ts'
import type { Observed, ProbeKind } from '../probes/probe.ts'
import type { Probes } from '../probes/probes.ts'
import type { DriftwatchCommands } from '../remedies/driftwatch-commands.ts'
import { remedyStack } from '../remedies/remedies.ts'
import type { Judge } from './judge.ts'
import type { Verification } from './verification.ts'
import { openVerifier, type Verifier, type VerifierListeners } from './verifier.ts'

export interface CycleListeners extends VerifierListeners {
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
  /** Shared by all cycles of a watch. */
  readonly verification: Verification
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
  let verifier: Verifier | null = null
  try {
    const aged = store.age(startedAt)
    const found = await findStacks(reader, dependencies)
    const left = ending.aborted ? [] : watchStacks({ config, ...found })
    const overAt = begin + longestCycleMs(timeoutMs)
    const ordinary = {
      ...dependencies,
      probes,
      timeSlices: createTimeSlices(clock),
      observeOptions: { clock, timeoutMs, ending, deadline, overAt, eventLoop },
    }
    const opened = openVerifier(found.stacks, ordinary, dependencies)
    verifier = opened
    // If time does not suffice for all stacks, those with the oldest observations come first.
    const oldestFirst = found.stacks
      .map(stack => ({ stack, observedAt: store.observedAt(stack.name) }))
      .sort((one, other) => one.observedAt - other.observedAt)
    const watched = await Promise.all(oldestFirst.map(({ stack }) => watchStack(stack, opened, dependencies)))
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
    verifier?.close()
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

async function watchStack(stack: Stack, verifier: Verifier, dependencies: CycleDependencies) {
  const { store, selectChecks, listeners, commands, verification } = dependencies
  const checks = selectChecks(stack)
  const { results, outcomes } = await verifier.observe(stack, checks)
  for (const result of results) listeners.onProbe(result)
  verification.judged(stack, outcomes)
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
