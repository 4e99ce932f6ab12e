import { databaseOwnerRole } from '../judge/effective-roles.ts'
import type { Membership } from '../model/catalog.ts'
import { bootstrapSuperuser, type Oid } from '../model/oid.ts'
import { joinRefusals, moveDatabase, type PlanContext, type Refusal } from './plan-context.ts'
import { writeRevokeMembership } from './statements.ts'

/**
 * Revokes one membership of a route: the last one whose member may not have the rights at the end of the route. The members
 * after it may have them, or are not judged.
 */
export function revokeRoute(
  start: Oid,
  path: readonly Oid[],
  isEntitled: (role: Oid) => boolean,
  context: PlanContext,
): Refusal {
  const roles = [start, ...path]
  for (let at = roles.length - 2; at >= 0; at--) {
    const [member, role] = [roles[at], roles[at + 1]]
    if (member === undefined || role === undefined || isEntitled(member)) continue
    return revokeMembership(role, member, context)
  }
  return null
}

function revokeMembership(role: Oid, member: Oid, context: PlanContext): Refusal {
  if (context.draft.role(role)?.name === databaseOwnerRole) return moveDatabase(member, context)
  const edges = context.draft.memberships.filter(edge => edge.role === role && edge.member === member)
  return joinRefusals(edges.map(edge => revokeEdge(edge, '', context)))
}

/** From 16 on, only the grantor can revoke a membership, and the memberships that depend on its ADMIN option go with it. */
export function revokeEdge(edge: Membership, what: '' | 'ADMIN OPTION FOR ', context: PlanContext): Refusal {
  const { draft, operator, emit, nameOf, isModern } = context
  const { memberships } = draft
  if (!memberships.includes(edge)) return null
  const problem =
    operator.manageMembers(edge.role) ?? (isModern && !operator.isSuperuser ? operator.actAs([edge.grantor]) : null)
  if (problem) return problem
  const grantor = isModern ? nameOf(edge.grantor) : null
  emit([writeRevokeMembership({ role: nameOf(edge.role), member: nameOf(edge.member), grantor }, what)])
  const remaining = memberships.flatMap(known => {
    if (known !== edge) return [known]
    return what === '' ? [] : [{ ...edge, admin: false }]
  })
  draft.setMemberships(isModern ? withoutDependents(edge, remaining) : remaining)
  return null
}

function withoutDependents({ role, member }: Membership, edges: readonly Membership[]): readonly Membership[] {
  const stillAdministers = edges.some(edge => edge.role === role && edge.member === member && edge.admin)
  if (stillAdministers || member === bootstrapSuperuser) return edges
  const dependents = edges.filter(edge => edge.role === role && edge.grantor === member)
  let remaining = edges.filter(edge => !dependents.includes(edge))
  for (const dependent of dependents) remaining = [...withoutDependents(dependent, remaining)]
  return remaining
}
