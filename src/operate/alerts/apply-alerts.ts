import type { AlertsPlan } from '../../alerts/policies/inspect.ts'
import type { PolicyStep } from '../../alerts/policies/policy-plan.ts'
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
  /** Told what is being done, and what it waits for: one line each. */
  onProgress(line: string): void
}

/** One step, retries included. */
const stepTimeoutMs = 30_000

/** So long new metrics are unknown to policies, and some more. */
const longestWaitMs = 720_000
const waitMs = 15_000

/** A step that could not be taken, and why. */
export interface FailedStep {
  readonly step: PolicyStep
  readonly error: DriftwatchError
}

/**
 * Takes the steps one after the other, as Cloud Monitoring wants it; one that fails keeps no other from being taken.
 * Resolves with those that failed; rejects when it is given up.
 */
export async function applyAlerts({ project, steps }: AlertsPlan, options: ApplyOptions): Promise<FailedStep[]> {
  const failed: FailedStep[] = []
  const begun = options.clock.monotonic()
  for (const step of steps) {
    options.onProgress(step.title)
    try {
      await takeStep(project, step, isHopeless(step, failed) ? null : begun, options)
    } catch (thrown) {
      if (options.signal.aborted) throw thrown
      const error = asDriftwatchError(thrown)
      failed.push({ step, error })
      options.onProgress(`  failed: ${error.message}`)
    }
  }
  return failed
}

/** Whether it is known beforehand that a policy's metric will not come. */
function isHopeless(step: PolicyStep, failed: readonly FailedStep[]): boolean {
  if (step.kind !== 'create-policy' && step.kind !== 'update-policy') return false
  const missing = failed.flatMap(each => (each.step.kind === 'create-descriptor' ? [each.step.descriptor.type] : []))
  return step.policy.conditions.some(({ filter }) => missing.some(type => filter.includes(`"${type}"`)))
}

/** New metrics are unknown for some minutes from `since` on: that is waited for; null: not at all. */
async function takeStep(project: string, step: PolicyStep, since: number | null, options: ApplyOptions): Promise<void> {
  const { clock, signal, onProgress } = options
  for (;;) {
    try {
      return await withDeadline(clock, stepTimeoutMs, signal, deadline => write(project, step, options, deadline))
    } catch (thrown) {
      const error = asDriftwatchError(thrown)
      const waited = clock.monotonic() - (since ?? Number.NEGATIVE_INFINITY)
      if (!isUnknownMetric(error) || waited > longestWaitMs) throw error
      const most = formatDuration(longestWaitMs)
      onProgress(`  its metric is new and not known yet: waiting, ${formatDuration(waited)} so far, ${most} at most`)
      await clock.sleep(waitMs, signal)
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
      return unlessGone(writer.deletePolicy(step.name, deadline))
    case 'create-uptime-check':
      return writer.createUptimeCheck(step.check, deadline)
    case 'update-uptime-check':
      return writer.updateUptimeCheck(step.check, deadline)
    case 'delete-uptime-check':
      return unlessGone(writer.deleteUptimeCheck(step.name, deadline))
  }
}

/** Whoever deleted it first did the same. */
async function unlessGone(deletion: Promise<void>): Promise<void> {
  await deletion.catch(thrown => {
    if (asDriftwatchError(thrown).code !== 'NOT_FOUND') throw thrown
  })
}
