import type { Catalog, CatalogRole, Membership } from '../model/catalog.ts'
import { bootstrapSuperuser, type Oid } from '../model/oid.ts'
import { reachRoles } from '../model/reach-roles.ts'
import type { ResolvedPolicy } from './resolved-policy.ts'

/** How one role gets the rights of another. */
export interface Route {
  /** The roles on the way, ending with the one that has the rights; empty for the role itself. */
  readonly path: readonly Oid[]
  /** `inherit`: without any action; `set`: by SET ROLE; `admin`: by granting itself a membership with its ADMIN option. */
  readonly by: 'inherit' | 'set' | 'admin'
}

export interface Holder {
  readonly role: Oid
  readonly route: Route
}

/** Which roles can use the rights of which others, in one database. */
export interface EffectiveRoles {
  /**
   * The judged roles that can use the rights of a role, itself first. Routes through a listed role that the policy allows are
   * omitted: the listed role is judged instead.
   */
  holders(of: Oid): readonly Holder[]
  /** The role itself and all roles that it inherits from. */
  inherited(by: Oid): ReadonlySet<Oid>
  /** The judged roles that can do everything. */
  readonly unbounded: readonly Unbounded[]
}

/** A role that can do everything: a superuser or, before 16, a role with CREATEROLE, which can join any role. */
export interface Unbounded extends Holder {
  readonly as: 'superuser' | 'createRole'
}

export function computeEffectiveRoles(catalog: Catalog, policy: ResolvedPolicy): EffectiveRoles {
  const edges = [...catalog.memberships, ...implicitMemberships(catalog)]
  const graph = { policy, byMember: Map.groupBy(edges, edge => edge.member), isModern: catalog.serverVersion >= 160000 }
  const holders = new Map<Oid, Holder[]>()
  const unbounded: Unbounded[] = []
  for (const role of catalog.roles) {
    if (!policy.isJudged(role.oid)) continue
    const found = explore(role, graph)
    if (found.unbounded) unbounded.push({ role: role.oid, ...found.unbounded })
    for (const [oid, route] of found.routes) {
      const list = holders.get(oid)
      if (list) list.push({ role: role.oid, route })
      else holders.set(oid, [{ role: role.oid, route }])
    }
  }
  const inherited = new Map<Oid, ReadonlySet<Oid>>()
  return {
    holders: of => holders.get(of) ?? [],
    inherited(by) {
      const known =
        inherited.get(by) ??
        reachRoles(
          by,
          role => graph.byMember.get(role) ?? [],
          edge => edge.inherit,
        )
      inherited.set(by, known)
      return known
    },
    unbounded,
  }
}

/** The predefined role whose only member is the owner of the database. */
export const databaseOwnerRole = 'pg_database_owner'

/** The membership in that role, which the catalog does not show. */
export function implicitMemberships({ roles, database }: Pick<Catalog, 'roles' | 'database'>): Membership[] {
  const owners = roles.find(({ name }) => name === databaseOwnerRole)
  if (!owners) return []
  const edge = { role: owners.oid, member: database.owner, grantor: bootstrapSuperuser }
  return [{ ...edge, inherit: true, set: true, admin: false }]
}

interface Graph {
  readonly policy: ResolvedPolicy
  readonly byMember: ReadonlyMap<Oid, readonly Membership[]>
  /** 16 and later: CREATEROLE is limited to roles on which one has the ADMIN option. */
  readonly isModern: boolean
}

/** Breadth first, so that the shortest route is reported. */
function explore(start: CatalogRole, { policy, byMember, isModern }: Graph) {
  const itself: Route = { path: [], by: 'inherit' }
  const routes = new Map<Oid, Route>([[start.oid, itself]])
  if (start.superuser) return { routes, unbounded: { as: 'superuser', route: itself } as const }
  const becomes = new Set<Oid>([start.oid])
  const queue: { at: Oid; route: Route; canBecome: boolean }[] = [{ at: start.oid, route: itself, canBecome: true }]
  let [superuser, createRole]: (Route | null)[] = [null, start.createRole ? itself : null]
  for (let next = queue.shift(); next; next = queue.shift()) {
    for (const edge of byMember.get(next.at) ?? []) {
      if (next.at === start.oid && policy.mayUse(start.oid).has(edge.role)) continue
      const step = stepOver(edge, next, policy)
      if (!step || (routes.has(edge.role) && (!step.canBecome || becomes.has(edge.role)))) continue
      const known = routes.get(edge.role)
      const become = step.canBecome ? policy.roleOf(edge.role) : undefined
      if (!known) routes.set(edge.role, step.route)
      if (step.canBecome) becomes.add(edge.role)
      if (become?.createRole) createRole ??= step.route
      if (become?.superuser) superuser ??= step.route
      else queue.push({ at: edge.role, route: known ?? step.route, canBecome: step.canBecome })
    }
  }
  if (superuser) return { routes, unbounded: { as: 'superuser', route: superuser } as const }
  return { routes, unbounded: createRole && !isModern ? ({ as: 'createRole', route: createRole } as const) : null }
}

/**
 * A role that one can become gives every option of its memberships. A role that is only inherited gives inheritance and the
 * ADMIN option. Only a superuser can grant membership in a superuser.
 */
function stepOver(edge: Membership, from: { route: Route; canBecome: boolean }, policy: ResolvedPolicy) {
  const path = [...from.route.path, edge.role]
  const admin = edge.admin && !policy.roleOf(edge.role)?.superuser
  if (from.canBecome && edge.set) {
    return { canBecome: true, route: { path, by: edge.inherit ? from.route.by : worse(from.route.by, 'set') } }
  }
  if (edge.inherit) return { canBecome: admin, route: { path, by: from.route.by } }
  return admin ? { canBecome: true, route: { path, by: 'admin' as const } } : null
}

function worse(one: Route['by'], other: Route['by']): Route['by'] {
  return one === 'admin' || other === 'admin' ? 'admin' : other
}
