import { rightsIn } from '../model/acl.ts'
import { type CatalogObject, type Membership, roleAttributes } from '../model/catalog.ts'
import { bootstrapSuperuser, type Oid, PUBLIC } from '../model/oid.ts'
import { attributesOf } from '../model/policy.ts'
import { everyRight, type Rights, rightsOf, withoutOptions } from '../model/privileges.ts'
import type { Discrepancy, RightDiscrepancy } from './discrepancy.ts'
import { createAssessor, type JudgementContext } from './judge-rights.ts'
import type { ListedRole, ResolvedPolicy } from './resolved-policy.ts'

/** Roles that are missing, have other attributes, are used by others than their members, or may do things to the database. */
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

/** A listed role that is a superuser itself, or has CREATEROLE, is told of as an attribute. */
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

/** Everybody who can use the role, and whoever else the catalog has as its member. */
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

/** Members that may use the role and, by their ADMIN option, let others use it. */
function administrators(oid: Oid, edges: readonly Membership[], { policy }: JudgementContext): Discrepancy[] {
  const members = edges.filter(
    edge =>
      edge.admin &&
      !policy.isTrusted(edge.member) &&
      policy.mayUse(edge.member).has(oid) &&
      !comesOfCreating(edge, policy),
  )
  return [...new Set(members.map(({ member }) => member))].map(
    member => ({ type: 'member-admin', role: oid, member }) as const,
  )
}

/** From 16 on whoever makes a role administers it by this grant, and cannot be without it: the policy lets it make roles. */
function comesOfCreating({ member, grantor, inherit, set }: Membership, policy: ResolvedPolicy): boolean {
  return grantor === bootstrapSuperuser && !inherit && !set && policy.mayActAs(member, 'createRole')
}

/** Rights on the database are judged of listed roles only, beyond those of PUBLIC. */
function judgeDatabase(context: JudgementContext): RightDiscrepancy[] {
  const { catalog, policy } = context
  const { database, serverVersion } = catalog
  const direct = new Map<Oid, Rights>()
  for (const [oid, { policy: wanted }] of policy.listedByOid) direct.set(oid, rightsOf(wanted.database ?? []))
  const expected = { id: 0, direct, everybody: rightsIn(database.acl, PUBLIC) }
  const ownerHolds = { grantee: database.owner, grantor: database.owner, rights: everyRight('database', serverVersion) }
  const setting = { objects: 'database', owner: null, expected } as const
  const assessor = createAssessor(setting, context, role => policy.listedByOid.has(role))
  const acl = [...withoutOwner(database), ownerHolds]
  const about = {
    type: 'right',
    objects: 'database',
    schema: '',
    targets: [[database]],
    columns: null,
    door: null,
  } as const
  return [
    ...assessor.excess(acl).map(
      excess =>
        ({
          ...about,
          ...excess,
          source: sourceOf(excess.route.path.at(-1) ?? excess.holder, database),
        }) as const,
    ),
    ...assessor
      .lack(acl)
      .filter(({ holder }) => holder !== PUBLIC)
      .map(
        lack =>
          ({
            ...about,
            ...lack,
            rights: withoutOptions(lack.rights),
          }) as const,
      ),
  ]
}

function withoutOwner({ acl, owner }: CatalogObject) {
  return acl.filter(({ grantee }) => grantee !== owner)
}

function sourceOf(holder: Oid, { owner }: CatalogObject): 'owner' | 'grant' {
  return holder === owner ? 'owner' : 'grant'
}
