import type { AlertsPlan } from '../alerts/inspect.ts'
import type { Step } from '../alerts/plan.ts'
import { startDeadline } from '../clients/attempts.ts'
import type { MonitoringClient } from '../clients/monitoring.ts'
import type { MonitoringWriter } from '../clients/monitoring-writer.ts'
import type { Clock } from '../clock.ts'
import { formatDuration } from '../duration.ts'
import { asDriftwatchError, type DriftwatchError } from '../errors.ts'

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

/** So long a new metric is unknown to policies, and some more. */
const longestWaitMs = 720_000
const waitMs = 15_000

/** Takes the steps one after the other, as Cloud Monitoring wants it. Rejects at the first that fails. */
export async function applyAlerts({ project, steps }: AlertsPlan, options: ApplyOptions): Promise<void> {
  for (const step of steps) {
    options.onProgress(step.title)
    await takeStep(project, step, options)
  }
}

/** A metric that was made just now is unknown for some minutes: that is waited for. */
async function takeStep(project: string, step: Step, options: ApplyOptions): Promise<void> {
  const { clock, signal, onProgress } = options
  const begin = clock.monotonic()
  for (;;) {
    const deadline = startDeadline(clock, stepTimeoutMs, signal)
    try {
      return await write(project, step, options, deadline)
    } catch (thrown) {
      const error = asDriftwatchError(thrown)
      const waited = clock.monotonic() - begin
      if (!isUnknownMetric(error) || waited > longestWaitMs) throw error
      const most = formatDuration(longestWaitMs)
      onProgress(`  its metric is new and not known yet: waiting, ${formatDuration(waited)} so far, ${most} at most`)
      await clock.sleep(waitMs, signal)
    } finally {
      deadline.cancel()
    }
  }
}

function isUnknownMetric({ code, message }: DriftwatchError): boolean {
  return code === 'NOT_FOUND' && /metric/i.test(message) && !/notification channel/i.test(message)
}

function write(
  project: string,
  step: Step,
  { client, writer }: ApplyOptions,
  deadline: ReturnType<typeof startDeadline>,
): Promise<void> {
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
