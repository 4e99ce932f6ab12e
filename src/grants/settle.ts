import { bootstrapSuperuser, type Oid, type RoleAttribute, roleAttributes } from './catalog.ts'
import { cutRoute, revokeEdge } from './cut-route.ts'
import type { Discrepancy } from './discrepancy.ts'
import { quoteIdentifier } from './identifiers.ts'
import { type PlanContext, type Refusal, refusalOf } from './plan-context.ts'
import { attributesOf } from './policy.ts'
import type { Route } from './reach.ts'
import { settleDefault, settleOwner, settleRight } from './settle-rights.ts'

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
    case 'superuser':
      return removeSuperuser(found.role, found.route, context)
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
  if (administration) draft.setMemberships([...draft.catalog().memberships, administration])
  return null
}

function alterRole(oid: Oid, attribute: RoleAttribute, value: boolean, context: PlanContext): Refusal {
  const { draft, runner, emit, operator } = context
  const role = draft.catalog().roles.find(known => known.oid === oid)
  if (!role) return null
  const loses = attribute === 'superuser' && !value
  if (loses && oid === bootstrapSuperuser) return 'the superuser that initdb made stays one: name it in trustedRoles'
  if (loses && oid === operator)
    return 'it runs the plan itself: run it as another superuser, or name it in trustedRoles'
  const problem = runner.alterRole(role, attribute)
  if (problem) return problem
  emit([`ALTER ROLE ${quoteIdentifier(role.name)} ${attributeWord(attribute, value)}`])
  draft.setRole({ ...role, [attribute]: value })
  return null
}

function removeSuperuser(oid: Oid, route: Route, context: PlanContext): Refusal {
  if (route.path.length === 0) return alterRole(oid, 'superuser', false, context)
  const { policy } = context.comparison.bench
  return cutRoute(oid, route.path, role => policy.maySuperuse(role) || !policy.isJudged(role), context)
}

function addMember(role: Oid, member: string, context: PlanContext): Refusal {
  const { draft, runner, emit, nameOf, operator } = context
  const { roles, memberships, serverVersion } = draft.catalog()
  const known = roles.find(({ name }) => name === member)
  if (!known) return 'there is no role of that name, and `roles` does not say what it is'
  const problem = runner.manageMembers(role)
  if (problem) return problem
  const options = serverVersion >= 160000 ? ' WITH INHERIT TRUE, SET TRUE' : ''
  emit([`GRANT ${quoteIdentifier(nameOf(role))} TO ${quoteIdentifier(member)}${options}`])
  const grantor = runner.isSuperuser ? bootstrapSuperuser : (operator ?? bootstrapSuperuser)
  const edge = { role, member: known.oid, grantor, inherit: true, set: true, admin: false }
  draft.setMemberships([...memberships, edge])
  return null
}

function removeMember(role: Oid, member: Oid, route: Route, context: PlanContext): Refusal {
  const { policy } = context.comparison.bench
  return cutRoute(member, route.path, user => policy.isTrusted(user) || policy.mayUse(user).has(role), context)
}

function removeAdmin(role: Oid, member: Oid, context: PlanContext): Refusal {
  const { memberships } = context.draft.catalog()
  const edges = memberships.filter(edge => edge.role === role && edge.member === member && edge.admin)
  return refusalOf(edges.map(edge => revokeEdge(edge, 'ADMIN OPTION FOR ', context)))
}

function createSchema(name: string, owner: string | null, { draft, runner, emit }: PlanContext): Refusal {
  const role = draft.catalog().roles.find(known => known.name === owner)
  if (owner === null) return 'the policy does not say who is to own it'
  if (!role) return `its owner ${owner} is missing`
  const problem = runner.createInDatabase() ?? runner.actAs([role.oid])
  if (problem) return problem
  emit([`CREATE SCHEMA ${quoteIdentifier(name)} AUTHORIZATION ${quoteIdentifier(owner)}`])
  draft.addSchema(name, role.oid)
  return null
}
