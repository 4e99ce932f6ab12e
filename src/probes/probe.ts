import type { Deadline } from '../concurrency/deadline.ts'
import type { FairQueue } from '../concurrency/fair-queue.ts'
import type { Stack } from '../config/config.ts'
import type { Catalog } from '../grants/model/catalog.ts'
import type { Execution, Job, Revision, Service } from '../release/cloud-run.ts'
import type { Doubt } from '../release/doubt.ts'
import type { HttpAnswers } from '../release/http-answer.ts'
import type { ObservedLanes } from '../release/lanes.ts'
import type { RegistryAnswers } from '../release/registry-answers.ts'
import type { ObservedTelemetry } from '../release/rollout-telemetry.ts'

/** A service, and of its revisions those that serve and the one that was created last. */
export interface ObservedService {
  readonly service: Service
  /** By short name; null for one that is referred to and no longer kept. */
  readonly revisions: ReadonlyMap<string, Revision | null>
}

/** The latest execution of a job. */
export interface ObservedExecution {
  /** Null when the job names none, or names one that is no longer kept. */
  readonly execution: Execution | null
  /** The revision that was the newest when the execution was created; null where that does not matter or is not known. */
  readonly revisionThen: Revision | null
}

/** The catalog of a stack's database, and the migrations that it has recorded. */
export interface ObservedDatabase {
  readonly catalog: Catalog
  /** Why the rights in the catalog cannot be judged although all else can; null where they can. */
  readonly rightsDoubt: Doubt | null
  /** Null where the config names no ledger. */
  readonly ledger: LedgerAnswer | null
}

/** The versions in a ledger of migrations, or why they could not be read although the catalog could. */
export type LedgerAnswer =
  | { readonly outcome: 'read'; readonly versions: readonly string[] }
  | { readonly outcome: 'missing' }
  | { readonly outcome: 'failed'; readonly doubt: Doubt }

/** What each probe sees of a stack. Null: the vendor positively answered that there is no such thing. */
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

export interface Probe<K extends ProbeKind> {
  readonly kind: K
  /** Where each stack is asked at an address of its own: a few are at once, and the time for a look begins with its turn. */
  readonly turns?: FairQueue
  /** Looks at one stack. What is positively not there is an answer; rejects when it could not look. Never judges. */
  observe(stack: Stack, deadline: Deadline): Promise<Observed[K]>
}
