import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { parse } from 'yaml'
import type { Fault } from './cloud-run/faults.ts'
import { toMessage } from './cloud-run/message.ts'
import type { WriteBehaviour } from './cloud-run/write-behaviour.ts'
import type { ContractWorld } from './contract.ts'
import { expandDigests } from './images.ts'
import { isJsonObject, type Json, type JsonObject, mergePatch } from './merge-patch.ts'
import type { TelemetryWorld } from './monitoring/telemetry.ts'
import type { RegistryWorld } from './registry.ts'
import { absoluteTime } from './relative-time.ts'

/**
 * A world: what Cloud Run and the registry hold, written as Cloud Run's REST API shows it (proto3 JSON, camelCase).
 * `worlds/healthy.yaml` is the one whole world; every other is a JSON Merge Patch (RFC 7386) over it: objects are merged,
 * `null` removes a key, a list replaces the whole list. To make that handy:
 *
 * - `services`, `revisions`, `jobs`, `executions` are keyed by short name (or by full resource name for another project
 *   or region); a revision says its `service`, an execution its `job`. `name`, and `etag` unless given, are filled in.
 * - `containers` may be a map by container name and `conditions` a map by type, instead of a list. To reorder, give a list.
 * - Times are RFC 3339 or relative to now: `-26h`, `-2m30s`.
 * - `latestReadyRevision` and `latestCreatedRevision` may be short names; they reach the client as full names.
 * - `REPOSITORY@digest(image-b)` and `REPOSITORY@index(image-b,image-b-arm64)` stand for real digests (images.ts).
 * - An enum value is its name, or a number, also one that the client does not know yet: `state: 99`.
 * - A field or enum name that the API does not have is an error that names the place.
 * - `writes` says how long what is written takes, and how it ends (cloud-run/writes.ts).
 * - `registry` is what the registry holds (registry.ts), `telemetry` what Cloud Monitoring counts
 *   (monitoring/telemetry.ts), `http` what the service answers (contract.ts), `faults` is what goes wrong (cloud-run/faults.ts).
 *
 * The incident, as a patch:
 * ```yaml
 * jobs:
 *   runtime-migrate:
 *     template: { template: { containers: { runtime-migrate-1: { image: ...runtime-rust:41c3d0a } } } }
 * ```
 */
export interface World {
  readonly project: string
  readonly region: string
  /** By full resource name, in every detail as a client sees it. */
  readonly services: Resources
  readonly revisions: Resources
  readonly jobs: Resources
  readonly executions: Resources
  readonly registry: RegistryWorld
  /** What Cloud Monitoring counts of each service. */
  readonly telemetry: TelemetryWorld
  /** What the service answers, by path. */
  readonly http: ContractWorld
  readonly faults: readonly Fault[]
  readonly writes: Partial<WriteBehaviour>
}

export type Resources = Readonly<Record<string, JsonObject>>
export type WorldPatch = JsonObject

/**
 * The healthy world, changed by a patch. The patch's times are worked out from `now` (epoch ms), those of the healthy
 * world from `since`, the same moment unless said: what a long-lived client has seen and can never change stays so.
 */
export function loadWorld(patch: WorldPatch = {}, now: number = Date.now(), since: number = now): World {
  return finishWorld(patchWorld(withTimes(healthyWorld(), since) as JsonObject, withTimes(patch, now) as JsonObject))
}

/** A world as it is written, changed by a patch; both stay as they are. */
export function patchWorld(world: JsonObject, patch: WorldPatch): JsonObject {
  return mergePatch(world, patch) as JsonObject
}

/** The healthy world as it is written. */
export function healthyWorld(): JsonObject {
  return readPatch(new URL('worlds/healthy.yaml', import.meta.url))
}

/** A patch (or a whole world) from a YAML or JSON file. An empty file changes nothing. */
export function readPatch(file: string | URL): WorldPatch {
  const content: unknown = parse(readFileSync(file, 'utf8')) ?? {}
  if (!isJsonObject(content)) throw new Error(`${file}: expected a map of services, revisions, jobs, executions, ...`)
  return content
}

