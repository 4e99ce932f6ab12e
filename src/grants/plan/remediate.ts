import type { Discrepancy } from '../judge/discrepancy.ts'
import type { Route } from '../judge/effective-roles.ts'
import { bootstrapSuperuser, type Membership, type Oid, type RoleAttribute, roleAttributes } from '../model/catalog.ts'
import { quoteIdentifier } from '../model/identifiers.ts'
import { attributesOf } from '../model/policy.ts'
import { type PlanContext, type Refusal, refusalOf } from './plan-context.ts'
import { settleDefault, settleOwner, settleRight } from './remediate-rights.ts'
import { cutRoute, revokeEdge } from './revoke-membership.ts'

/** Emits the statements that mend one discrepancy, refuses to, or leaves it to what mends another one. */
export function settle(found: Discrepancy, context: PlanContext): Refusal {
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
      return bind(found, context)
    case 'schema-missing':
      return createSchema(found.name, found.owner, context)
    case 'owner':
      return settleOwner(found, context)
    case 'right':
      return settleRight(found, context)
    case 'default':
      return settleDefault(found, context)
  }
}

const attributeWords: Readonly<Record<RoleAttribute, string>> = {
  login: 'LOGIN',
  superuser: 'SUPERUSER',
  createRole: 'CREATEROLE',
  createDb: 'CREATEDB',
  replication: 'REPLICATION',
  bypassRls: 'BYPASSRLS',
}

function attributeWord(attribute: RoleAttribute, value: boolean): string {
  return value ? attributeWords[attribute] : `NO${attributeWords[attribute]}`
}

function createRole(name: string, { policy, draft, runner, emit }: PlanContext): Refusal {
  const attributes = attributesOf(policy.roles?.[name] ?? {})
  const wanted = roleAttributes.filter(attribute => attributes[attribute])
  const problem = runner.createRole(wanted)
  if (problem) return problem
  const words = wanted.map(attribute => ` ${attributeWord(attribute, true)}`).join('')
  emit([`CREATE ROLE ${quoteIdentifier(name)}${words}`])
  const made = draft.addRole({ name, ...attributes, inherit: true })
  const administration = runner.madeRole(made.oid)
  if (administration) draft.setMemberships([...draft.memberships, administration])
  return null
}

function alterRole(oid: Oid, attribute: RoleAttribute, value: boolean, context: PlanContext): Refusal {
  const { draft, runner, emit, operator } = context
  const role = draft.role(oid)
  if (!role) return null
  if (!value && attribute === 'superuser' && oid === bootstrapSuperuser)
    return 'the superuser that initdb made stays one: name it in trustedRoles'
  if (!value && oid === operator && (attribute === 'superuser' || (attribute === 'createRole' && !runner.isSuperuser)))
    return 'it runs the plan itself: run it as another role, or name it in trustedRoles'
  const problem = runner.alterRole(role, attribute)
  if (problem) return problem
  emit([`ALTER ROLE ${quoteIdentifier(role.name)} ${attributeWord(attribute, value)}`])
  draft.setRole({ ...role, [attribute]: value })
  return null
}

/** Ends what lets a role do everything. */
function bind({ role, as, route }: Extract<Discrepancy, { type: 'unbounded' }>, context: PlanContext): Refusal {
  if (route.path.length === 0) return alterRole(role, as, false, context)
  const { policy } = context.comparison.bench
  return cutRoute(role, route.path, user => policy.mayActAs(user, as) || !policy.isJudged(user), context)
}

function addMember(role: Oid, member: string, context: PlanContext): Refusal {
  const { draft, runner, emit, nameOf, operator, isModern } = context
  const known = draft.roleNamed(member)
  if (!known) return 'there is no role of that name, and `roles` does not say what it is'
  const problem = runner.manageMembers(role)
  if (problem) return problem
  const options = isModern ? ' WITH INHERIT TRUE, SET TRUE' : ''
  emit([`GRANT ${quoteIdentifier(nameOf(role))} TO ${quoteIdentifier(member)}${options}`])
  const grantor = runner.isSuperuser ? bootstrapSuperuser : (operator ?? bootstrapSuperuser)
  // What the same grantor gave before is the same grant, which keeps its ADMIN option.
  const isSame = (edge: Membership) => edge.role === role && edge.member === known.oid && edge.grantor === grantor
  const admin = draft.memberships.some(edge => isSame(edge) && edge.admin)
  const edge = { role, member: known.oid, grantor, inherit: true, set: true, admin }
  draft.setMemberships([...draft.memberships.filter(other => !isSame(other)), edge])
  return null
}

function removeMember(role: Oid, member: Oid, route: Route, context: PlanContext): Refusal {
  const { policy } = context.comparison.bench
  return cutRoute(member, route.path, user => policy.isTrusted(user) || policy.mayUse(user).has(role), context)
}

function removeAdmin(role: Oid, member: Oid, context: PlanContext): Refusal {
  const edges = context.draft.memberships.filter(edge => edge.role === role && edge.member === member && edge.admin)
  return refusalOf(edges.map(edge => revokeEdge(edge, 'ADMIN OPTION FOR ', context)))
}

function createSchema(name: string, owner: string | null, { draft, runner, emit }: PlanContext): Refusal {
  const role = owner === null ? undefined : draft.roleNamed(owner)
  if (owner === null) return 'the policy does not say who is to own it'
  if (!role) return `its owner ${owner} is missing`
  const problem = runner.createInDatabase() ?? runner.actAs([role.oid])
  if (problem) return problem
  emit([`CREATE SCHEMA ${quoteIdentifier(name)} AUTHORIZATION ${quoteIdentifier(owner)}`])
  draft.addSchema(name, role.oid)
  return null
}
