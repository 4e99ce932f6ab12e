import type { AlertsPlan } from '../../alerts/policies/inspect.ts'
import {
  hasPolicy,
  hasUptimeCheck,
  type PolicyStep,
  planDuplicates,
  planDuplicateUptimeChecks,
} from '../../alerts/policies/policy-plan.ts'
import type { MonitoringClient } from '../../clients/monitoring/monitoring.ts'
import type { MonitoringWriter } from '../../clients/monitoring/monitoring-writer.ts'
import type { Clock } from '../../clock.ts'
import { type Deadline, withDeadline } from '../../concurrency/deadline.ts'
import { formatDuration } from '../../duration.ts'
import { asDriftwatchError, type DriftwatchError } from '../../errors.ts'

export interface ApplyOptions {
  readonly client: MonitoringClient
  readonly writer: MonitoringWriter
  readonly clock: Clock
  readonly signal: AbortSignal
  /** Receives a line for each step, failure and wait. */
  onProgress(line: string): void
}

/** For one step, including retries. */
const stepTimeoutMs = 30_000

/** A new metric is not visible to policies for up to ten minutes; this is a little longer. */
const metricTimeoutMs = 720_000
const metricPauseMs = 15_000

/** A step that failed, and its error. */
export interface FailedStep {
  readonly step: PolicyStep
  readonly error: DriftwatchError
}

/**
 * Applies the steps one at a time, as Cloud Monitoring requires, and deletes duplicates of what was created: another
 * instance may have created the same, or an attempt whose response was lost. A failed step does not stop the others.
 * Resolves with the failed steps; rejects if aborted, or if duplicates cannot be searched for.
 */
export async function applyAlerts(plan: AlertsPlan, options: ApplyOptions): Promise<FailedStep[]> {
  const failed = await applySteps(plan, options)
  const created = await findCreated(plan, options)
  const surplus = await applySteps({ ...plan, steps: created.duplicates }, options)
  return [...failed.filter(({ step, error }) => !error.retryable || !created.exists(step)), ...surplus]
}

/**
 * What exists of the created resources. Cloud Monitoring has no name for a new policy that the client chooses, so nothing
 * prevents a second one. The instance that creates the last one finds all of them here, and every instance keeps the same ones.
 */
async function findCreated({ project, monitor, steps }: AlertsPlan, { client, clock, signal }: ApplyOptions) {
  const wanted = steps.find(({ kind }) => kind === 'create-uptime-check')
  const check = wanted?.kind === 'create-uptime-check' ? wanted.check : null
  const read = <T>(list: (deadline: Deadline) => Promise<T[]>) => withDeadline(clock, stepTimeoutMs, signal, list)
  const policies = steps.some(({ kind }) => kind === 'create-policy')
    ? await read(deadline => client.listPolicies(project, deadline))
    : []
  const checks = check ? await read(deadline => client.listUptimeChecks(project, deadline)) : []
  return {
    duplicates: [
      ...planDuplicates(policies, monitor),
      ...(check ? planDuplicateUptimeChecks(check, checks, monitor) : []),
    ],
    /** Whether a creation that seemed to fail has succeeded. */
    exists(step: PolicyStep): boolean {
      if (step.kind === 'create-policy') return hasPolicy(policies, step.policy, monitor)
      return step.kind === 'create-uptime-check' && hasUptimeCheck(checks, step.check, monitor)
    },
  }
}

async function applySteps({ project, steps }: AlertsPlan, options: ApplyOptions): Promise<FailedStep[]> {
  const failed: FailedStep[] = []
  const startedAt = options.clock.monotonic()
  for (const step of steps) {
    options.onProgress(step.title)
    try {
      await applyStep(project, step, lacksMetric(step, failed) ? null : startedAt, options)
    } catch (thrown) {
      if (options.signal.aborted) throw thrown
      const error = asDriftwatchError(thrown)
      failed.push({ step, error })
      options.onProgress('  failed')
    }
  }
  return failed
}

/** Whether the metric of a policy could not be created, so that waiting for it is useless. */
function lacksMetric(step: PolicyStep, failed: readonly FailedStep[]): boolean {
  if (step.kind !== 'create-policy' && step.kind !== 'update-policy') return false
  const missing = failed.flatMap(each => (each.step.kind === 'create-descriptor' ? [each.step.descriptor.type] : []))
  return step.policy.conditions.some(({ filter }) => missing.some(type => filter.includes(`"${type}"`)))
}

/** Retries while a new metric is not visible yet, counted from `since`; null: does not wait. */
async function applyStep(
  project: string,
  step: PolicyStep,
  since: number | null,
  options: ApplyOptions,
): Promise<void> {
  const { clock, signal, onProgress } = options
  for (;;) {
    try {
      return await withDeadline(clock, stepTimeoutMs, signal, deadline => write(project, step, options, deadline))
    } catch (thrown) {
      const error = asDriftwatchError(thrown)
      const waitedMs = clock.monotonic() - (since ?? Number.NEGATIVE_INFINITY)
      if (!isUnknownMetric(error) || waitedMs > metricTimeoutMs) throw error
      const [waited, limit] = [waitedMs, metricTimeoutMs].map(formatDuration)
      onProgress(`  waiting until the new metric is available: ${waited} so far, at most ${limit}`)
      await clock.sleep(metricPauseMs, signal)
    }
  }
}

function isUnknownMetric({ code, message }: DriftwatchError): boolean {
  return code === 'NOT_FOUND' && /metric/i.test(message) && !/notification channel/i.test(message)
}

function write(project: string, step: PolicyStep, { client, writer }: ApplyOptions, deadline: Deadline): Promise<void> {
  switch (step.kind) {
    case 'create-descriptor':
      return client.createDescriptor(project, step.descriptor, deadline)
    case 'create-policy':
      return writer.createPolicy(project, step.policy, deadline)
    case 'update-policy':
      return writer.updatePolicy(step.policy, deadline)
    case 'delete-policy':
      return ignoreNotFound(writer.deletePolicy(step.name, deadline))
    case 'create-uptime-check':
      return writer.createUptimeCheck(step.check, deadline)
    case 'update-uptime-check':
      return writer.updateUptimeCheck(step.check, deadline)
    case 'delete-uptime-check':
      return ignoreNotFound(writer.deleteUptimeCheck(step.name, deadline))
  }
}

/** A resource that is already deleted is a success. */
async function ignoreNotFound(deletion: Promise<void>): Promise<void> {
  await deletion.catch(thrown => {
    if (asDriftwatchError(thrown).code !== 'NOT_FOUND') throw thrown
  })
}
