import type { MetadataServer } from '../clients/google/metadata.ts'
import type { SeriesResource } from '../clients/monitoring/time-series.ts'
import type { Deadline } from '../concurrency/deadline.ts'
import type { Config } from '../config/config.ts'
import type { Environment } from '../config/environment.ts'
import { DriftwatchError } from '../errors.ts'

/** Identifies the writer of the series. */
export interface Identity {
  readonly project: string
  /** An existing region or zone; Cloud Monitoring rejects others. */
  readonly location: string
  /** The name of Driftwatch's service, which distinguishes the monitors of a project. */
  readonly monitor: string
  /** Unique for each instance, so that two instances never write the same series. */
  readonly instance: string
}

/** A monitor, whichever of its instances writes. */
export type MonitorIdentity = Pick<Identity, 'project' | 'monitor'>

export interface IdentityOptions {
  readonly config: Config
  readonly environment: Pick<Environment, 'service'>
  /** Null if there is no metadata server. */
  readonly metadata: MetadataServer | null
  /** A unique name of this process, for use outside Cloud Run. */
  readonly process: string
}

/**
 * Reads the identity from the metadata server, or else derives it from the first stack or the first place of discovery.
 * Throws UNAVAILABLE if the metadata server does not respond on Cloud Run.
 */
export async function readMonitorIdentity(options: IdentityOptions, deadline: Deadline): Promise<Identity> {
  const { config, environment, metadata } = options
  const monitor = environment.service ?? 'driftwatch'
  const own = metadata && (await metadata.read(deadline))
  if (own) {
    const instance = environment.service === null ? options.process : own.instance
    return { project: own.project, location: own.location, monitor, instance }
  }
  if (metadata && environment.service !== null) {
    throw new DriftwatchError('UNAVAILABLE', 'the metadata server did not respond: project and region are unknown')
  }
  const [first = config.discover?.places[0]] = config.stacks
  return { project: first?.project ?? '', location: first?.region ?? '', monitor, instance: options.process }
}

/** The monitored resource that every series is written on. */
export function seriesResource({ project, location, monitor, instance }: Identity): SeriesResource {
  return {
    type: 'generic_task',
    labels: { project_id: project, location, namespace: 'driftwatch', job: monitor, task_id: instance },
  }
}

/** A Cloud Monitoring filter for the series of one metric, from all instances of a monitor. */
export function seriesFilter(metric: string, monitor: string): string {
  return [
    `metric.type = "${metric}"`,
    'resource.type = "generic_task"',
    'resource.label.namespace = "driftwatch"',
    `resource.label.job = "${monitor}"`,
  ].join(' AND ')
}
