import { type Condition, type Execution, type ExecutionReference, isUnrecognized } from './cloud-run.ts'

/** How an execution ended, or that it has not. */
export type ExecutionVerdict =
  | { readonly kind: 'succeeded' }
  | { readonly kind: 'failed' | 'cancelled'; readonly reason: Condition | null }
  /** Queued or running. */
  | { readonly kind: 'under-way' }
  | { readonly kind: 'unrecognized'; readonly value: string }
  | { readonly kind: 'untold' }

/** Whether an execution has ended. Only what proves it counts. */
export type ExecutionStage = 'ended' | 'under-way' | 'cancelling' | 'unclear'

/** The stage of an execution: `unclear` where Cloud Run says something that this Driftwatch does not know. */
export function executionStage({ conditions, completionTime }: Execution): ExecutionStage {
  const completed = conditions.find(condition => condition.type === 'Completed')
  if (completionTime !== null) return 'ended'
  if (completed?.reason === 'CANCELLING') return 'cancelling'
  if (completed && isUnrecognized(completed.state)) return 'unclear'
  return completed?.state === 'succeeded' || completed?.state === 'failed' ? 'ended' : 'under-way'
}

/**
 * The condition `Completed` carries the verdict. Where it is absent, what the job says of the execution stands, except
 * that an execution which is there and does not say that it completed has not been proven to have succeeded.
 */
export function executionVerdict(execution: Execution | null, reference: ExecutionReference): ExecutionVerdict {
  const completed = execution?.conditions.find(condition => condition.type === 'Completed')
  if (completed) return verdictOfCondition(completed)
  const told = verdictOfReference(reference)
  return execution && told.kind === 'succeeded' ? { kind: 'untold' } : told
}

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
