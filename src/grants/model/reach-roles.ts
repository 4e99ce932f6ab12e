import type { Membership } from './catalog.ts'
import type { Oid } from './oid.ts'

/** The role itself and the roles that it reaches by following the selected memberships. */
export function reachRoles(
  start: Oid,
  membershipsOf: (member: Oid) => readonly Membership[],
  isFollowed: (edge: Membership) => boolean,
): Set<Oid> {
  const reached = new Set([start])
  for (const role of reached) {
    for (const edge of membershipsOf(role)) if (edge.member === role && isFollowed(edge)) reached.add(edge.role)
  }
  return reached
}
