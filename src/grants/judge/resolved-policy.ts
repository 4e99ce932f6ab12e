import type { Catalog, CatalogRole, RoleAttribute } from '../model/catalog.ts'
import type { Oid } from '../model/oid.ts'
import { attributesOf, type GrantsPolicy, type RolePolicy } from '../model/policy.ts'

export interface ListedRole {
  readonly name: string
  readonly policy: RolePolicy
  /** Null: the database has no such role. */
  readonly role: CatalogRole | null
}

/** A policy with its names resolved to the roles of one database. */
export interface ResolvedPolicy {
  readonly policy: GrantsPolicy
  readonly listed: readonly ListedRole[]
  /** The listed roles that exist. */
  readonly listedByOid: ReadonlyMap<Oid, ListedRole>
  roleOf(oid: Oid): CatalogRole | undefined
  oidOf(name: string): Oid | undefined
  isTrusted(oid: Oid): boolean
  /** Whether the rights of a role must match the policy: all roles except trusted and predefined ones. */
  isJudged(oid: Oid): boolean
  /** The other listed roles that the policy lets a role use. */
  mayUse(oid: Oid): ReadonlySet<Oid>
  /** Whether the policy gives the attribute to a role, or to one that it may use. */
  mayActAs(oid: Oid, as: 'superuser' | 'createRole'): boolean
}

const noRoles: ReadonlySet<Oid> = new Set()

export function resolvePolicy(policy: GrantsPolicy, catalog: Catalog): ResolvedPolicy {
  const byOid = new Map(catalog.roles.map(role => [role.oid, role]))
  const byName = new Map(catalog.roles.map(role => [role.name, role]))
  const trusted = new Set((policy.trustedRoles ?? []).map(name => byName.get(name)?.oid))
  const listed = Object.entries(policy.roles ?? {}).map(([name, wanted]) => {
    return { name, policy: wanted, role: byName.get(name) ?? null }
  })
  const listedByOid = new Map(listed.flatMap(entry => (entry.role ? [[entry.role.oid, entry] as const] : [])))
  const usable = usableRoles(listed, byName)
  const mayUse = (oid: Oid) => usable.get(oid) ?? noRoles
  const allowing = (attribute: RoleAttribute) => {
    const has = (oid: Oid) => attributesOf(listedByOid.get(oid)?.policy ?? {})[attribute]
    return new Set(catalog.roles.map(({ oid }) => oid).filter(oid => has(oid) || [...mayUse(oid)].some(has)))
  }
  const superusers = allowing('superuser')
  const creators = allowing('createRole')
  const judged = new Set(
    catalog.roles.filter(({ oid, name }) => !trusted.has(oid) && !name.startsWith('pg_')).map(({ oid }) => oid),
  )
  return {
    policy,
    listed,
    listedByOid,
    roleOf: oid => byOid.get(oid),
    oidOf: name => byName.get(name)?.oid,
    isTrusted: oid => trusted.has(oid),
    isJudged: oid => judged.has(oid),
    mayUse,
    mayActAs: (oid, as) => superusers.has(oid) || (as === 'createRole' && creators.has(oid)),
  }
}

/** By role: the listed roles of which it is a member, directly or through other listed roles. */
function usableRoles(listed: readonly ListedRole[], byName: ReadonlyMap<string, CatalogRole>): Map<Oid, Set<Oid>> {
  const direct = new Map<Oid, Oid[]>()
  for (const { policy, role } of listed) {
    for (const member of role ? (policy.members ?? []) : []) {
      const oid = byName.get(member)?.oid
      if (oid !== undefined && role) direct.set(oid, [...(direct.get(oid) ?? []), role.oid])
    }
  }
  return new Map([...direct.keys()].map(user => [user, closure(user, direct)]))
}

function closure(user: Oid, direct: ReadonlyMap<Oid, readonly Oid[]>): Set<Oid> {
  const reached = new Set([user])
  for (const role of reached) for (const next of direct.get(role) ?? []) reached.add(next)
  reached.delete(user)
  return reached
}