const parts = [
  'project',
  'region',
  'services',
  'revisions',
  'jobs',
  'executions',
  'registry',
  'telemetry',
  'http',
  'faults',
  'writes',
]

function finishWorld(written: JsonObject): World {
  const unknown = Object.keys(written).find(key => !parts.includes(key))
  if (unknown !== undefined) throw new Error(`a world has no ${unknown}: it has ${parts.join(', ')}`)
  const world = withLists(JSON.parse(expandDigests(JSON.stringify(written)))) as JsonObject
  const parent = `projects/${world.project}/locations/${world.region}`
  return {
    project: String(world.project),
    region: String(world.region),
    services: finishResources('Service', world.services, name => `${parent}/services/${name}`),
    revisions: finishResources('Revision', world.revisions, (name, { service }) =>
      owned(`${parent}/services`, service, 'revisions', name),
    ),
    jobs: finishResources('Job', world.jobs, name => `${parent}/jobs/${name}`),
    executions: finishResources('Execution', world.executions, (name, { job }) =>
      owned(`${parent}/jobs`, job, 'executions', name),
    ),
    registry: { repositories: {}, ...(world.registry as Partial<RegistryWorld>) },
    telemetry: (world.telemetry ?? {}) as unknown as TelemetryWorld,
    http: (world.http ?? {}) as unknown as ContractWorld,
    faults: (world.faults ?? []) as unknown as Fault[],
    writes: (world.writes ?? {}) as Partial<WriteBehaviour>,
  }
}

function owned(parent: string, owner: Json | undefined, collection: string, name: string): string {
  if (typeof owner !== 'string')
    throw new Error(`${collection}.${name}: says no ${collection === 'revisions' ? 'service' : 'job'}`)
  return `${parent}/${owner}/${collection}/${name}`
}

/** Works out every relative time. */
function withTimes(value: Json, now: number, key = ''): Json {
  if (typeof value === 'string') return key.endsWith('Time') ? absoluteTime(value, now) : value
  return mapParts(value, (part, name) => withTimes(part, now, name))
}

/** Turns maps of containers and conditions into lists. */
function withLists(value: Json): Json {
  return mapParts(value, (part, name) => withLists(listOfMap(name, part)))
}

function mapParts(value: Json, map: (part: Json, key: string) => Json): Json {
  if (Array.isArray(value)) return value.map(item => map(item, ''))
  if (!isJsonObject(value)) return value
  return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, map(part, key)]))
}

function listOfMap(key: string, value: Json): Json {
  if (!isJsonObject(value)) return value
  const named = key === 'containers' ? 'name' : key === 'conditions' ? 'type' : null
  if (named === null) return value
  return Object.entries(value).map(([name, part]) => ({ [named]: name, ...(part as JsonObject) }))
}

type FullName = (shortName: string, resource: JsonObject) => string

function finishResources(type: string, written: Json | undefined, fullName: FullName): Resources {
  const finished: Record<string, JsonObject> = {}
  for (const [key, resource] of Object.entries((written ?? {}) as Record<string, JsonObject>)) {
    const name = key.includes('/') ? key : fullName(key, resource)
    const whole = { name, ...resource, ...fullRevisionNames(name, resource) }
    finished[name] = { etag: etagOf(whole), ...whole }
    toMessage(type, finished[name], `${type.toLowerCase()}s.${key}`)
  }
  return finished
}

/** Cloud Run shows the latest revisions by full name, and those in the traffic by short name. */
function fullRevisionNames(service: string, resource: JsonObject): JsonObject {
  const full: Record<string, Json> = {}
  for (const key of ['latestReadyRevision', 'latestCreatedRevision']) {
    const revision = resource[key]
    if (typeof revision !== 'string' || revision === '' || revision.includes('/')) continue
    full[key] = `${service}/revisions/${revision}`
  }
  return full
}

function etagOf(resource: JsonObject): string {
  return `"${createHash('sha256').update(JSON.stringify(resource)).digest('base64url').slice(0, 22)}"`
}
