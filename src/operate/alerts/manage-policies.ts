import { alertMetrics } from '../../alerts/descriptors.ts'
import { seriesFilter } from '../../alerts/identity.ts'
import { describeSharing } from '../../alerts/installations.ts'
import { inspectAlerts } from '../../alerts/policies/inspect.ts'
import { describePlan, type PolicyReconciler, type ReconcilerContext } from '../../alerts/policies/policy-reconciler.ts'
import { silentAfterMs } from '../../alerts/policies/windows.ts'
import { createMonitoringWriter } from '../../clients/monitoring/monitoring-writer.ts'
import { withDeadline } from '../../concurrency/deadline.ts'
import { DriftwatchError } from '../../errors.ts'
import { applyAlerts } from './apply-alerts.ts'

const heartbeatTimeoutMs = 30_000

/**
 * `alerts.policies: manage`: makes the alert policies match the configuration. Of several live instances, only the one
 * with the lowest name writes. If two write nevertheless, each of them deletes the duplicates that it finds, and the same
 * policies stay. After a creation it runs again soon, because another instance's policies may be visible only later.
 */
export function createPolicyManager({ emulatorHost }: { readonly emulatorHost: string | null }): PolicyReconciler {
  return async context => {
    await refuseSharing(context)
    const other = await findEarlierInstance(context)
    if (other !== null) {
      context.log.debug({ instance: other }, 'alert policies are managed by another instance')
      return { problem: null, again: true }
    }
    const { onRequest } = context
    const writer = createMonitoringWriter({ emulatorHost, clock: context.clock, onRequest })
    try {
      const plan = await inspectAlerts(context, context.identity)
      if (plan.steps.length === 0) return { problem: describePlan(plan), again: false }
      const { client, clock, log, signal } = context
      const onProgress = (line: string) => log.info({ step: line.trim() }, 'updating alert policies')
      const failed = await applyAlerts(plan, { client, writer, clock, signal, onProgress })
      const after = await inspectAlerts(context, context.identity)
      const failures = failed.map(({ step, error }) => `failed to ${step.title}: ${error.message}`)
      const created = plan.steps.some(({ kind }) => kind.startsWith('create-'))
      return { problem: describePlan(after, failures), again: created || after.steps.length > 0 }
    } finally {
      await writer.close()
    }
  }
}

/** Installations with one name would overwrite each other's policies. If series cannot be read, nothing is refused. */
async function refuseSharing({ client, config, clock, identity, signal }: ReconcilerContext): Promise<void> {
  const query = { client, config, now: clock.now(), location: identity.location }
  const sharing = await withDeadline(clock, heartbeatTimeoutMs, signal, deadline =>
    describeSharing(identity, query, deadline),
  ).catch(() => null)
  signal.throwIfAborted()
  if (sharing !== null) throw new DriftwatchError('MONITOR_SHARED', `nothing is written: ${sharing}`)
}

/**
 * A live instance with a lower name, or null if this instance may write. An instance is live if its last heartbeat is
 * within the silence threshold. If series cannot be read, every instance may write.
 */
async function findEarlierInstance(context: ReconcilerContext): Promise<string | null> {
  const { client, config, clock, identity, signal } = context
  const to = clock.now()
  const query = {
    filter: seriesFilter(alertMetrics.heartbeat, identity.monitor),
    from: to - silentAfterMs(config),
    to,
    groupBy: ['resource.label.task_id'],
  }
  try {
    const heartbeats = await withDeadline(clock, heartbeatTimeoutMs, signal, deadline =>
      client.readPoints(identity.project, query, deadline),
    )
    const names = heartbeats.map(({ resourceLabels }) => resourceLabels.task_id ?? identity.instance).sort()
    return names.find(name => name < identity.instance) ?? null
  } catch {
    signal.throwIfAborted()
    return null
  }
}
