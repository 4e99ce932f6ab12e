import type { Check, CheckKind } from './checks/check.ts'
import { checksOf } from './checks/checks.ts'
import { cloudRunMethods, createCloudRunClient } from './clients/cloud-run/cloud-run.ts'
import { createCloudRunReaders } from './clients/cloud-run/cloud-run-reader.ts'
import { type CallRates, createCallBudget } from './clients/google/call-budget.ts'
import { createGoogleCredentials } from './clients/google/google-credentials.ts'
import { createIdTokenSource } from './clients/google/id-token-source.ts'
import { createContractClient, httpMethods } from './clients/http/contract-client.ts'
import {
  createTelemetryClient,
  type TelemetryClient,
  telemetryMethods,
} from './clients/monitoring/telemetry-queries.ts'
import { createTelemetryReaders } from './clients/monitoring/telemetry-reader.ts'
import { createPostgresReaders } from './clients/postgres/postgres-readers.ts'
import { createRegistryClient, type RegistryClient } from './clients/registry/registry-client.ts'
import { registryMethods } from './clients/registry/registry-http.ts'
import { openRegistryReader } from './clients/registry/registry-reader.ts'
import { type Clock, createSteadyClock } from './clock.ts'
import { type Deadline, startDeadline } from './concurrency/deadline.ts'
import type { EventLoopMonitor } from './concurrency/event-loop-monitor.ts'
import { createFairQueue } from './concurrency/fair-queue.ts'
import type { Config, Stack } from './config/config.ts'
import type { Environment } from './config/environment.ts'
import { answerWithinMs } from './config/sections/http-contract.ts'
import { createDiscovery } from './discovery/discovery.ts'
import type { Transition } from './drift/state.ts'
import { type CycleSummary, createStore, type Snapshot, type Store, type Watched } from './drift/store.ts'
import type { ErrorCode } from './errors.ts'
import type { Log } from './log.ts'
import { createExecutionProbe } from './probes/execution.ts'
import { createHttpProbe } from './probes/http.ts'
import { createJobProbe } from './probes/job.ts'
import { createLanesProbe } from './probes/lanes.ts'
import type { ProbeResult } from './probes/observe.ts'
import { createPostgresCatalogProbe } from './probes/postgres-catalog.ts'
import type { ProbeKind } from './probes/probe.ts'
import { createRegistryProbe } from './probes/registry.ts'
import { createServiceProbe } from './probes/service.ts'
import { createTelemetryProbe } from './probes/telemetry.ts'
import { type OpenProbes, runCycle } from './schedule/cycle.ts'
import { createJudge } from './schedule/judge.ts'

/** Whoever wants to know what is looked at and what comes of it. */
export interface WatchListeners {
  onLook(look: ProbeResult<ProbeKind>): void
  onApiRequest(api: string, method: string, code: ErrorCode | 'OK'): void
  /** A cycle ended, or a state went stale without one. Must neither throw nor take long. */
  onChange(snapshot: Snapshot, transitions: readonly Transition[]): void
}

export interface WatchOptions {
  readonly config: Config
  readonly environment: Environment
  readonly clock: Clock
  readonly log: Log
  /** Only these checks; null for all. */
  readonly only?: readonly CheckKind[] | null
  /** Only stacks of these names, listed or discovered; null for all. */
  readonly names?: readonly string[] | null
  readonly listeners?: Partial<WatchListeners>
}

/** Everything that looks and judges, ready for the next cycle. */
export interface Watch {
  readonly store: Store
  /** The time by which the store goes. */
  readonly clock: Clock
  runCycle(): Promise<CycleSummary>
  /** From the next cycle on this is the config. */
  use(config: Config): void
  /** Whether the last cycle was by the config that counts. */
  isCurrent(): boolean
  /** Whether the last cycle had to leave out looks because the quota's share was spent. */
  isCatchingUp(): boolean
  /** Who is watched: at first those that the config lists, and from the first cycle on the discovered ones too. */
  stacks(): readonly Stack[]
  /** Turns unknown what is too old to be believed by now, and tells the listeners. */
  age(): void
  /** Gives up what is under way. */
  close(): Promise<void>
}

/** The requests that a watch makes, by API: counters begin at 0 for each. */
export const apiMethods = {
  run: cloudRunMethods,
  registry: registryMethods,
  monitoring: telemetryMethods,
  http: httpMethods,
} as const

/** Registries are given up sooner than the probe, so that their silence is an answer and not a failed look. */
const registryShare = 0.7

