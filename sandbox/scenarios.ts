import { readFileSync } from 'node:fs'
import { parse } from 'yaml'
import type { WorldPatch } from './world.ts'

/** In the order in which one would try them. Each is a file of `scenarios/`, and the files are these. */
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

/** What the healthy stack is by every check of sandbox/driftwatch.yaml, in the order of reports. */
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

/** Something that happens to the healthy stack, and what Driftwatch then says. */
export interface Scenario {
  readonly name: ScenarioName
  /** One clause. */
  readonly description: string
  /** The status of each check that is to be seen. Its file leaves out what stays in sync. */
  readonly expect: Readonly<Record<string, ScenarioStatus>>
  /** The error of each check that is unknown, or null where none is. */
  readonly error: string | null
  /** Looks fail: earlier statuses are kept, with the error, until they are too old to be believed, and then unknown. */
  readonly kept: boolean
  /** Words that the report then holds, or null. */
  readonly shows: string | null
  /** Of the emulators' world. */
  readonly patch: WorldPatch
  /** Statements that the superuser of the database runs, or null. */
  readonly sql: string | null
  /** Whether the database lets nobody in. */
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

/** Names of scenarios that somebody may have meant. */
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

/** How many letters must be put in, left out or changed to make one word the other (Levenshtein). */
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
