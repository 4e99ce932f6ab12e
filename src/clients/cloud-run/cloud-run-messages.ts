import type { protos } from '@google-cloud/run'
import type { EpochMs } from '../../clock.ts'
import { DriftwatchError } from '../../errors.ts'
import { vendorName, vendorProse } from '../../printable.ts'
import type {
  CloudRunResource,
  CompletionStatus,
  Condition,
  ConditionState,
  Container,
  Execution,
  ExecutionReference,
  Job,
  Revision,
  Service,
  TrafficTarget,
  Unrecognized,
} from '../../release/cloud-run.ts'

type VendorService = protos.google.cloud.run.v2.IService
type VendorRevision = protos.google.cloud.run.v2.IRevision
type VendorJob = protos.google.cloud.run.v2.IJob
type VendorExecution = protos.google.cloud.run.v2.IExecution
type VendorReference = protos.google.cloud.run.v2.IExecutionReference
type VendorCondition = protos.google.cloud.run.v2.ICondition
type VendorContainer = protos.google.cloud.run.v2.IContainer
type VendorTarget = protos.google.cloud.run.v2.ITrafficTarget | protos.google.cloud.run.v2.ITrafficTargetStatus
type VendorTime = protos.google.protobuf.ITimestamp

/** An enum value: its name, or a number if the value is newer than the client library. */
type VendorEnum = string | number | null | undefined

const conditionStates: Readonly<Record<string, ConditionState>> = {
  STATE_UNSPECIFIED: 'unspecified',
  CONDITION_PENDING: 'pending',
  CONDITION_RECONCILING: 'reconciling',
  CONDITION_FAILED: 'failed',
  CONDITION_SUCCEEDED: 'succeeded',
}

const targetTypes: Readonly<Record<string, 'latest' | 'revision' | 'unspecified'>> = {
  TRAFFIC_TARGET_ALLOCATION_TYPE_UNSPECIFIED: 'unspecified',
  TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST: 'latest',
  TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION: 'revision',
}

const scalingModes: Readonly<Record<string, 'automatic' | 'manual' | 'unspecified'>> = {
  SCALING_MODE_UNSPECIFIED: 'unspecified',
  AUTOMATIC: 'automatic',
  MANUAL: 'manual',
}

const completionStatuses: Readonly<Record<string, CompletionStatus>> = {
  COMPLETION_STATUS_UNSPECIFIED: 'unspecified',
  EXECUTION_SUCCEEDED: 'succeeded',
  EXECUTION_FAILED: 'failed',
  EXECUTION_RUNNING: 'running',
  EXECUTION_PENDING: 'pending',
  EXECUTION_CANCELLED: 'cancelled',
}

export function toService(message: VendorService): Service {
  return {
    ...toResource(message),
    containers: (message.template?.containers ?? []).map(toContainer),
    templateRevision: shortName(message.template?.revision),
    scalingMode: recognize(message.scaling?.scalingMode, scalingModes, 'unspecified'),
    manualInstanceCount: message.scaling?.manualInstanceCount ?? null,
    traffic: (message.traffic ?? []).map(toTarget),
    trafficStatuses: (message.trafficStatuses ?? []).map(toTarget),
    latestReadyRevision: shortName(message.latestReadyRevision),
    latestCreatedRevision: shortName(message.latestCreatedRevision),
  }
}

export function toRevision(message: VendorRevision): Revision {
  return {
    name: requiredName(message.name),
    createTime: toMoment(message.createTime),
    containers: (message.containers ?? []).map(toContainer),
    conditions: (message.conditions ?? []).map(toCondition),
  }
}

export function toJob(message: VendorJob): Job {
  return {
    ...toResource(message),
    createTime: toMoment(message.createTime),
    containers: (message.template?.template?.containers ?? []).map(toContainer),
    executionCount: message.executionCount ?? 0,
    latestCreatedExecution: toReference(message.latestCreatedExecution),
  }
}