export function createWatch(options: WatchOptions): Watch {
  const { environment, log, only = null, names = null, listeners = {} } = options
  const clock = createSteadyClock(options.clock)
  const { onLook = () => {}, onApiRequest = () => {}, onChange = () => {} } = listeners
  let { config } = options
  let stacks = config.stacks
  const budget = createCallBudget(clock, ratesOf(config))
  const cloudRun = createCloudRunClient({
    clock,
    budget,
    emulatorHost: environment.cloudRunEmulatorHost,
    onRequest: (method, code) => onApiRequest('run', method, code),
  })
  const readers = createCloudRunReaders({ client: cloudRun, clock })
  const registry = openRegistryClient(environment, clock, onApiRequest)
  const telemetry = createTelemetry(environment, clock, onApiRequest)
  const telemetryReaders = telemetry && createTelemetryReaders(telemetry, clock)
  const http = createContractClient({ clock, onRequest: (method, code) => onApiRequest('http', method, code) })
  const identityTokens = environment.cloudRunEmulatorHost === null ? createIdTokenSource() : null
  const wanted = (stack: Stack): Check[] => checksOf(stack).filter(check => only === null || only.includes(check.kind))
  const databases = createPostgresReaders(config.timeoutMs)
  const fairQueue = { databases: createFairQueue(clock), contracts: createFairQueue(clock) }
  const store = createStore(config, wanted, clock.now())
  const discovery = createDiscovery({ clock, log })
  const judge = createJudge()
  const ending = new AbortController()
  let cycles = 0
  let leftOut = 0
  let used: Config | null = null

  function openProbes(deadline: Deadline, eventLoop: EventLoopMonitor): OpenProbes {
    const reader = readers.open(deadline)
    const asking = startDeadline(clock, (deadline.at - clock.monotonic()) * registryShare, ending.signal)
    const asked = registry && openRegistryReader(registry, asking)
    const probes = [
      createServiceProbe(reader),
      createJobProbe(reader),
      createExecutionProbe(reader),
      createRegistryProbe(reader, asked),
      createPostgresCatalogProbe(databases, config.timeoutMs, fairQueue.databases),
      createLanesProbe(reader, asked),
      createTelemetryProbe(reader, telemetryReaders?.open(deadline) ?? null, clock),
      createHttpProbe({
        client: http,
        tokens: identityTokens,
        clock,
        pulse: eventLoop,
        answerWithinMs: answerWithinMs(config.timeoutMs),
        turns: fairQueue.contracts,
      }),
    ]
    return { reader, probes, close: asking.cancel }
  }

  function watchStacks(watched: Watched): void {
    stacks = watched.stacks
    store.watch(watched, clock.now())
    databases.keepOnly(
      new Set(stacks.flatMap(({ database }) => database?.url.reveal() ?? [])),
      watched.config.timeoutMs,
    )
  }

  function settleClock(): void {
    const setByMs = clock.resync()
    if (setByMs === 0) return
    log.warn({ setByMs }, 'the wall clock was set')
    store.clockSet(setByMs)
    discovery.clockSet(setByMs)
  }

  return {
    store,
    clock,
    async runCycle() {
      settleClock()
      cycles += 1
      const id = cycles
      if (stacks.some(({ afterRollout }) => afterRollout)) await telemetry?.load()
      used = config
      const summary = await runCycle(id, {
        config,
        clock,
        log,
        store,
        discovery,
        names,
        watchStacks,
        ending: ending.signal,
        checksOf: wanted,
        judge,
        openProbes,
        onLook,
        publish: onChange,
      })
      leftOut = budget.roundOver()
      return summary
    },
    use(next) {
      config = next
      budget.use(ratesOf(next))
    },
    isCurrent: () => used === config,
    isCatchingUp: () => leftOut > 0,
    stacks: () => stacks,
    age() {
      settleClock()
      const transitions = store.age(clock.now())
      onChange(store.snapshot(clock.now()), transitions)
    },
    async close() {
      ending.abort()
      await Promise.all([cloudRun.close(), telemetry?.close(), databases.close()])
    },
  }
}

function ratesOf({ quota: { readsPerMinute, steadyPercent, catchUpPercent } }: Config): CallRates {
  const share = (percent: number) => Math.max(1, Math.floor((readsPerMinute * percent) / 100))
  return { steady: share(steadyPercent), catchUp: share(Math.max(steadyPercent, catchUpPercent)) }
}

/** With an emulator of Cloud Run and none of Cloud Monitoring, nobody is asked. */
function createTelemetry(
  { cloudRunEmulatorHost, monitoringEmulatorHost: emulatorHost }: Environment,
  clock: Clock,
  onApiRequest: WatchListeners['onApiRequest'],
): TelemetryClient | null {
  if (cloudRunEmulatorHost !== null && emulatorHost === null) return null
  return createTelemetryClient({
    clock,
    emulatorHost,
    onRequest: (method, code) => onApiRequest('monitoring', method, code),
  })
}

/** With an emulator of Cloud Run and none of a registry, no registry is asked. */
export function openRegistryClient(
  environment: Environment,
  clock: Clock,
  onApiRequest: WatchListeners['onApiRequest'] = () => {},
): RegistryClient | null {
  const { cloudRunEmulatorHost, artifactRegistryEmulatorHost: emulatorHost } = environment
  if (cloudRunEmulatorHost !== null && emulatorHost === null) return null
  return createRegistryClient({
    emulatorHost,
    credentials: emulatorHost === null ? createGoogleCredentials() : null,
    clock,
    onRequest: ({ method, code }) => onApiRequest('registry', method, code),
  })
}
