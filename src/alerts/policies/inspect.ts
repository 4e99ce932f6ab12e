import type { MonitoringClient } from '../../clients/monitoring/monitoring.ts'
import type { Clock } from '../../clock.ts'
import { type Deadline, withDeadline } from '../../concurrency/deadline.ts'
import type { Config } from '../../config/config.ts'
import { asDriftwatchError } from '../../errors.ts'
import { descriptorConflict, wantedDescriptors } from '../descriptors.ts'
import type { MonitorIdentity } from '../identity.ts'
import { describeSharing } from '../installations.ts'
import { wantedAlerts } from './policies.ts'
import { type PolicyStep, planPolicies, planUptimeCheck } from './policy-plan.ts'

/** The differences between Cloud Monitoring and the configuration, for one monitor. */
export interface AlertsPlan extends MonitorIdentity {
  /** In the order of execution; empty if nothing differs. */
  readonly steps: readonly PolicyStep[]
  /** Problems that no step fixes. */
  readonly problems: readonly string[]
  /** Further information. */
  readonly notes: readonly string[]
}

export interface InspectOptions {
  readonly client: MonitoringClient
  readonly config: Config
  readonly clock: Clock
  readonly signal: AbortSignal
}

const timeoutMs = 30_000

/** The location is known only to an instance of the monitor. */
type InspectedMonitor = MonitorIdentity & { readonly location?: string }

/** Read-only. Rejects if the policies cannot be read. */
export function inspectAlerts(options: InspectOptions, identity: InspectedMonitor): Promise<AlertsPlan> {
  const { clock, signal } = options
  return withDeadline(clock, timeoutMs, signal, deadline => inspectUntil(deadline, options, identity))
}

async function inspectUntil(
  deadline: Deadline,
  { client, config, clock }: InspectOptions,
  { project, monitor, location }: InspectedMonitor,
): Promise<AlertsPlan> {
  const descriptors = await inspectDescriptors(client, project, deadline)
  const missing = await missingChannels(client, config, deadline)
  const wanted = wantedAlerts(withoutChannels(config, missing), { project, monitor })
  const policies = planPolicies(wanted.policies, await client.listPolicies(project, deadline), monitor)
  // If no uptime check is wanted, the permission to list them may be missing.
  const checks = await client.listUptimeChecks(project, deadline).catch(thrown => {
    if (wanted.uptimeCheck) throw thrown
    return []
  })
  const query = { client, config, now: clock.now(), location: location ?? null }
  const sharing = await describeSharing({ project, monitor }, query, deadline).then(toProblem, toNote)
  return {
    project,
    monitor,
    steps: [...descriptors.steps, ...policies.steps, ...planUptimeCheck(wanted.uptimeCheck, checks, monitor)],
    problems: [
      ...sharing.problems,
      ...descriptors.problems,
      ...[...missing].map(name => `notification channel ${name} does not exist and is omitted from the policies`),
      ...wanted.problems,
      ...policies.problems,
    ],
    notes: [...policies.notes, ...sharing.notes],
  }
}

const toProblem = (sharing: string | null) => ({ problems: sharing === null ? [] : [sharing], notes: [] })

const toNote = (thrown: unknown) => ({
  problems: [],
  notes: [`cannot determine whether another installation uses this name: ${asDriftwatchError(thrown).message}`],
})

async function inspectDescriptors(client: MonitoringClient, project: string, deadline: Deadline) {
  const steps: PolicyStep[] = []
  const problems: string[] = []
  for (const descriptor of wantedDescriptors) {
    const actual = await client.getDescriptor(project, descriptor.type, deadline)
    const conflict = actual && descriptorConflict(descriptor, actual)
    if (conflict) problems.push(conflict)
    else if (!actual) {
      steps.push({ kind: 'create-descriptor', title: `create metric ${descriptor.type}`, details: [], descriptor })
    }
  }
  return { steps, problems }
}

/** The configured notification channels that do not exist. One that may not be read counts as existing. */
async function missingChannels(client: MonitoringClient, { alerts }: Config, deadline: Deadline): Promise<Set<string>> {
  const named = new Set([
    ...alerts.notificationChannels,
    ...alerts.routes.flatMap(({ notificationChannels }) => notificationChannels),
  ])
  const missing = new Set<string>()
  for (const name of named) {
    const exists = await client.hasNotificationChannel(name, deadline).catch(thrown => {
      if (asDriftwatchError(thrown).code === 'PERMISSION_DENIED') return true
      throw thrown
    })
    if (!exists) missing.add(name)
  }
  return missing
}

/** A policy with fewer channels is better than none. */
function withoutChannels(config: Config, missing: ReadonlySet<string>): Config {
  const existing = (names: readonly string[]) => names.filter(name => !missing.has(name))
  const { alerts } = config
  return {
    ...config,
    alerts: {
      ...alerts,
      notificationChannels: existing(alerts.notificationChannels),
      routes: alerts.routes.map(route => ({ ...route, notificationChannels: existing(route.notificationChannels) })),
    },
  }
}
