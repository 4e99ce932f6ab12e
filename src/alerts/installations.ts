import { createHash } from 'node:crypto'
import type { MonitoringClient } from '../clients/monitoring/monitoring.ts'
import type { SeriesPoint } from '../clients/monitoring/time-series.ts'
import type { EpochMs } from '../clock.ts'
import type { Deadline } from '../concurrency/deadline.ts'
import type { Config } from '../config/config.ts'
import type { Snapshot } from '../drift/store.ts'
import { alertMetrics } from './descriptors.ts'
import { type MonitorIdentity, seriesFilter } from './identity.ts'
import { silentAfterMs } from './policies/windows.ts'

/** During a deploy, Cloud Run keeps an old instance for as long as its longest request: at most an hour. */
const rolloutMs = 3_600_000

/** A running instance, and the installation that it belongs to. */
interface Installation {
  readonly instance: string
  readonly location: string
  readonly configuration: string
}

/** Identifies the configuration of this instance, so that others can compare it with theirs. */
export function installationPoint(snapshot: Snapshot, alerts: Config['alerts']): SeriesPoint {
  return { metric: alertMetrics.installation, labels: { configuration: fingerprint(snapshot, alerts) }, value: 1 }
}

/** Discovered stacks do not count, because an instance that cannot list a place does not know them. */
function fingerprint({ stacks, discovery }: Snapshot, alerts: Config['alerts']): string {
  const places = (discovery ?? []).map(({ project, region }) => `${project}/${region}`).sort()
  const listed = stacks
    .filter(({ project, region }) => !places.includes(`${project}/${region}`))
    .map(({ name, project, region, service, job }) => [name, project, region, service, job].join('/'))
    .sort()
  const text = JSON.stringify([places, listed, alerts])
  return createHash('sha256').update(text).digest('hex').slice(0, 12)
}

export interface SharingQuery {
  readonly client: Pick<MonitoringClient, 'readPoints'>
  readonly config: Config
  readonly now: EpochMs
  /** The location of this instance; null if this process is none, such as `driftwatch alerts plan`. */
  readonly location: string | null
}

/**
 * Explains that several installations use the name of a monitor, or null. Installations run in different regions, or with
 * different configurations beside each other for longer than a deploy lasts.
 */
export async function describeSharing(
  { project, monitor }: MonitorIdentity,
  { client, config, now, location }: SharingQuery,
  deadline: Deadline,
): Promise<string | null> {
  const windowMs = silentAfterMs(config)
  const read = async (to: EpochMs): Promise<Installation[]> => {
    const query = {
      filter: seriesFilter(alertMetrics.installation, monitor),
      from: to - windowMs,
      to,
      groupBy: ['metric.label.configuration', 'resource.label.location', 'resource.label.task_id'],
    }
    const points = await client.readPoints(project, query, deadline)
    return points.map(({ metricLabels, resourceLabels }) => ({
      instance: resourceLabels.task_id ?? '',
      location: resourceLabels.location ?? '',
      configuration: metricLabels.configuration ?? '',
    }))
  }
  const live = await read(now)
  const locations = [...new Set([...live.map(each => each.location), ...(location === null ? [] : [location])])].sort()
  if (locations.length > 1) return sharing(monitor, project, `in ${locations.join(' and ')}`)
  if (new Set(live.map(each => each.configuration)).size < 2) return null
  const before = await read(now - Math.max(rolloutMs, windowMs))
  const lasting = live.filter(one => before.some(other => isSame(one, other)))
  if (new Set(lasting.map(each => each.configuration)).size < 2) return null
  const instances = lasting.map(({ instance }) => instance).sort()
  return sharing(monitor, project, `with different configurations: instances ${instances.join(' and ')}`)
}

function isSame(one: Installation, other: Installation): boolean {
  return one.instance === other.instance && one.configuration === other.configuration
}

function sharing(monitor: string, project: string, where: string): string {
  return `several installations use the monitor name ${monitor} in project ${project}, ${where}. Give each installation another service name, or stop all but one.`
}
