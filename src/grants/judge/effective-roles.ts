import type { Catalog, CatalogRole, Membership } from '../model/catalog.ts'
import { bootstrapSuperuser, type Oid } from '../model/oid.ts'
import type { ResolvedPolicy } from './resolved-policy.ts'

/** How one role comes to hold what another one holds. */
export interface Route {
  /** The roles on the way, the one that holds it last; empty when that is the role itself. */
  readonly path: readonly Oid[]
  /** `inherit`: as it is; `set`: by SET ROLE; `admin`: by granting itself the membership that it administers. */
  readonly by: 'inherit' | 'set' | 'admin'
}

export interface Holder {
  readonly role: Oid
  readonly route: Route
}

/** Who can do what others can do, in one database. */
export interface EffectiveRoles {
  /**
   * The judged roles that can do what a role can do, itself first. Left out is what a role holds through a listed role
   * that it may use: that is judged there.
   */
  holders(of: Oid): readonly Holder[]
  /** What a role holds without saying SET ROLE: itself, and all that it inherits from. */
  inherited(by: Oid): ReadonlySet<Oid>
  /** The judged roles that nothing holds back. */
  readonly unbounded: readonly Unbounded[]
}

/** Who can do everything: as a superuser or, before 16, by CREATEROLE, with which one joins whatever role one likes. */
export interface Unbounded extends Holder {
  readonly as: 'superuser' | 'createRole'
}

export function computeEffectiveRoles(catalog: Catalog, policy: ResolvedPolicy): EffectiveRoles {
  const edges = [...catalog.memberships, ...implicitMemberships(catalog)]
  const world = { policy, byMember: Map.groupBy(edges, edge => edge.member), isModern: catalog.serverVersion >= 160000 }
  const holders = new Map<Oid, Holder[]>()
  const unbounded: Unbounded[] = []
  for (const role of catalog.roles) {
    if (!policy.isJudged(role.oid)) continue
    const found = explore(role, world)
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
    inherited: by => inherited.get(by) ?? rememberInherited(by, world.byMember, inherited),
    unbounded,
  }
}

/** The role of PostgreSQL's own whose only member is the owner of the database. */
export const databaseOwnerRole = 'pg_database_owner'

/** That membership, which the catalog does not say. */
export function implicitMemberships({ roles, database }: Pick<Catalog, 'roles' | 'database'>): Membership[] {
  const owners = roles.find(({ name }) => name === databaseOwnerRole)
  if (!owners) return []
  const edge = { role: owners.oid, member: database.owner, grantor: bootstrapSuperuser }
  return [{ ...edge, inherit: true, set: true, admin: false }]
}

interface World {
  readonly policy: ResolvedPolicy
  readonly byMember: ReadonlyMap<Oid, readonly Membership[]>
  /** Whether CREATEROLE is limited to the roles that one administers: 16 and later. */
  readonly isModern: boolean
}

interface Found {
  readonly routes: Map<Oid, Route>
  readonly unbounded: Omit<Unbounded, 'role'> | null
}

/** Breadth first, so that the shortest route is the one that is told. */
function explore(start: CatalogRole, { policy, byMember, isModern }: World): Found {
  const itself: Route = { path: [], by: 'inherit' }
  const routes = new Map<Oid, Route>([[start.oid, itself]])
  if (start.superuser) return { routes, unbounded: { as: 'superuser', route: itself } }
  const becomes = new Set<Oid>([start.oid])
  const waiting: { at: Oid; route: Route; canBecome: boolean }[] = [{ at: start.oid, route: itself, canBecome: true }]
  let [superuser, createRole]: (Route | null)[] = [null, start.createRole ? itself : null]
  for (let next = waiting.shift(); next; next = waiting.shift()) {
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
      else waiting.push({ at: edge.role, route: known ?? step.route, canBecome: step.canBecome })
    }
  }
  if (superuser) return { routes, unbounded: { as: 'superuser', route: superuser } }
  return { routes, unbounded: createRole && !isModern ? { as: 'createRole', route: createRole } : null }
}

/**
 * From a role that one can become every use of a membership is open; from one that is only inherited, inheriting, and
 * ADMIN, with which one grants oneself the rest. Who may be a superuser is only a superuser's to say.
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

function rememberInherited(
  by: Oid,
  byMember: ReadonlyMap<Oid, readonly Membership[]>,
  known: Map<Oid, ReadonlySet<Oid>>,
): ReadonlySet<Oid> {
  const reached = new Set<Oid>([by])
  const waiting = [by]
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    for (const edge of byMember.get(next) ?? []) {
      if (!edge.inherit || reached.has(edge.role)) continue
      reached.add(edge.role)
      waiting.push(edge.role)
    }
  }
  known.set(by, reached)
  return reached
}
