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
 * A world: the content of the emulated systems, written as in Cloud Run's REST API (proto3 JSON, camelCase).
 * `worlds/healthy.yaml` is the only complete world; others are JSON Merge Patches (RFC 7386) of it: objects are merged,
 * `null` removes a key, a list replaces the list. In addition:
 *
 * - `services`, `revisions`, `jobs`, `executions` are keyed by short name (or by full resource name for another project
 *   or region); a revision has a `service`, an execution a `job`. A missing `name` or `etag` is added.
 * - `containers` may be a map by name and `conditions` a map by type. Use a list to change their order.
 * - Times are RFC 3339 or relative to now: `-26h`, `-2m30s`.
 * - `latestReadyRevision` and `latestCreatedRevision` may be short names; clients receive full names.
 * - `REPOSITORY@digest(image-b)` and `REPOSITORY@index(image-b,image-b-arm64)` become real digests (images.ts).
 * - An enum value is a name, or a number for a value that is newer than the client: `state: 99`.
 * - Unknown fields and enum names are errors.
 * - `writes`: how long writes take, and how they end (cloud-run/write-behaviour.ts).
 * - `registry`: the content of the registry (registry.ts); `telemetry`: the series of Cloud Monitoring
 *   (monitoring/telemetry.ts); `http`: the responses of the service (contract.ts); `faults`: see cloud-run/faults.ts.
 *
 * For example, a job with an outdated image:
 * ```yaml
 * jobs:
 *   runtime-migrate:
 *     template: { template: { containers: { runtime-migrate-1: { image: ...runtime-rust:41c3d0a } } } }
 * ```
 */
export interface World {
  readonly project: string
  readonly region: string
  /** By full resource name, as a client receives them. */
  readonly services: Resources
  readonly revisions: Resources
  readonly jobs: Resources
  readonly executions: Resources
  readonly registry: RegistryWorld
  /** The telemetry of each service in Cloud Monitoring. */
  readonly telemetry: TelemetryWorld
  /** The responses of the service, by path. */
  readonly http: ContractWorld
  readonly faults: readonly Fault[]
  readonly writes: Partial<WriteBehaviour>
}

export type Resources = Readonly<Record<string, JsonObject>>
export type WorldPatch = JsonObject

/**
 * The healthy world with a patch. Times of the patch are relative to `now` (epoch ms), times of the healthy world to
 * `since` (default: `now`), so that immutable data does not change for a long-lived client.
 */
export function loadWorld(patch: WorldPatch = {}, now: number = Date.now(), since: number = now): World {
  return finishWorld(patchWorld(withTimes(healthyWorld(), since) as JsonObject, withTimes(patch, now) as JsonObject))
}

/** Applies a patch to a source world, without changing either. */
export function patchWorld(world: JsonObject, patch: WorldPatch): JsonObject {
  return mergePatch(world, patch) as JsonObject
}

/** The source of the healthy world. */
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
  if (unknown !== undefined) throw new Error(`unknown key ${unknown} of a world: expected one of ${parts.join(', ')}`)
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
    throw new Error(`${collection}.${name}: missing ${collection === 'revisions' ? 'service' : 'job'}`)
  return `${parent}/${owner}/${collection}/${name}`
}

/** Resolves relative times. */
function withTimes(value: Json, now: number, key = ''): Json {
  if (typeof value === 'string') return key.endsWith('Time') ? absoluteTime(value, now) : value
  return mapParts(value, (part, name) => withTimes(part, now, name))
}

/** Converts maps of containers and conditions to lists. */
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

/** Cloud Run shows the latest revisions by full name, and revisions in `traffic` by short name. */
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
