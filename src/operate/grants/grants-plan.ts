import { parsePostgresUrl } from '../../config/postgres-url.ts'
import type { Secret } from '../../config/secret.ts'
import { DriftwatchError } from '../../errors.ts'
import type { Catalog } from '../../grants/model/catalog.ts'
import { showIdentifier } from '../../grants/model/identifiers.ts'
import type { Oid } from '../../grants/model/oid.ts'
import { type GrantsPlan, planGrants } from '../../grants/plan/plan.ts'
import { type GrantsJob, readGoverned } from './grants-database.ts'

/** What would make the database of a stack what its policy says, as the monitor sees it, for an operator to run. */
export async function planStackGrants(job: GrantsJob, operator: string | null): Promise<GrantsPlan> {
  const { database } = job.stack
  const catalog = await readGoverned(database.url, job)
  return planGrants(database, catalog, operator === null ? null : roleNamed(operator, catalog))
}

/** The role that a URL logs in as. */
export function operatorOf(url: Secret): string {
  return parsePostgresUrl(url.reveal()).user
}

function roleNamed(name: string, { roles }: Catalog): Oid {
  const role = roles.find(known => known.name === name)
  if (!role)
    throw new DriftwatchError('REFUSED', `the database has no role ${showIdentifier(name)} that could run a plan`)
  return role.oid
}

/** How much a plan has to run. */
export function countStatements({ steps }: GrantsPlan): string {
  return counted(
    steps.reduce((sum, { statements }) => sum + statements.length, 0),
    'statement',
  )
}

/** `1 statement`, `2 statements`. */
export function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`
}
