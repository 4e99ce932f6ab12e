import type { GrantsComparison } from '../judge/compare.ts'
import type { Oid } from '../model/catalog.ts'
import type { GrantsPolicy } from '../model/policy.ts'
import type { Draft } from './draft.ts'
import type { Operator } from './operator.ts'
import type { PrivilegePlanner } from './privilege-steps.ts'

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
