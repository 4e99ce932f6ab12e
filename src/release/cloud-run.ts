import type { EpochMs } from '../clock.ts'

/** An enum value that this version does not know. */
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
  /** Cloud Run's reason code (`CONTAINER_MISSING`, `NON_ZERO_EXIT_CODE`), or null. */
  readonly reason: string | null
  /** When it entered this state. */
  readonly since: EpochMs | null
}

export interface Container {
  /** Empty if Cloud Run returns none. */
  readonly name: string
  readonly image: string
  /** Empty: the image's entrypoint. */
  readonly command: readonly string[]
  readonly args: readonly string[]
  /** Whether it receives requests. Only one container of a service does. */
  readonly hasPorts: boolean
}

/** Who last changed a resource, as far as Cloud Run reports it. */
export interface Authorship {
  readonly updateTime: EpochMs | null
  readonly lastModifier: string | null
  /** The tool, such as `gcloud 528.0.0`. */
  readonly client: string | null
}

export interface TrafficTarget {
  readonly type: 'latest' | 'revision' | 'unspecified' | Unrecognized
  /** Short name, or null for the latest revision. */
  readonly revision: string | null
  readonly percent: number
  readonly tag: string | null
}

/** What services and jobs have in common. All names are short names: the last segment of the resource name. */
export interface CloudRunResource extends Authorship {
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly etag: string
  readonly reconciling: boolean
  readonly terminalCondition: Condition | null
}

export interface Service extends CloudRunResource {
  /** The containers of the template, from which the next revision is made. The serving revisions may differ. */
  readonly containers: readonly Container[]
  /** The revision name that the template sets, or null if Cloud Run generates it. */
  readonly templateRevision: string | null
  readonly scalingMode: 'automatic' | 'manual' | 'unspecified' | Unrecognized
  /** The number of instances with manual scaling, or null. */
  readonly manualInstanceCount: number | null
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

/** The latest execution, as the job describes it. */
export interface ExecutionReference {
  readonly name: string
  readonly createTime: EpochMs | null
  readonly completionStatus: CompletionStatus | Unrecognized
}

export interface Job extends CloudRunResource {
  readonly createTime: EpochMs | null
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
