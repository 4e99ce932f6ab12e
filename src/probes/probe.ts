import type { EpochMs } from '../clock.ts'
import type { Deadline } from '../concurrency/deadline.ts'
import type { FairQueue } from '../concurrency/fair-queue.ts'
import type { Stack } from '../config/config.ts'
import type { Catalog } from '../grants/model/catalog.ts'
import type { DatabaseIdentity } from '../grants/model/identity.ts'
import type { Execution, Job, Revision, Service } from '../release/cloud-run.ts'
import type { HttpAnswers } from '../release/http-answer.ts'
import type { RegistryAnswers } from '../release/registry-answers.ts'
import type { Release } from '../release/release.ts'
import type { ObservedLanes } from '../release/release-lanes.ts'
import type { ObservedTelemetry } from '../release/rollout-telemetry.ts'
import type { UnknownReason } from '../release/unknown-reason.ts'

/** A service with its serving revisions and the revision that was created last. */
export interface ObservedService {
  readonly service: Service
  /** By short name; null if Cloud Run no longer has the revision. */
  readonly revisions: ReadonlyMap<string, Revision | null>
  readonly release: Release
}

/** The latest execution of a job. */
export interface ObservedExecution {
  /** Null if the job has none, or if Cloud Run no longer has it. */
  readonly execution: Execution | null
  /** The newest revision when the execution was created; null if it is not needed or not known. */
  readonly revisionThen: Revision | null
}

/** The server that answered. */
export interface ObservedServer {
  readonly identity: DatabaseIdentity
  /** How old its data is. Null: it is a standby that does not say. */
  readonly asOf: EpochMs | null
}

/** The catalog of a stack's database, and its recorded migrations. */
export interface ObservedDatabase {
  readonly server: ObservedServer
  readonly catalog: Catalog
  /** Why the privileges in the catalog cannot be judged, although everything else can; otherwise null. */
  readonly rightsUnknown: UnknownReason | null
  /** Null if no ledger is configured. */
  readonly ledger: LedgerAnswer | null
}

/** The versions in the ledger of migrations, or why they could not be read. */
export type LedgerAnswer =
  | { readonly outcome: 'read'; readonly versions: readonly string[] }
  | { readonly outcome: 'missing' }
  | { readonly outcome: 'failed'; readonly reason: UnknownReason }

/** The observation of each probe. Null: the vendor reports that the resource does not exist. */
export interface Observed {
  service: ObservedService | null
  job: Job | null
  execution: ObservedExecution | null
  registry: RegistryAnswers
  'postgres-catalog': ObservedDatabase | null
  lanes: ObservedLanes
  telemetry: ObservedTelemetry | null
  http: HttpAnswers
}

export const probeKinds = [
  'service',
  'job',
  'execution',
  'registry',
  'postgres-catalog',
  'lanes',
  'telemetry',
  'http',
] as const satisfies readonly (keyof Observed)[]
export type ProbeKind = (typeof probeKinds)[number]

/** Where an answer comes from. */
export interface Origin {
  /** How old the data is; null if it is as recent as the probe. */
  readonly asOf: EpochMs | null
  /** The identity of what was observed, which another resource of the same name does not have; null if unknown. */
  readonly subject: string | null
}

export interface Probe<K extends ProbeKind> {
  readonly kind: K
  /** Limits how many stacks are probed at once. The time for a probe starts when its turn comes. */
  readonly queue?: FairQueue
  /** Observes one stack and never judges it. Null or absence is an observation; rejects with a coded error on failure. */
  observe(stack: Stack, deadline: Deadline): Promise<Observed[K]>
  /** The origin of an answer. Without it, answers are as recent as the probe. */
  originOf?(value: Observed[K]): Origin
}
