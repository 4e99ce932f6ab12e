import type { Check, CheckKind } from './checks/check.ts'
import { checksOf } from './checks/checks.ts'
import { type CallRates, createCallBudget } from './clients/google/call-budget.ts'
import { type Clock, createSteadyClock, type EpochMs, type SteadyClock } from './clock.ts'
import type { Config, Stack } from './config/config.ts'
import type { Environment } from './config/environment.ts'
import { createDiscovery } from './discovery/discovery.ts'
import type { Transition } from './drift/state.ts'
import { type CycleSummary, createStore, type Store, type Watched } from './drift/store.ts'
import type { Log } from './log.ts'
import { createProbeClients, type OnApiRequest } from './probes/probe-clients.ts'
import { createProbes } from './probes/probes.ts'
import { driftwatchCommands } from './remedies/driftwatch-commands.ts'
import { type CycleListeners, runCycle } from './schedule/cycle.ts'
import { createJudge } from './schedule/judge.ts'
import { createVerification } from './schedule/verification.ts'

export interface WatchListeners extends CycleListeners {
  readonly onApiRequest: OnApiRequest
}

export interface WatchOptions {
  readonly config: Config
  readonly environment: Environment
  readonly clock: Clock
  readonly log: Log
  /** Run only these checks; null for all. */
  readonly only?: readonly CheckKind[] | null
  /** Watch only stacks with these names, listed or discovered; null for all. */
  readonly names?: readonly string[] | null
  readonly listeners?: Partial<WatchListeners>
}

/** Probes, checks and states, ready to run cycles. */
export interface Watch {
  readonly store: Store
  /** The clock that the times in the store refer to. */
  readonly clock: Clock
  runCycle(): Promise<CycleSummary>
  /** Replaces the configuration from the next cycle on. */
  use(config: Config): void
  /** Whether the last cycle used the current configuration. */
  isCurrent(): boolean
  /** Whether the last cycle skipped probes because its share of the API quota was used up. */
  isCatchingUp(): boolean
  /** The oldest of the latest verifications of all stacks; null without stacks. */
  oldestVerification(): EpochMs | null
  /** The listed stacks; after the first cycle also the discovered ones, for a day after they lose their labels. */
  stacks(): readonly Stack[]
  /** Turns states whose observations are stale by now to unknown, and reports the changes. */
  age(): void
  /** Aborts a running cycle and closes all clients. */
  close(): Promise<void>
}

const noListeners: WatchListeners = { onProbe() {}, onApiRequest() {}, onCacheMismatch() {}, onChange() {} }

export function createWatch(options: WatchOptions): Watch {
  const { environment, log, only = null, names = null } = options
  const listeners = { ...noListeners, ...options.listeners }
  const clock = createSteadyClock(options.clock)
  let { config } = options
  let stacks = config.stacks
  const selectChecks = (stack: Stack): Check[] =>
    checksOf(stack).filter(check => only === null || only.includes(check.kind))
  const budget = createCallBudget(clock, ratesOf(config))
  const maxAgeMs = () => config.verifyEveryMs
  const clients = createProbeClients({ environment, clock, budget, limits: config, maxAgeMs, ...listeners })
  const store = createStore(config, selectChecks, clock.now())
  const discovery = createDiscovery({ clock, log })
  const controller = new AbortController()
  const ending = controller.signal
  const probes = createProbes(clients, { clock, log, ending })
  const judge = createJudge()
  const verification = createVerification(clock, budget.spare)
  const commands = driftwatchCommands(environment.configOption)
  const records = [store, discovery, probes, verification]
  const shared = {
    clock,
    log,
    store,
    discovery,
    names,
    probes,
    judge,
    verification,
    commands,
    ending,
    listeners,
    watchStacks,
    selectChecks,
  }
  let cycles = 0
  let skippedCalls = 0
  let usedConfig: Config | null = null

  function watchStacks(watched: Watched): Transition[] {
    // Routes of alert policies must not lose a stack whose incidents are still open.
    stacks = [...watched.stacks, ...watched.unlabelled.map(({ stack }) => stack)]
    const transitions = store.watch(watched, clock.now())
    const urls = new Set(watched.stacks.flatMap(({ database }) => database?.url.reveal() ?? []))
    clients.databases.keepOnly(urls, watched.config)
    return transitions
  }

  return {
    store,
    clock,
    async runCycle() {
      followWallClock(clock, log, records)
      cycles += 1
      const id = cycles
      if (stacks.some(({ afterRollout }) => afterRollout)) await clients.telemetry?.load()
      usedConfig = config
      const summary = await runCycle(id, { config, ...shared })
      skippedCalls = budget.endCycle()
      return summary
    },
    use(next) {
      config = next
      budget.use(ratesOf(next))
    },
    isCurrent: () => usedConfig === config,
    isCatchingUp: () => skippedCalls > 0,
    oldestVerification: verification.oldest,
    stacks: () => stacks,
    age() {
      followWallClock(clock, log, records)
      const transitions = store.age(clock.now())
      listeners.onChange(store.snapshot(clock.now()), transitions)
    },
    async close() {
      controller.abort()
      await clients.close()
    },
  }
}

/** After the wall clock was set, moves everything that is recorded by as much: each observation keeps its age. */
function followWallClock(clock: SteadyClock, log: Log, records: readonly { clockSet(ms: number): void }[]): void {
  const setByMs = clock.resync()
  if (setByMs === 0) return
  log.warn({ setByMs }, 'wall clock was set')
  for (const record of records) record.clockSet(setByMs)
}

function ratesOf({ quota: { readsPerMinute, steadyPercent, catchUpPercent } }: Config): CallRates {
  const share = (percent: number) => Math.max(1, Math.floor((readsPerMinute * percent) / 100))
  return { steady: share(steadyPercent), catchUp: share(Math.max(steadyPercent, catchUpPercent)) }
}
