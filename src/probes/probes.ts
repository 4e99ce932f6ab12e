import { type CloudRunReader, createCloudRunReaders } from '../clients/cloud-run/cloud-run-reader.ts'
import { createTelemetryReaders } from '../clients/monitoring/telemetry-reader.ts'
import { openRegistryReader } from '../clients/registry/registry-reader.ts'
import type { Clock } from '../clock.ts'
import { type Deadline, startDeadline } from '../concurrency/deadline.ts'
import type { EventLoopMonitor } from '../concurrency/event-loop-monitor.ts'
import { createFairQueue } from '../concurrency/fair-queue.ts'
import { answerWithinMs } from '../config/sections/http-contract.ts'
import type { Log } from '../log.ts'
import { createDatabaseAnswers } from './database-answers.ts'
import { createExecutionProbe } from './execution.ts'
import { createHttpProbe } from './http.ts'
import { createJobProbe } from './job.ts'
import { createLanesProbe } from './lanes.ts'
import { createPostgresCatalogProbe } from './postgres-catalog.ts'
import type { Probe, ProbeKind } from './probe.ts'
import type { ProbeClients } from './probe-clients.ts'
import { createRegistryProbe } from './registry.ts'
import { createServiceProbe } from './service.ts'
import { createStackReaders } from './stack-reader.ts'
import { createTelemetryProbe } from './telemetry.ts'

/** Opens the probes of each cycle, and holds what they reuse between cycles. */
export interface Probes {
  open(cycle: ProbeCycle): CycleProbes
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

/** Registry requests end before the probe does, so that a silent registry is an answer and not a failed probe. */
const registryShare = 0.7

interface ProbesOptions {
  readonly clock: Clock
  readonly log: Log
  /** Aborts all requests to registries. */
  readonly ending: AbortSignal
}

export function createProbes(clients: ProbeClients, { clock, log, ending }: ProbesOptions): Probes {
  const cloudRunReaders = createCloudRunReaders(clients.cloudRun, clock)
  const telemetryReaders = clients.telemetry && createTelemetryReaders(clients.telemetry, clock)
  const stackReaders = createStackReaders()
  const queues = { databases: createFairQueue(clock), contracts: createFairQueue(clock) }
  const answers = createDatabaseAnswers(log)
  return {
    clockSet: answers.clockSet,
    open({ deadline, eventLoop, timeoutMs }) {
      const reader = cloudRunReaders.open(deadline)
      const stacks = stackReaders.open(reader)
      const registryDeadline = startDeadline(clock, (deadline.at - clock.monotonic()) * registryShare, ending)
      const registry = clients.registry && openRegistryReader(clients.registry, registryDeadline)
      const probes = [
        createServiceProbe(stacks),
        createJobProbe(stacks),
        createExecutionProbe(stacks),
        createRegistryProbe(stacks, registry, registryDeadline.signal),
        createPostgresCatalogProbe({ readers: clients.databases, answers, clock, timeoutMs, queue: queues.databases }),
        createLanesProbe(stacks, registry),
        createTelemetryProbe(stacks, telemetryReaders?.open(deadline) ?? null, clock),
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
    },
  }
}
