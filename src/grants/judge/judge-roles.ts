import { rightsIn } from '../model/acl.ts'
import { type Membership, roleAttributes } from '../model/catalog.ts'
import { bootstrapSuperuser, type Oid, PUBLIC } from '../model/oid.ts'
import { attributesOf } from '../model/policy.ts'
import { everyRight, type Rights, rightsOf, withoutOptions } from '../model/privileges.ts'
import type { Discrepancy, RightDiscrepancy } from './discrepancy.ts'
import { createAssessor, type JudgementContext } from './judge-rights.ts'
import type { ListedRole, ResolvedPolicy } from './resolved-policy.ts'

/** Missing roles, and wrong attributes, members and database privileges of roles. */
export function judgeRoles(context: JudgementContext): Discrepancy[] {
  const { policy } = context
  const missing = policy.listed.filter(({ role }) => !role)
  return [
    ...missing.map(({ name }) => ({ type: 'role-missing', name }) as const),
    ...judgeAttributes(context),
    ...judgeUnbounded(context),
    ...judgeMembers(context),
    ...judgeDatabase(context),
  ]
}

function judgeAttributes({ policy }: JudgementContext): Discrepancy[] {
  return policy.listed.flatMap(({ role, policy: wanted }) => {
    if (!role) return []
    const expected = attributesOf(wanted)
    return roleAttributes
      .filter(attribute => role[attribute] !== expected[attribute])
      .map(attribute => ({ type: 'attribute', role: role.oid, attribute, expected: expected[attribute] }) as const)
  })
}

/** A listed role with SUPERUSER or CREATEROLE itself is reported as an attribute instead. */
function judgeUnbounded({ policy, effectiveRoles }: JudgementContext): Discrepancy[] {
  return effectiveRoles.unbounded
    .filter(
      ({ role, as, route }) => !policy.mayActAs(role, as) && (route.path.length > 0 || !policy.listedByOid.has(role)),
    )
    .map(found => ({ type: 'unbounded', ...found }) as const)
}

function judgeMembers(context: JudgementContext): Discrepancy[] {
  const byRole = Map.groupBy(context.catalog.memberships, edge => edge.role)
  return [...context.policy.listedByOid].flatMap(([oid, entry]) => {
    const edges = byRole.get(oid) ?? []
    return [
      ...missingMembers(oid, entry, context),
      ...unexpectedMembers(oid, edges, context),
      ...administrators(oid, edges, context),
    ]
  })
}

function missingMembers(
  oid: Oid,
  { policy: wanted }: ListedRole,
  { policy, catalog }: JudgementContext,
): Discrepancy[] {
  return (wanted.members ?? []).flatMap(name => {
    const member = policy.oidOf(name)
    const uses = catalog.memberships.some(
      edge => edge.role === oid && edge.member === member && (edge.set || edge.inherit),
    )
    return uses ? [] : [{ type: 'member-missing', role: oid, member: name } as const]
  })
}

/** All roles that can use the role, and all other members in the catalog. */
function unexpectedMembers(
  oid: Oid,
  edges: readonly Membership[],
  { policy, effectiveRoles }: JudgementContext,
): Discrepancy[] {
  const users = new Map(effectiveRoles.holders(oid).map(({ role, route }) => [role, route]))
  for (const { member } of edges) {
    if (!users.has(member) && !policy.isTrusted(member)) users.set(member, { path: [oid], by: 'set' })
  }
  return [...users]
    .filter(([member]) => member !== oid && !policy.mayUse(member).has(oid))
    .map(([member, route]) => ({ type: 'member-unexpected', role: oid, member, route }) as const)
}

/** Members that the policy allows, but which also have the ADMIN option. */
function administrators(oid: Oid, edges: readonly Membership[], { policy }: JudgementContext): Discrepancy[] {
  const members = edges.filter(
    edge =>
      edge.admin &&
      !policy.isTrusted(edge.member) &&
      policy.mayUse(edge.member).has(oid) &&
      !isCreatorMembership(edge, policy),
  )
  return [...new Set(members.map(({ member }) => member))].map(
    member => ({ type: 'member-admin', role: oid, member }) as const,
  )
}

/** From 16 on, the creator of a role has this ADMIN option and cannot lose it. The policy allows it to create roles. */
function isCreatorMembership({ member, grantor, inherit, set }: Membership, policy: ResolvedPolicy): boolean {
  return grantor === bootstrapSuperuser && !inherit && !set && policy.mayActAs(member, 'createRole')
}

/** Only the rights of listed roles on the database are judged, beyond those of PUBLIC. */
function judgeDatabase(context: JudgementContext): RightDiscrepancy[] {
  const { catalog, policy } = context
  const { database, serverVersion } = catalog
  const direct = new Map<Oid, Rights>()
  for (const [oid, { policy: wanted }] of policy.listedByOid) direct.set(oid, rightsOf(wanted.database ?? []))
  const expected = { id: 0, direct, toPublic: rightsIn(database.acl, PUBLIC) }
  const ownerHolds = { grantee: database.owner, grantor: database.owner, rights: everyRight('database', serverVersion) }
  const setting = { objects: 'database', owner: null, expected } as const
  const assessor = createAssessor(setting, context, role => policy.listedByOid.has(role))
  const acl = [...database.acl.filter(({ grantee }) => grantee !== database.owner), ownerHolds]
  const about = { type: 'right', schema: '', targets: [[database]], columns: null, door: null } as const
  const unexpected = assessor.findUnexpected(acl).map(claim => {
    const isOwner = (claim.route.path.at(-1) ?? claim.holder) === database.owner
    return { ...about, ...claim, source: isOwner ? 'owner' : 'grant' } as const
  })
  const missing = assessor.findMissing(acl).filter(({ holder }) => holder !== PUBLIC)
  return [
    ...unexpected,
    ...missing.map(claim => ({ ...about, ...claim, rights: withoutOptions(claim.rights) }) as const),
  ]
}
