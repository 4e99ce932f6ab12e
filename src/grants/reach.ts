import { bootstrapSuperuser, type Catalog, type CatalogRole, type Membership, type Oid } from './catalog.ts'
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
export interface Reach {
  /**
   * The judged roles that can do what a role can do, itself first. Left out is what a role holds through a listed role
   * that it may use: that is judged there.
   */
  holders(of: Oid): readonly Holder[]
  /** What a role holds without saying SET ROLE: itself, and all that it inherits from. */
  inherited(by: Oid): ReadonlySet<Oid>
  /** The judged roles that can act as a superuser. */
  readonly superusers: readonly Holder[]
  /** Memberships that a role with CREATEROLE got by making a role (16 and later); they do not count. */
  readonly creators: readonly Membership[]
}

export function computeReach(catalog: Catalog, policy: ResolvedPolicy): Reach {
  const { creators, edges } = usableMemberships(catalog, policy)
  const byMember = Map.groupBy(edges, edge => edge.member)
  const holders = new Map<Oid, Holder[]>()
  const superusers: Holder[] = []
  for (const role of catalog.roles) {
    if (!policy.isJudged(role.oid)) continue
    const found = explore(role, byMember, policy)
    if (found.superuser) superusers.push({ role: role.oid, route: found.superuser })
    for (const [oid, route] of found.routes) {
      const list = holders.get(oid)
      if (list) list.push({ role: role.oid, route })
      else holders.set(oid, [{ role: role.oid, route }])
    }
  }
  const inherited = new Map<Oid, ReadonlySet<Oid>>()
  return {
    holders: of => holders.get(of) ?? [],
    inherited: by => inherited.get(by) ?? rememberInherited(by, byMember, inherited),
    superusers,
    creators,
  }
}

/** What a creator has by the bootstrap superuser's grant is only the power of CREATEROLE, which it has anyway. */
function usableMemberships(catalog: Catalog, policy: ResolvedPolicy): { creators: Membership[]; edges: Membership[] } {
  const creators: Membership[] = []
  const edges: Membership[] = []
  for (const edge of catalog.memberships) (isCreators(edge, policy) ? creators : edges).push(edge)
  edges.push(...implicitMemberships(catalog))
  return { creators, edges }
}

/** The owner of the database is a member of a role of PostgreSQL's own, which the catalog does not say. */
export function implicitMemberships({ roles, database }: Pick<Catalog, 'roles' | 'database'>): Membership[] {
  const owners = roles.find(({ name }) => name === 'pg_database_owner')
  if (!owners) return []
  const edge = { role: owners.oid, member: database.owner, grantor: bootstrapSuperuser }
  return [{ ...edge, inherit: true, set: true, admin: false }]
}

export function isCreators(edge: Membership, policy: Pick<ResolvedPolicy, 'roleOf'>): boolean {
  const adminOnly = edge.admin && !edge.inherit && !edge.set
  return adminOnly && edge.grantor === bootstrapSuperuser && (policy.roleOf(edge.member)?.createRole ?? false)
}

interface Found {
  readonly routes: Map<Oid, Route>
  readonly superuser: Route | null
}

/** Breadth first, so that the shortest route is the one that is told. */
function explore(start: CatalogRole, byMember: ReadonlyMap<Oid, readonly Membership[]>, policy: ResolvedPolicy): Found {
  const routes = new Map<Oid, Route>([[start.oid, { path: [], by: 'inherit' }]])
  if (start.superuser) return { routes, superuser: { path: [], by: 'inherit' } }
  const becomes = new Set<Oid>([start.oid])
  const waiting: { at: Oid; route: Route; canBecome: boolean }[] = [
    { at: start.oid, route: { path: [], by: 'inherit' }, canBecome: true },
  ]
  let superuser: Route | null = null
  for (let next = waiting.shift(); next; next = waiting.shift()) {
    for (const edge of byMember.get(next.at) ?? []) {
      if (next.at === start.oid && policy.mayUse(start.oid).has(edge.role)) continue
      const step = stepOver(edge, next)
      if (!step || (routes.has(edge.role) && (!step.canBecome || becomes.has(edge.role)))) continue
      const known = routes.get(edge.role)
      if (!known) routes.set(edge.role, step.route)
      if (step.canBecome) becomes.add(edge.role)
      if (step.canBecome && policy.roleOf(edge.role)?.superuser) superuser ??= step.route
      else waiting.push({ at: edge.role, route: known ?? step.route, canBecome: step.canBecome })
    }
  }
  return { routes, superuser }
}

/** From a role that one can become every use of a membership is open; from one that is only inherited, inheriting. */
function stepOver(edge: Membership, from: { route: Route; canBecome: boolean }) {
  const path = [...from.route.path, edge.role]
  if (from.canBecome && edge.set) {
    return { canBecome: true, route: { path, by: edge.inherit ? from.route.by : worse(from.route.by, 'set') } }
  }
  if (edge.inherit) return { canBecome: edge.admin, route: { path, by: from.route.by } }
  return edge.admin ? { canBecome: true, route: { path, by: 'admin' as const } } : null
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
