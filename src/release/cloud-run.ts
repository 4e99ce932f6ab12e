import type { EpochMs } from '../clock.ts'

/** A value of an enum that is newer than the client: it proves nothing. */
export interface Unrecognized {
  readonly unrecognized: string
}

export function isUnrecognized(value: unknown): value is Unrecognized {
  return typeof value === 'object' && value !== null && 'unrecognized' in value
}

export type ConditionState = 'succeeded' | 'failed' | 'pending' | 'reconciling' | 'unspecified'

/** One condition of a Cloud Run resource (google.cloud.run.v2.Condition). */
export interface Condition {
  readonly type: string
  readonly state: ConditionState | Unrecognized
  readonly message: string
  /** The vendor's name of the reason (`CONTAINER_MISSING`, `NON_ZERO_EXIT_CODE`), or null. */
  readonly reason: string | null
  /** When it took this state. */
  readonly since: EpochMs | null
}

export interface Container {
  /** Empty where Cloud Run shows none. */
  readonly name: string
  readonly image: string
  /** Empty: the image's own entrypoint. */
  readonly command: readonly string[]
  readonly args: readonly string[]
  /** Whether it takes requests: only one container of a service does. */
  readonly hasPorts: boolean
}

/** Who changed a resource last, as far as Cloud Run tells. */
export interface Authorship {
  readonly updateTime: EpochMs | null
  readonly lastModifier: string | null
  /** The tool that was used, `gcloud 528.0.0`. */
  readonly client: string | null
}

export interface TrafficTarget {
  readonly type: 'latest' | 'revision' | 'unspecified' | Unrecognized
  /** Short name, or null where it follows the latest. */
  readonly revision: string | null
  readonly percent: number
  readonly tag: string | null
}

/** Names are short names throughout: the last segment of the resource name. */
export interface Service extends Authorship {
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly etag: string
  readonly reconciling: boolean
  readonly terminalCondition: Condition | null
  /** The containers of the template: the wish for the next revision, not what serves. */
  readonly containers: readonly Container[]
  /** The name that the template asks for its revision, or null where Cloud Run chooses. */
  readonly templateRevision: string | null
  readonly traffic: readonly TrafficTarget[]
  readonly trafficStatuses: readonly TrafficTarget[]
  readonly latestReadyRevision: string | null
  readonly latestCreatedRevision: string | null
}

export interface Revision {
  readonly name: string
  readonly createTime: EpochMs | null
  readonly containers: readonly Container[]
  readonly conditions: readonly Condition[]
}

export type CompletionStatus = 'succeeded' | 'failed' | 'running' | 'pending' | 'cancelled' | 'unspecified'

/** What a job says of its latest execution. */
export interface ExecutionReference {
  readonly name: string
  readonly createTime: EpochMs | null
  readonly completionStatus: CompletionStatus | Unrecognized
}

export interface Job extends Authorship {
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly etag: string
  readonly reconciling: boolean
  readonly terminalCondition: Condition | null
  readonly containers: readonly Container[]
  readonly executionCount: number
  readonly latestCreatedExecution: ExecutionReference | null
}

export interface Execution {
  readonly name: string
  /** Short name of its job. */
  readonly job: string
  readonly createTime: EpochMs | null
  readonly completionTime: EpochMs | null
  readonly creator: string | null
  readonly containers: readonly Container[]
  readonly conditions: readonly Condition[]
  readonly taskCount: number
  readonly succeededCount: number
  readonly failedCount: number
  readonly cancelledCount: number
  readonly retriedCount: number
}
