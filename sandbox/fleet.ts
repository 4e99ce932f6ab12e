import type { JsonObject } from './merge-patch.ts'
import { healthyWorld, type WorldPatch } from './world.ts'

export interface Fleet {
  /** `app-0`, `app-1`, ...: the names of the services; the job of each is `<name>-migrate`. */
  readonly names: readonly string[]
  /** Changes the healthy world so that it contains only these. */
  readonly patch: WorldPatch
}

/** Copies of the healthy stack, each with its own revision and execution. */
export function buildFleet(size: number): Fleet {
  const names = Array.from({ length: size }, (_, index) => `app-${index}`)
  const world = healthyWorld()
  const service = resource(world, 'services', 'runtime')
  const revision = resource(world, 'revisions', 'runtime-00042-kxb')
  const job = resource(world, 'jobs', 'runtime-migrate')
  const execution = resource(world, 'executions', 'runtime-migrate-h8k4p')
  const latest = job.latestCreatedExecution as JsonObject
  const each = (collection: string, make: (name: string) => [string, JsonObject]): JsonObject => ({
    ...Object.fromEntries(Object.keys(world[collection] as JsonObject).map(name => [name, null])),
    ...Object.fromEntries(names.map(make)),
  })
  return {
    names,
    patch: {
      services: each('services', name => [
        name,
        { ...service, latestReadyRevision: `${name}-1`, latestCreatedRevision: `${name}-1` },
      ]),
      revisions: each('revisions', name => [`${name}-1`, { ...revision, service: name }]),
      jobs: each('jobs', name => [
        `${name}-migrate`,
        { ...job, latestCreatedExecution: { ...latest, name: `${name}-run` } },
      ]),
      executions: each('executions', name => [`${name}-run`, { ...execution, job: `${name}-migrate` }]),
    },
  }
}

function resource(world: JsonObject, collection: string, name: string): JsonObject {
  return (world[collection] as JsonObject)[name] as JsonObject
}
