import { databaseOwnerRole } from '../judge/effective-roles.ts'
import type { Membership } from '../model/catalog.ts'
import { quoteIdentifier } from '../model/identifiers.ts'
import { bootstrapSuperuser, type Oid } from '../model/oid.ts'
import { moveDatabase, type PlanContext, type Refusal, refusalOf } from './plan-context.ts'

/**
 * Ends one step of a route: the last one that starts at a role which may not have what the route leads to. What comes
 * after it is entitled, or not judged.
 */
export function cutRoute(
  start: Oid,
  path: readonly Oid[],
  isEntitled: (role: Oid) => boolean,
  context: PlanContext,
): Refusal {
  const stations = [start, ...path]
  for (let at = stations.length - 2; at >= 0; at--) {
    const [member, role] = [stations[at], stations[at + 1]]
    if (member === undefined || role === undefined || isEntitled(member)) continue
    return revokeMembership(role, member, context)
  }
  return null
}

function revokeMembership(role: Oid, member: Oid, context: PlanContext): Refusal {
  if (context.draft.role(role)?.name === databaseOwnerRole) return moveDatabase(member, context)
  const edges = context.draft.memberships.filter(edge => edge.role === role && edge.member === member)
  return refusalOf(edges.map(edge => revokeEdge(edge, '', context)))
}

/** From 16 on a membership is taken back by its grantor, and what the member granted by its ADMIN option goes with it. */
export function revokeEdge(edge: Membership, what: '' | 'ADMIN OPTION FOR ', context: PlanContext): Refusal {
  const { draft, operator, emit, nameOf, isModern } = context
  const { memberships } = draft
  if (!memberships.includes(edge)) return null
  const problem =
    operator.manageMembers(edge.role) ?? (isModern && !operator.isSuperuser ? operator.actAs([edge.grantor]) : null)
  if (problem) return problem
  const by = isModern ? ` GRANTED BY ${quoteIdentifier(nameOf(edge.grantor))} CASCADE` : ''
  emit([`REVOKE ${what}${quoteIdentifier(nameOf(edge.role))} FROM ${quoteIdentifier(nameOf(edge.member))}${by}`])
  const kept = memberships.flatMap(known => {
    if (known !== edge) return [known]
    return what === '' ? [] : [{ ...edge, admin: false }]
  })
  draft.setMemberships(isModern ? withoutDependents(edge, kept) : kept)
  return null
}

function withoutDependents({ role, member }: Membership, left: readonly Membership[]): readonly Membership[] {
  const stillAdministers = left.some(edge => edge.role === role && edge.member === member && edge.admin)
  if (stillAdministers || member === bootstrapSuperuser) return left
  const dependents = left.filter(edge => edge.role === role && edge.grantor === member)
  let kept = left.filter(edge => !dependents.includes(edge))
  for (const dependent of dependents) kept = [...withoutDependents(dependent, kept)]
  return kept
}
