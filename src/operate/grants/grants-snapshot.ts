import { escapeInterpolation } from '../../config/file/interpolate.ts'
import { printYaml } from '../../config/print-yaml.ts'
import { DriftwatchError } from '../../errors.ts'
import { showIdentifier } from '../../grants/model/identifiers.ts'
import { type GrantsSnapshot, snapshotGrants } from '../../grants/snapshot.ts'
import { printable } from '../../printable.ts'
import { readCatalog, readSchemaNames, scopeOf } from '../../probes/read-catalog.ts'
import { type GrantsJob, withSession } from './grants-database.ts'

/** A policy that matches a stack's database. Empty `schemas`: the schemas of the configuration, or else all schemas. */
export function snapshotStackGrants(job: GrantsJob, schemas: readonly string[]): Promise<GrantsSnapshot> {
  const { database } = job.stack
  return withSession(database.url, job, async session => {
    const existing = await readSchemaNames(session)
    const missing = schemas.find(name => !existing.includes(name))
    if (missing !== undefined)
      throw new DriftwatchError(
        'REFUSED',
        `the database has no schema ${showIdentifier(missing)}: its schemas are ${existing.map(showIdentifier).join(', ')}`,
      )
    const governed = Object.keys(database.schemas).filter(name => existing.includes(name))
    const wanted = [schemas, governed, existing].find(names => names.length > 0) ?? []
    const first = snapshotGrants(await readCatalog(session, { schemas: wanted, roles: [] }))
    // The roles whose views and functions in other schemas are doors are known only after the first snapshot.
    return snapshotGrants(await readCatalog(session, { ...scopeOf(first.policy), schemas: wanted }))
  })
}

/** The policy as YAML for `database` in the configuration. */
export function renderSnapshot({ policy, inexpressible }: GrantsSnapshot): string {
  const notes = inexpressible
    .map(line => `# cannot be expressed in a policy and counts as drift: ${printable(line)}\n`)
    .join('')
  return notes + printYaml(escapeValues(policy))
}

function escapeValues(value: unknown): unknown {
  if (typeof value === 'string') return escapeInterpolation(value)
  if (Array.isArray(value)) return value.map(escapeValues)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, escapeValues(inner)]))
}
