import type { JsonObject } from '../../sandbox/merge-patch.ts'
import { loadWorld, type WorldPatch } from '../../sandbox/world.ts'

export const project = 'openagentsgemini'
export const region = 'us-central1'

/** The reference time of every world of a test, so that unchanged resources stay identical, etags included. */
export const fleetSince = Date.now()

/** A stack like the healthy one. */
export interface FleetStack {
  readonly name: string
  /** Labels of its service and job; default: those of discovery. Null: none. */
  readonly serviceLabels?: Readonly<Record<string, string>> | null
  readonly jobLabels?: Readonly<Record<string, string>> | null
  /** Default true. */
  readonly hasService?: boolean
  readonly hasJob?: boolean
  readonly region?: string
}

export function labelsOf(stack: string, role: 'service' | 'migrate'): Record<string, string> {
  return { 'driftwatch-stack': stack, 'driftwatch-role': role }
}

/** Services `<name>` and jobs `<name>-migrate` instead of those of the healthy world, each with one revision and execution. */
export function fleetWorld(stacks: readonly FleetStack[]): WorldPatch {
  const healthy = loadWorld({}, fleetSince)
  const named = (resources: Readonly<Record<string, JsonObject>>, last: string) =>
    Object.entries(resources).find(([name]) => name.endsWith(`/${last}`))?.[1] ?? {}
  const copy = (resource: JsonObject, changes: JsonObject): JsonObject => {
    const { name, etag, ...rest } = structuredClone(resource)
    return { ...rest, ...changes }
  }
  const service = named(healthy.services, 'runtime')
  const revision = named(healthy.revisions, 'runtime-00042-kxb')
  const job = named(healthy.jobs, 'runtime-migrate')
  const execution = named(healthy.executions, 'runtime-migrate-h8k4p')
  const each = (has: (stack: FleetStack) => boolean, make: (stack: FleetStack) => [string, JsonObject]) =>
    Object.fromEntries(stacks.filter(has).map(make))
  const under = (stack: FleetStack, path: string) => `projects/${project}/locations/${stack.region ?? region}/${path}`
  const hasService = ({ hasService = true }: FleetStack) => hasService
  const hasJob = ({ hasJob = true }: FleetStack) => hasJob
  return {
    services: {
      runtime: null,
      ...each(hasService, stack => {
        const { name, serviceLabels = labelsOf(name, 'service') } = stack
        const latest = { latestReadyRevision: `${name}-1`, latestCreatedRevision: `${name}-1` }
        return [under(stack, `services/${name}`), copy(service, { ...latest, labels: serviceLabels ?? {} })]
      }),
    },
    revisions: each(hasService, stack => [
      under(stack, `services/${stack.name}/revisions/${stack.name}-1`),
      copy(revision, { service: stack.name }),
    ]),
    jobs: {
      'runtime-migrate': null,
      ...each(hasJob, stack => {
        const { name, jobLabels = labelsOf(name, 'migrate') } = stack
        const latestCreatedExecution = { ...(job.latestCreatedExecution as JsonObject), name: `${name}-run` }
        return [under(stack, `jobs/${name}-migrate`), copy(job, { latestCreatedExecution, labels: jobLabels ?? {} })]
      }),
    },
    executions: each(hasJob, stack => [
      under(stack, `jobs/${stack.name}-migrate/executions/${stack.name}-run`),
      copy(execution, { job: `${stack.name}-migrate` }),
    ]),
  }
}
