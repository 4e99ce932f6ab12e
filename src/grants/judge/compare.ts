import { runAtOnce, type SlicedWork } from '../../concurrency/time-slices.ts'
import type { Catalog } from '../model/catalog.ts'
import type { GrantsPolicy } from '../model/policy.ts'
import { sortCatalog } from '../model/sort-catalog.ts'
import type { Discrepancy } from './discrepancy.ts'
import { computeEffectiveRoles } from './effective-roles.ts'
import { judgeDefaults } from './judge-defaults.ts'
import { judgeDoors } from './judge-doors.ts'
import { type JudgementContext, predefinedRoles } from './judge-rights.ts'
import { judgeRoles } from './judge-roles.ts'
import { judgeSchema } from './judge-schema.ts'
import { resolvePolicy } from './resolved-policy.ts'

export interface GrantsComparison {
  readonly context: JudgementContext
  readonly discrepancies: readonly Discrepancy[]
  /** Names and patterns of the policy that match no object. */
  readonly unmatched: readonly { readonly schema: string; readonly pattern: string }[]
}

/**
 * All differences between a database and a valid policy, in the order of the policy. The result does not depend on the order
 * of the catalog. Pure.
 */
export function compareGrants(policy: GrantsPolicy, catalog: Catalog): GrantsComparison {
  return runAtOnce(compareGrantsInSteps(policy, catalog))
}

export function* compareGrantsInSteps(policy: GrantsPolicy, catalog: Catalog): SlicedWork<GrantsComparison> {
  const context = createContext(policy, catalog)
  const unmatched: { schema: string; pattern: string }[] = []
  const discrepancies = judgeRoles(context)
  for (const [name, wanted] of Object.entries(policy.schemas ?? {})) {
    const actual = context.catalog.schemas.get(name)
    if (!actual) {
      discrepancies.push({ type: 'schema-missing', name, owner: wanted.owner ?? null })
      continue
    }
    const subject = { name, wanted, actual }
    const found = yield* judgeSchema(subject, context, pattern => unmatched.push({ schema: name, pattern }))
    for (const one of found) discrepancies.push(one)
    for (const one of judgeDefaults(subject, context)) discrepancies.push(one)
  }
  for (const found of judgeDoors(context)) discrepancies.push(found)
  return { context, discrepancies, unmatched }
}

function createContext(policy: GrantsPolicy, listed: Catalog): JudgementContext {
  const catalog = sortCatalog(listed)
  const resolved = resolvePolicy(policy, catalog)
  return {
    catalog,
    policy: resolved,
    effectiveRoles: computeEffectiveRoles(catalog, resolved),
    predefined: predefinedRoles(catalog),
  }
}
