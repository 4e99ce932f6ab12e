import type { MonitoringClient } from '../../clients/monitoring/monitoring.ts'
import type { Deadline } from '../../concurrency/deadline.ts'
import type { Config } from '../../config/config.ts'
import { asDriftwatchError } from '../../errors.ts'
import { descriptorConflict, wantedDescriptors } from '../descriptors.ts'
import { wantedAlerts } from './policies.ts'
import { type PolicyStep, planPolicies, planUptimeCheck } from './policy-plan.ts'

/** What Cloud Monitoring holds for a monitor, against what the config wants. */
export interface AlertsPlan {
  readonly project: string
  readonly monitor: string
  /** In the order in which they are taken; none where everything is right. */
  readonly steps: readonly PolicyStep[]
  /** What no step mends. */
  readonly problems: readonly string[]
  /** What a reader should know. */
  readonly notes: readonly string[]
}

export interface InspectOptions {
  readonly client: MonitoringClient
  readonly config: Config
  readonly project: string
  readonly monitor: string
}

/** Only reads. Rejects where the policies cannot be read. */
export async function inspectAlerts(
  { client, config, project, monitor }: InspectOptions,
  deadline: Deadline,
): Promise<AlertsPlan> {
  const descriptors = await inspectDescriptors(client, project, deadline)
  const missing = await missingChannels(client, config, deadline)
  const wanted = wantedAlerts(withoutChannels(config, missing), { project, monitor })
  const policies = planPolicies(wanted.policies, await client.listPolicies(project, deadline), monitor)
  // Whoever wants no uptime check may lack the right to list them.
  const checks = await client.listUptimeChecks(project, deadline).catch(thrown => {
    if (wanted.uptimeCheck) throw thrown
    return []
  })
  return {
    project,
    monitor,
    steps: [...descriptors.steps, ...policies.steps, ...planUptimeCheck(wanted.uptimeCheck, checks, monitor)],
    problems: [
      ...descriptors.problems,
      ...[...missing].map(name => `there is no notification channel ${name}: alerts leave it out`),
      ...wanted.problems,
      ...policies.problems,
    ],
    notes: policies.notes,
  }
}

async function inspectDescriptors(client: MonitoringClient, project: string, deadline: Deadline) {
  const steps: PolicyStep[] = []
  const problems: string[] = []
  for (const descriptor of wantedDescriptors) {
    const actual = await client.getDescriptor(project, descriptor.type, deadline)
    const conflict = actual && descriptorConflict(descriptor, actual)
    if (conflict) problems.push(conflict)
    else if (!actual) {
      steps.push({ kind: 'create-descriptor', title: `create the metric ${descriptor.type}`, details: [], descriptor })
    }
  }
  return { steps, problems }
}

/** The notification channels that the config names and that are not there. One that may not be read is believed. */
async function missingChannels(client: MonitoringClient, { alerts }: Config, deadline: Deadline): Promise<Set<string>> {
  const named = new Set([
    ...alerts.notificationChannels,
    ...alerts.routes.flatMap(({ notificationChannels }) => notificationChannels),
  ])
  const missing = new Set<string>()
  for (const name of named) {
    const there = await client.hasNotificationChannel(name, deadline).catch(thrown => {
      if (asDriftwatchError(thrown).code === 'PERMISSION_DENIED') return true
      throw thrown
    })
    if (!there) missing.add(name)
  }
  return missing
}

/** An alert that reaches fewer people is better than none. */
function withoutChannels(config: Config, missing: ReadonlySet<string>): Config {
  const there = (names: readonly string[]) => names.filter(name => !missing.has(name))
  const { alerts } = config
  return {
    ...config,
    alerts: {
      ...alerts,
      notificationChannels: there(alerts.notificationChannels),
      routes: alerts.routes.map(route => ({ ...route, notificationChannels: there(route.notificationChannels) })),
    },
  }
}
