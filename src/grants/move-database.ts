import type { Oid } from './model/catalog.ts'
import { quoteIdentifier } from './model/identifiers.ts'
import type { PlanContext, Refusal } from './plan/plan-context.ts'
import { objectName } from './plan/statements.ts'

/** Whoever must not own the database hands it to a trusted role: to the operator, where that is one. */
export function moveDatabase(from: Oid, { policy, draft, operator, emit, nameOf, operatorRole }: PlanContext): Refusal {
  const database = draft.database()
  if (database.owner !== from) return null
  const heirs = (policy.trustedRoles ?? []).flatMap(name => draft.roleNamed(name)?.oid ?? [])
  const heir = heirs.find(role => role === operatorRole) ?? heirs[0]
  if (heir === undefined) return 'the database needs another owner, and there is no trusted role to take it'
  const problem = operator.moveDatabase() ?? operator.actAs([from, heir])
  if (problem) return problem
  emit([`ALTER DATABASE ${objectName(database)} OWNER TO ${quoteIdentifier(nameOf(heir))}`])
  draft.setOwner(database, heir)
  return null
}
