import { type Condition, type Execution, type ExecutionReference, isUnrecognized } from './cloud-run.ts'

/** The result of an execution. */
export type ExecutionVerdict =
  | { readonly kind: 'succeeded' }
  | { readonly kind: 'failed' | 'cancelled'; readonly reason: Condition | null }
  /** Queued or running. */
  | { readonly kind: 'under-way' }
  | { readonly kind: 'unrecognized'; readonly value: string }
  /** Cloud Run does not report a result. */
  | { readonly kind: 'untold' }

/** Whether an execution has ended; `unclear` if Cloud Run reports a state that this version does not know. */
export type ExecutionStage = 'ended' | 'under-way' | 'cancelling' | 'unclear'

export function executionStage({ conditions, completionTime }: Execution): ExecutionStage {
  const completed = conditions.find(condition => condition.type === 'Completed')
  if (completionTime !== null) return 'ended'
  if (completed?.reason === 'CANCELLING') return 'cancelling'
  if (completed && isUnrecognized(completed.state)) return 'unclear'
  return completed?.state === 'succeeded' || completed?.state === 'failed' ? 'ended' : 'under-way'
}

/**
 * Reads the result from the condition `Completed`, or else from the job's reference. An execution without that condition
 * never counts as succeeded.
 */
export function executionVerdict(execution: Execution | null, reference: ExecutionReference): ExecutionVerdict {
  const completed = execution?.conditions.find(condition => condition.type === 'Completed')
  if (completed) return verdictOfCondition(completed)
  const verdict = verdictOfReference(reference)
  return execution && verdict.kind === 'succeeded' ? { kind: 'untold' } : verdict
}

/**
 * Whether an execution is certainly the one that its job refers to. An execution can be created again under the same name,
 * with another creation time and another result.
 */
export function isReferenced(execution: Execution, reference: ExecutionReference): boolean {
  const { name, createTime } = reference
  const isSame = execution.name === name && createTime !== null && execution.createTime === createTime
  return isSame && !hasOtherResult(execution, reference)
}

/** Whether an execution is certainly another one than its job refers to. */
export function isSuperseded(execution: Execution, reference: ExecutionReference): boolean {
  if (execution.name !== reference.name) return true
  return execution.createTime !== reference.createTime && hasOtherResult(execution, reference)
}

function hasOtherResult(execution: Execution, reference: ExecutionReference): boolean {
  const completed = execution.conditions.find(condition => condition.type === 'Completed')
  const ofExecution = completed && results[verdictOfCondition(completed).kind]
  const ofReference = results[verdictOfReference(reference).kind]
  return Boolean(ofExecution && ofReference) && ofExecution !== ofReference
}

/** Null: the verdict does not contradict any other. A cancelled execution is also reported as failed. */
const results = {
  succeeded: 'succeeded',
  failed: 'failed',
  cancelled: 'failed',
  'under-way': 'under-way',
  unrecognized: null,
  untold: null,
} as const satisfies Record<ExecutionVerdict['kind'], string | null>

function verdictOfCondition(completed: Condition): ExecutionVerdict {
  const { state, reason } = completed
  if (isUnrecognized(state)) return { kind: 'unrecognized', value: state.unrecognized }
  switch (state) {
    case 'succeeded':
      return { kind: 'succeeded' }
    case 'failed':
      return { kind: reason === 'CANCELLED' || reason === 'CANCELLING' ? 'cancelled' : 'failed', reason: completed }
    case 'pending':
    case 'reconciling':
      return { kind: 'under-way' }
    case 'unspecified':
      return { kind: 'untold' }
  }
}

function verdictOfReference({ completionStatus }: ExecutionReference): ExecutionVerdict {
  if (isUnrecognized(completionStatus)) return { kind: 'unrecognized', value: completionStatus.unrecognized }
  switch (completionStatus) {
    case 'succeeded':
      return { kind: 'succeeded' }
    case 'failed':
    case 'cancelled':
      return { kind: completionStatus, reason: null }
    case 'running':
    case 'pending':
      return { kind: 'under-way' }
    case 'unspecified':
      return { kind: 'untold' }
  }
}