export function toExecution(message: VendorExecution): Execution {
  return {
    name: requiredName(message.name),
    job: shortName(message.job) ?? '',
    createTime: toMoment(message.createTime),
    completionTime: toMoment(message.completionTime),
    creator: message.creator ? vendorProse(message.creator) : null,
    containers: (message.template?.containers ?? []).map(toContainer),
    conditions: (message.conditions ?? []).map(toCondition),
    taskCount: message.taskCount ?? 0,
    succeededCount: message.succeededCount ?? 0,
    failedCount: message.failedCount ?? 0,
    cancelledCount: message.cancelledCount ?? 0,
    retriedCount: message.retriedCount ?? 0,
  }
}

function toLabels(labels: Readonly<Record<string, string>> | null | undefined): Record<string, string> {
  return Object.fromEntries(Object.entries(labels ?? {}).map(pair => pair.map(vendorName) as [string, string]))
}

function toReference(message: VendorReference | null | undefined): ExecutionReference | null {
  const name = shortName(message?.name)
  if (!message || !name) return null
  return {
    name,
    createTime: toMoment(message.createTime),
    completionStatus: recognize(message.completionStatus, completionStatuses, 'unspecified'),
  }
}

function toCondition(message: VendorCondition): Condition {
  return {
    type: message.type ?? '',
    state: recognize(message.state, conditionStates, 'unspecified'),
    message: vendorProse(message.message ?? ''),
    reason: toReason(message.executionReason || message.revisionReason || message.reason),
    since: toMoment(message.lastTransitionTime),
  }
}

/** Null if there is none, or only `..._UNDEFINED`. */
function toReason(value: VendorEnum): string | null {
  if (!value || String(value).endsWith('_REASON_UNDEFINED')) return null
  return typeof value === 'number' ? `reason ${value} (unknown to this version of Driftwatch)` : vendorName(value)
}

export function toContainer(message: VendorContainer): Container {
  return {
    name: vendorName(message.name ?? ''),
    image: message.image ?? '',
    command: message.command ?? [],
    args: message.args ?? [],
    hasPorts: (message.ports ?? []).length > 0,
  }
}

function toTarget(message: VendorTarget): TrafficTarget {
  return {
    type: recognize(message.type, targetTypes, 'unspecified'),
    revision: shortName(message.revision),
    percent: message.percent ?? 0,
    tag: message.tag ? vendorName(message.tag) : null,
  }
}

function toResource(message: VendorService | VendorJob): CloudRunResource {
  const client = [message.client, message.clientVersion].filter(word => word).join(' ')
  return {
    name: requiredName(message.name),
    labels: toLabels(message.labels),
    etag: message.etag ?? '',
    reconciling: message.reconciling ?? false,
    terminalCondition: message.terminalCondition ? toCondition(message.terminalCondition) : null,
    updateTime: toMoment(message.updateTime),
    lastModifier: message.lastModifier ? vendorProse(message.lastModifier) : null,
    client: client ? vendorProse(client) : null,
  }
}

function recognize<T extends string>(
  value: VendorEnum,
  known: Readonly<Record<string, T>>,
  unset: T,
): T | Unrecognized {
  if (value === null || value === undefined || value === '') return unset
  return known[value] ?? { unrecognized: String(value) }
}

/** Seconds are a string, nanoseconds a number. */
function toMoment(time: VendorTime | null | undefined): EpochMs | null {
  const seconds = Number(time?.seconds ?? 0)
  return time && seconds > 0 ? seconds * 1000 + Math.floor((time.nanos ?? 0) / 1e6) : null
}

function shortName(name: string | null | undefined): string | null {
  return name ? vendorName(name.slice(name.lastIndexOf('/') + 1)) || null : null
}

function requiredName(name: string | null | undefined): string {
  const short = shortName(name)
  if (!short) throw new DriftwatchError('MALFORMED_RESPONSE', 'the response contains a resource without a name')
  return short
}
