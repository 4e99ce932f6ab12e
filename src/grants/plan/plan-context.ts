import type { GrantsComparison } from '../judge/compare.ts'
import { quoteIdentifier } from '../model/identifiers.ts'
import type { Oid } from '../model/oid.ts'
import type { GrantsPolicy } from '../model/policy.ts'
import type { Draft } from './draft.ts'
import type { Operator } from './operator.ts'
import type { PrivilegePlanner } from './privilege-steps.ts'
import { objectName } from './statements.ts'

/** What the settling of one discrepancy works with. */
export interface PlanContext {
  readonly policy: GrantsPolicy
  readonly draft: Draft
  readonly operator: Operator
  readonly privileges: PrivilegePlanner
  /** Null where any superuser may run the plan. */
  readonly operatorRole: Oid | null
  /** Whether memberships have options of their own: 16 and later. */
  readonly isModern: boolean
  /** The comparison that the discrepancy is of. */
  readonly comparison: GrantsComparison
  nameOf(role: Oid): string
  /** Adds statements. */
  emit(statements: readonly string[]): void
}

/** Why something cannot be done; null when it was done, or when there was nothing to do. */
export type Refusal = string | null

/** Several refusals in one. */
export function refusalOf(reasons: Iterable<Refusal>): Refusal {
  const told = new Set([...reasons].filter(reason => reason !== null))
  return told.size === 0 ? null : [...told].join('; ')
}

/** Whoever must not own the database hands it to a trusted role: to the operator, where that is one. */
export function moveDatabase(from: Oid, { policy, draft, operator, emit, nameOf, operatorRole }: PlanContext): Refusal {
  const database = draft.database()
  if (database.owner !== from) return null
  const heirs = (policy.trustedRoles ?? []).flatMap(name => draft.roleNamed(name)?.oid ?? [])
  const heir = heirs.find(role => role === operatorRole) ?? heirs[0]
  if (heir === undefined) return 'the database needs another owner, but `trustedRoles` has no existing role'
  const problem = operator.moveDatabase() ?? operator.actAs([from, heir])
  if (problem) return problem
  emit([`ALTER DATABASE ${objectName(database)} OWNER TO ${quoteIdentifier(nameOf(heir))}`])
  draft.setOwner(database, heir)
  return null
}
