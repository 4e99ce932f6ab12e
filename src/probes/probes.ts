import {
  type CloudRunReader,
  type CloudRunReaders,
  createCloudRunReaders,
} from '../clients/cloud-run/cloud-run-reader.ts'
import { createTelemetryReaders, type TelemetryReaders } from '../clients/monitoring/telemetry-reader.ts'
import type { RegistryClient } from '../clients/registry/registry-client.ts'
import { openRegistryReader } from '../clients/registry/registry-reader.ts'
import type { Clock } from '../clock.ts'
import { type Deadline, startDeadline } from '../concurrency/deadline.ts'
import type { EventLoopMonitor } from '../concurrency/event-loop-monitor.ts'
import { createFairQueue } from '../concurrency/fair-queue.ts'
import type { Stack } from '../config/config.ts'
import { answerWithinMs } from '../config/sections/http-contract.ts'
import type { Log } from '../log.ts'
import { createDatabaseAnswers } from './database-answers.ts'
import { createExecutionProbe } from './execution.ts'
import { createHttpProbe } from './http.ts'
import { createJobProbe } from './job.ts'
import { createLanesProbe } from './lanes.ts'
import { createPostgresCatalogProbe } from './postgres-catalog.ts'
import type { Probe, ProbeKind } from './probe.ts'
import type { CachingClients, ProbeClients } from './probe-clients.ts'
import { createRegistryProbe } from './registry.ts'
import { createServiceProbe } from './service.ts'
import { createStackReaders, type StackReaders } from './stack-reader.ts'
import { createTelemetryProbe } from './telemetry.ts'

/** Opens the probes of each cycle, and holds what they reuse between cycles. */
export interface Probes {
  open(cycle: ProbeCycle): CycleProbes
  /** Probes that use nothing from before: no cached response, no open connection, no resolved name. */
  openFresh(cycle: ProbeCycle, stacks: Iterable<Stack>): CycleProbes
  /** Replaces all connections to Google's APIs and to registries. */
  dropConnections(): void
  /** Drops all cached responses. */
  forget(): void
  /** Moves all times by `ms`, after the wall clock was set by as much. */
  clockSet(ms: number): void
}

export interface ProbeCycle {
  readonly deadline: Deadline
  readonly eventLoop: EventLoopMonitor
  /** Limits one probe of one stack. */
  readonly timeoutMs: number
}

export interface CycleProbes {
  /** Shared by discovery and the probes, so that no resource is read twice in a cycle. */
  readonly reader: CloudRunReader
  readonly probes: readonly Probe<ProbeKind>[]
  close(): void
}

/** The probes whose observations can contain responses of earlier cycles. */
export const cachingKinds: ReadonlySet<ProbeKind> = new Set([
  'service',
  'job',
  'execution',
  'registry',
  'lanes',
  'telemetry',
])

/** Registry requests end before the probe does, so that a silent registry is an answer and not a failed probe. */
const registryShare = 0.7

interface ProbesOptions {
  readonly clock: Clock
  readonly log: Log
  /** Aborts all requests to registries. */
  readonly ending: AbortSignal
}

export function createProbes(clients: ProbeClients, { clock, log, ending }: ProbesOptions): Probes {
  const shared = createReaders(clients, clock)
  const queues = { databases: createFairQueue(clock), contracts: createFairQueue(clock) }
  const answers = createDatabaseAnswers(log)

  function openWith(readers: Readers, { deadline, eventLoop, timeoutMs }: ProbeCycle): CycleProbes {
    const reader = readers.cloudRun.open(deadline)
    const stacks = readers.stacks.open(reader)
    const registryDeadline = startDeadline(clock, (deadline.at - clock.monotonic()) * registryShare, ending)
    const registry = readers.registry && openRegistryReader(readers.registry, registryDeadline)
    const probes = [
      createServiceProbe(stacks),
      createJobProbe(stacks),
      createExecutionProbe(stacks),
      createRegistryProbe(stacks, registry, registryDeadline.signal),
      createPostgresCatalogProbe({ readers: clients.databases, answers, clock, timeoutMs, queue: queues.databases }),
      createLanesProbe(stacks, registry),
      createTelemetryProbe(stacks, readers.telemetry?.open(deadline) ?? null, clock),
      createHttpProbe({
        client: clients.http,
        tokens: clients.identityTokens,
        clock,
        eventLoop,
        answerWithinMs: answerWithinMs(timeoutMs),
        queue: queues.contracts,
      }),
    ]
    return { reader, probes, close: registryDeadline.cancel }
  }

  return {
    clockSet: answers.clockSet,
    open: cycle => openWith(shared, cycle),
    openFresh(cycle, stacks) {
      const fresh = clients.openFresh()
      // Nothing else of a database is kept, so a new connection suffices. HTTP contracts have new connections anyway.
      for (const { database } of stacks) if (database) clients.databases.expire(database.url.reveal())
      const opened = openWith(createReaders(fresh, clock), cycle)
      return {
        ...opened,
        close() {
          opened.close()
          void fresh.close().catch(() => {})
        },
      }
    },
    dropConnections: clients.dropConnections,
    forget() {
      shared.cloudRun.forget()
      shared.telemetry?.forget()
      shared.registry?.forget()
    },
  }
}

interface Readers {
  readonly cloudRun: CloudRunReaders
  readonly telemetry: TelemetryReaders | null
  readonly registry: RegistryClient | null
  readonly stacks: StackReaders
}

function createReaders({ cloudRun, telemetry, registry }: CachingClients, clock: Clock): Readers {
  return {
    cloudRun: createCloudRunReaders(cloudRun, clock),
    telemetry: telemetry && createTelemetryReaders(telemetry, clock),
    registry,
    stacks: createStackReaders(),
  }
}
