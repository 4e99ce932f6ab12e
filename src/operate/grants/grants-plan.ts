import { parsePostgresUrl } from '../../config/postgres-url.ts'
import type { Secret } from '../../config/secret.ts'
import { DriftwatchError } from '../../errors.ts'
import type { Catalog } from '../../grants/model/catalog.ts'
import { showIdentifier } from '../../grants/model/identifiers.ts'
import type { Oid } from '../../grants/model/oid.ts'
import { type GrantsPlan, planGrants } from '../../grants/plan/plan.ts'
import { type GrantsJob, readGovernedCatalog } from './grants-database.ts'

/** The plan that makes a database match its policy, read as the monitor, to be run by the role `operator`. */
export async function planStackGrants(job: GrantsJob, operator: string | null): Promise<GrantsPlan> {
  const { database } = job.stack
  const catalog = await readGovernedCatalog(database.url, job)
  return planGrants(database, catalog, operator === null ? null : roleNamed(operator, catalog))
}

/** The database user of a URL. */
export function operatorOf(url: Secret): string {
  return parsePostgresUrl(url.reveal()).user
}

function roleNamed(name: string, { roles }: Catalog): Oid {
  const role = roles.find(known => known.name === name)
  if (!role) throw new DriftwatchError('REFUSED', `the database has no role ${showIdentifier(name)} to run the plan as`)
  return role.oid
}

/** The number of statements in a plan, as text. */
export function countStatements({ steps }: GrantsPlan): string {
  return formatCount(
    steps.reduce((sum, { statements }) => sum + statements.length, 0),
    'statement',
  )
}

/** `1 statement`, `2 statements`. */
export function formatCount(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`
}
