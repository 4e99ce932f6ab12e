import { escapeInterpolation } from '../../config/file/interpolate.ts'
import { printYaml } from '../../config/print-yaml.ts'
import { DriftwatchError } from '../../errors.ts'
import { showIdentifier } from '../../grants/model/identifiers.ts'
import { type GrantsSnapshot, snapshotGrants } from '../../grants/snapshot.ts'
import { printable } from '../../printable.ts'
import { readCatalog, readSchemaNames, scopeOf } from '../../probes/read-catalog.ts'
import { type GrantsJob, lookAt } from './grants-database.ts'

/** The policy that a stack's database has. Without `schemas` it is of those that the config names, else of all there are. */
export function snapshotStackGrants(job: GrantsJob, schemas: readonly string[]): Promise<GrantsSnapshot> {
  const { database } = job.stack
  return lookAt(database.url, job, async session => {
    const there = await readSchemaNames(session)
    const missing = schemas.find(name => !there.includes(name))
    if (missing !== undefined)
      throw new DriftwatchError(
        'REFUSED',
        `the database has no schema ${showIdentifier(missing)}: it has ${there.map(showIdentifier).join(', ')}`,
      )
    const governed = Object.keys(database.schemas).filter(name => there.includes(name))
    const wanted = [schemas, governed, there].find(names => names.length > 0) ?? []
    const first = snapshotGrants(await readCatalog(session, { schemas: wanted, roles: [] }))
    // Whose views and functions elsewhere count as doors is known only now.
    return snapshotGrants(await readCatalog(session, { ...scopeOf(first.policy), schemas: wanted }))
  })
}

/** The policy as it stands under `database` in a config. */
export function renderSnapshot({ policy, inexpressible }: GrantsSnapshot): string {
  const notes = inexpressible
    .map(line => `# cannot be said in a policy, and is drift by it: ${printable(line)}\n`)
    .join('')
  return notes + printYaml(escapeValues(policy))
}

function escapeValues(value: unknown): unknown {
  if (typeof value === 'string') return escapeInterpolation(value)
  if (Array.isArray(value)) return value.map(escapeValues)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, escapeValues(inner)]))
}
