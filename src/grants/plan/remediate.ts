import type { Discrepancy } from '../judge/discrepancy.ts'
import type { Route } from '../judge/effective-roles.ts'
import { type Membership, type RoleAttribute, roleAttributes } from '../model/catalog.ts'
import { bootstrapSuperuser, type Oid } from '../model/oid.ts'
import { attributesOf } from '../model/policy.ts'
import { joinRefusals, type PlanContext, type Refusal } from './plan-context.ts'
import { remediateDefault, remediateOwner, remediateRight } from './remediate-rights.ts'
import { revokeEdge, revokeRoute } from './revoke-membership.ts'
import { writeAlterRole, writeCreateRole, writeCreateSchema, writeGrantMembership } from './statements.ts'

/** Emits the statements that fix a discrepancy, or refuses. Emits nothing if fixing another one also fixes it. */
export function remediate(found: Discrepancy, context: PlanContext): Refusal {
  switch (found.type) {
    case 'role-missing':
      return createRole(found.name, context)
    case 'attribute':
      return alterRole(found.role, found.attribute, found.expected, context)
    case 'member-missing':
      return addMember(found.role, found.member, context)
    case 'member-unexpected':
      return removeMember(found.role, found.member, found.route, context)
    case 'member-admin':
      return removeAdmin(found.role, found.member, context)
    case 'unbounded':
      return limitRole(found, context)
    case 'schema-missing':
      return createSchema(found.name, found.owner, context)
    case 'owner':
      return remediateOwner(found, context)
    case 'right':
      return remediateRight(found, context)
    case 'default':
      return remediateDefault(found, context)
  }
}

function createRole(name: string, { policy, draft, operator, emit }: PlanContext): Refusal {
  const attributes = attributesOf(policy.roles?.[name] ?? {})
  const wanted = roleAttributes.filter(attribute => attributes[attribute])
  const problem = operator.createRole(wanted)
  if (problem) return problem
  emit([writeCreateRole(name, wanted)])
  const made = draft.addRole({ name, ...attributes, inherit: true })
  const administration = operator.membershipOfCreator(made.oid)
  if (administration) draft.setMemberships([...draft.memberships, administration])
  return null
}

function alterRole(oid: Oid, attribute: RoleAttribute, value: boolean, context: PlanContext): Refusal {
  const { draft, operator, emit, operatorRole } = context
  const role = draft.role(oid)
  if (!role) return null
  if (!value && attribute === 'superuser' && oid === bootstrapSuperuser)
    return 'the initial superuser cannot lose SUPERUSER: add it to `trustedRoles`'
  const isNeeded = attribute === 'superuser' || (attribute === 'createRole' && !operator.isSuperuser)
  if (!value && oid === operatorRole && isNeeded)
    return 'this role runs the plan: run it as another role, or add this one to `trustedRoles`'
  const problem = operator.alterRole(role, attribute)
  if (problem) return problem
  emit([writeAlterRole(role.name, attribute, value)])
  draft.setRole({ ...role, [attribute]: value })
  return null
}

/** Removes what gives a role unlimited rights. */
function limitRole({ role, as, route }: Extract<Discrepancy, { type: 'unbounded' }>, context: PlanContext): Refusal {
  if (route.path.length === 0) return alterRole(role, as, false, context)
  const { policy } = context.comparison.context
  return revokeRoute(role, route.path, user => policy.mayActAs(user, as) || !policy.isJudged(user), context)
}

function addMember(role: Oid, member: string, context: PlanContext): Refusal {
  const { draft, operator, emit, nameOf, operatorRole, isModern } = context
  const known = draft.roleNamed(member)
  if (!known) return 'that role does not exist, and `roles` does not define it'
  const problem = operator.manageMembers(role)
  if (problem) return problem
  emit([writeGrantMembership(nameOf(role), member, isModern ? { inherit: true, set: true } : null)])
  const grantor = operator.isSuperuser ? bootstrapSuperuser : (operatorRole ?? bootstrapSuperuser)
  // An earlier grant by the same grantor is the same grant, and keeps its ADMIN option.
  const isSame = (edge: Membership) => edge.role === role && edge.member === known.oid && edge.grantor === grantor
  const admin = draft.memberships.some(edge => isSame(edge) && edge.admin)
  const edge = { role, member: known.oid, grantor, inherit: true, set: true, admin }
  draft.setMemberships([...draft.memberships.filter(other => !isSame(other)), edge])
  return null
}

function removeMember(role: Oid, member: Oid, route: Route, context: PlanContext): Refusal {
  const { policy } = context.comparison.context
  return revokeRoute(member, route.path, user => policy.isTrusted(user) || policy.mayUse(user).has(role), context)
}

function removeAdmin(role: Oid, member: Oid, context: PlanContext): Refusal {
  const edges = context.draft.memberships.filter(edge => edge.role === role && edge.member === member && edge.admin)
  return joinRefusals(edges.map(edge => revokeEdge(edge, 'ADMIN OPTION FOR ', context)))
}

function createSchema(name: string, owner: string | null, { draft, operator, emit }: PlanContext): Refusal {
  const role = owner === null ? undefined : draft.roleNamed(owner)
  if (owner === null) return 'the policy does not define its owner'
  if (!role) return `its owner ${owner} does not exist`
  const problem = operator.createInDatabase() ?? operator.actAs([role.oid])
  if (problem) return problem
  emit([writeCreateSchema(name, owner)])
  draft.addSchema(name, role.oid)
  return null
}
