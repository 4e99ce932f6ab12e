import type { GrantsComparison } from '../judge/compare.ts'
import type { Oid } from '../model/oid.ts'
import type { GrantsPolicy } from '../model/policy.ts'
import type { Draft } from './draft.ts'
import type { Operator } from './operator.ts'
import type { PrivilegePlanner } from './privilege-steps.ts'
import { writeAlterOwner } from './statements.ts'

/** The context of the remediation of one discrepancy. */
export interface PlanContext {
  readonly policy: GrantsPolicy
  readonly draft: Draft
  readonly operator: Operator
  readonly privileges: PrivilegePlanner
  /** Null: a superuser runs the plan. */
  readonly operatorRole: Oid | null
  /** 16 and later: memberships have options. */
  readonly isModern: boolean
  /** The comparison that found the discrepancy. */
  readonly comparison: GrantsComparison
  nameOf(role: Oid): string
  /** Adds statements. */
  emit(statements: readonly string[]): void
}

/** The reason why something is not possible; null if it was done or not needed. */
export type Refusal = string | null

/** Joins several refusals. */
export function joinRefusals(reasons: Iterable<Refusal>): Refusal {
  const unique = new Set([...reasons].filter(reason => reason !== null))
  return unique.size === 0 ? null : [...unique].join('; ')
}

/** Makes a trusted role the owner of the database: the operator, if it is trusted. */
export function moveDatabase(from: Oid, { policy, draft, operator, emit, nameOf, operatorRole }: PlanContext): Refusal {
  const database = draft.database()
  if (database.owner !== from) return null
  const heirs = (policy.trustedRoles ?? []).flatMap(name => draft.roleNamed(name)?.oid ?? [])
  const heir = heirs.find(role => role === operatorRole) ?? heirs[0]
  if (heir === undefined) return 'the database needs another owner, but `trustedRoles` has no existing role'
  const problem = operator.moveDatabase() ?? operator.actAs([from, heir])
  if (problem) return problem
  emit([writeAlterOwner(database, nameOf(heir))])
  draft.setOwner(database, heir)
  return null
}
