import type { MetadataServer } from '../clients/google/metadata.ts'
import type { SeriesResource } from '../clients/monitoring/time-series.ts'
import type { Deadline } from '../concurrency/deadline.ts'
import type { Config } from '../config/config.ts'
import type { Environment } from '../config/environment.ts'
import { DriftwatchError } from '../errors.ts'

/** Who writes the series, and where. */
export interface Identity {
  readonly project: string
  /** A real region or zone: Cloud Monitoring refuses any other. */
  readonly location: string
  /** Driftwatch's own service: what tells several monitors in a project apart. */
  readonly monitor: string
  /** What no other instance has: two never write the same series. */
  readonly instance: string
}

export interface IdentityOptions {
  readonly config: Config
  readonly environment: Pick<Environment, 'service'>
  /** Null where nobody is to be asked. */
  readonly metadata: MetadataServer | null
  /** Tells this process from every other: off Cloud Run, where a host may run several. */
  readonly process: string
}

/** The name of the monitor, also where no metadata server is asked. */
export function monitorName(environment: Pick<Environment, 'service'>): string {
  return environment.service ?? 'driftwatch'
}

/**
 * From the metadata server, else after the first stack, or the first place where stacks are found. On Cloud Run there is a metadata server: where it does not
 * answer nothing is guessed, and UNAVAILABLE is thrown.
 */
export async function readMonitorIdentity(options: IdentityOptions, deadline: Deadline): Promise<Identity> {
  const { config, environment, metadata } = options
  const monitor = monitorName(environment)
  const here = metadata && (await metadata.read(deadline))
  if (here) {
    const instance = environment.service === null ? options.process : here.instance
    return { project: here.project, location: here.location, monitor, instance }
  }
  if (metadata && environment.service !== null) {
    throw new DriftwatchError('UNAVAILABLE', 'the metadata server does not answer: where this runs is not known')
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

/** Series of one metric, whichever instance of the monitor wrote them, in Cloud Monitoring's filter language. */
export function seriesFilter(metric: string, monitor: string): string {
  return [
    `metric.type = "${metric}"`,
    'resource.type = "generic_task"',
    'resource.label.namespace = "driftwatch"',
    `resource.label.job = "${monitor}"`,
  ].join(' AND ')
}
