import { readFileSync } from 'node:fs'
import { parse } from 'yaml'
import type { WorldPatch } from './world.ts'

/** In a sensible order to try them. Each has a file in `scenarios/`. */
export const scenarioNames = [
  'healthy',
  'job-left-behind',
  'traffic-rolled-back',
  'traffic-split',
  'failed-rollout',
  'foreign-repository',
  'tag-moved',
  'tag-redeployed',
  'lane-overwritten',
  'image-collected',
  'errors-after-rollout',
  'no-traffic',
  'contract-broken',
  'contract-html',
  'migration-failed',
  'migration-stuck',
  'migration-overridden',
  'migration-never-ran',
  'job-command-changed',
  'job-deleted',
  'service-deleted',
  'just-deployed',
  'deploy-in-progress',
  'migration-running',
  'registry-denied',
  'execution-expired',
  'new-enum-value',
  'api-down',
  'api-denied',
  'api-slow',
  'table-missing',
  'grant-direct',
  'grant-to-public',
  'grant-across-schemas',
  'grant-through-member',
  'grant-on-column',
  'table-owned-by-another',
  'role-superuser',
  'default-privileges-lost',
  'database-down',
] as const

export type ScenarioName = (typeof scenarioNames)[number]
export type ScenarioStatus = 'in_sync' | 'pending' | 'drifted' | 'unknown'

/** The statuses of the healthy stack, in the order of reports. */
const inSync = {
  'service-image': 'in_sync',
  'job-image': 'in_sync',
  'migration-execution': 'in_sync',
  'role-grants': 'in_sync',
  schema: 'in_sync',
  'image-lanes': 'in_sync',
  'after-rollout': 'in_sync',
  'http-contract': 'in_sync',
} as const satisfies Record<string, ScenarioStatus>

/** A change of the healthy stack, and what Driftwatch then reports. */
export interface Scenario {
  readonly name: ScenarioName
  /** One clause. */
  readonly description: string
  /** The expected status of each check. The file omits checks that stay in sync. */
  readonly expect: Readonly<Record<string, ScenarioStatus>>
  /** The error of the unknown checks; null without unknown checks. */
  readonly error: string | null
  /** Probes fail: the previous statuses remain, with the error, and become unknown when they are stale. */
  readonly kept: boolean
  /** Text that the report then contains, or null. */
  readonly shows: string | null
  /** Changes of the emulated systems. */
  readonly patch: WorldPatch
  /** Statements for the superuser of the database, or null. */
  readonly sql: string | null
  /** Whether the database rejects connections. */
  readonly databaseDown: boolean
}

export function isScenarioName(name: string): name is ScenarioName {
  return (scenarioNames as readonly string[]).includes(name)
}

export function readScenario(name: ScenarioName): Scenario {
  const file = new URL(`scenarios/${name}.yaml`, import.meta.url)
  const defaults = { error: null, kept: false, shows: null, patch: {}, sql: null, databaseDown: false }
  const written = parse(readFileSync(file, 'utf8')) as Pick<Scenario, 'description'> & Partial<Scenario>
  return { ...defaults, ...written, expect: { ...inSync, ...written.expect }, name }
}

/** The names that are similar to what was typed. */
export function nearScenarios(typed: string): ScenarioName[] {
  const words = typed
    .toLowerCase()
    .split(/[^a-z]+/)
    .filter(word => word.length > 2)
  const near = scenarioNames.filter(
    name => distance(typed, name) <= 3 || words.some(word => name.split('-').some(part => distance(word, part) <= 1)),
  )
  return near.slice(0, 3)
}

/** The Levenshtein distance. */
function distance(one: string, other: string): number {
  let row = Array.from({ length: other.length + 1 }, (_, index) => index)
  for (const [i, letter] of [...one].entries()) {
    const next = [i + 1]
    for (const [j, wanted] of [...other].entries()) {
      const changed = (row[j] ?? 0) + (letter === wanted ? 0 : 1)
      next.push(Math.min(changed, (row[j + 1] ?? 0) + 1, (next[j] ?? 0) + 1))
    }
    row = next
  }
  return row.at(-1) ?? 0
}
