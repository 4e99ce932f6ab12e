import { compareGrants, type GrantsComparison } from './judge/compare.ts'
import { describeDiscrepancy, describeInLine } from './judge/describe.ts'
import type { DefaultDiscrepancy, Discrepancy, RightDiscrepancy } from './judge/discrepancy.ts'
import { classOf } from './judge/expectation.ts'
import { defaultsRole } from './judge/judge-defaults.ts'
import type { JudgementContext } from './judge/judge-rights.ts'
import { type Catalog, type CatalogObject, roleAttributes } from './model/catalog.ts'
import { patternOf } from './model/name-pattern.ts'
import { type Oid, PUBLIC } from './model/oid.ts'
import type { DefaultGrants, GrantsOnSchema, GrantsPolicy, PrivilegesByName, RolePolicy } from './model/policy.ts'
import { type Rights, withoutOptions, wordsOf } from './model/privileges.ts'

/** The policy that a database has. */
export interface GrantsSnapshot {
  readonly policy: GrantsPolicy
  /** What is so and no policy can say: drift by the policy, one line each. */
  readonly unsayable: readonly string[]
}

type GovernedClass = 'schema' | 'tables' | 'sequences' | 'functions'
type DefaultClass = DefaultDiscrepancy['objects']

/** What is known of one schema so far. */
interface SchemaNotes {
  readonly owner: string | null
  /** By grantee and class: what each object gives. */
  readonly grants: Map<string, Map<GovernedClass, Map<CatalogObject, Rights>>>
  readonly defaults: Map<string, Map<DefaultClass, Rights>>
}

/** A policy under way: begun with nothing, and given whatever a comparison finds to be more than it allows. */
interface Notes {
  readonly catalog: Catalog
  readonly trusted: ReadonlySet<Oid>
  readonly members: Map<Oid, Set<string>>
  readonly database: Map<Oid, Rights>
  readonly schemas: ReadonlyMap<string, SchemaNotes>
}

/**
 * Writes down who can do what in the schemas of a catalog, as a policy by which nothing drifts. Superusers are trusted; so
 * are the owner of the database and roles with CREATEROLE where what they hold cannot be said otherwise. Pure.
 */
export function snapshotGrants(catalog: Catalog): GrantsSnapshot {
  const superusers = catalog.roles.filter(({ superuser }) => superuser).map(({ oid }) => oid)
  const first = settle(catalog, new Set(superusers))
  const keepers = catalog.roles.filter(({ oid, createRole }) => oid === catalog.database.owner || createRole)
  const needed = keepers.map(({ oid }) => oid).filter(oid => first.left.some(found => isAbout(found, oid)))
  return needed.length === 0 ? first.snapshot : settle(catalog, new Set([...superusers, ...needed])).snapshot
}

function isAbout(found: Discrepancy, role: Oid): boolean {
  if (found.type === 'member-unexpected' || found.type === 'member-admin') return found.member === role
  return (found.type === 'right' || found.type === 'default') && found.holder === role
}

/** Every round names more roles, and with them what their members hold. */
function settle(catalog: Catalog, trusted: ReadonlySet<Oid>) {
  const notes = begin(catalog, trusted)
  for (;;) {
    const policy = write(notes)
    const comparison = compareGrants(policy, catalog)
    const left = comparison.discrepancies.filter(found => !note(found, notes, comparison))
    if (left.length < comparison.discrepancies.length) continue
    const unsayable = left.map(found => describeInLine(describeDiscrepancy(found, comparison.context)))
    return { left, snapshot: { policy, unsayable } }
  }
}

function begin(catalog: Catalog, trusted: ReadonlySet<Oid>): Notes {
  const byName = [...catalog.schemas].sort(([one], [other]) => (one < other ? -1 : 1))
  const schemas = byName.map(([name, { self, objects }]) => {
    const owners = new Set([self, ...objects].map(({ owner }) => owner))
    const owner = owners.size === 1 ? nameOf(self.owner, catalog) : null
    const sayable = owner === null || owner.startsWith('pg_') ? null : owner
    return [name, { owner: sayable, grants: new Map(), defaults: new Map() }] as const
  })
  const notes = { catalog, trusted, members: new Map(), database: new Map(), schemas: new Map(schemas) }
  for (const { self, objects } of catalog.schemas.values())
    for (const { owner } of [self, ...objects]) list(owner, notes)
  return notes
}

function nameOf(role: Oid, { roles }: Catalog): string | null {
  return roles.find(({ oid }) => oid === role)?.name ?? null
}

/** Makes a role one of the policy's; whether it was none. */
function list(role: Oid, { catalog, trusted, members }: Notes): boolean {
  const name = nameOf(role, catalog)
  if (name === null || name.startsWith('pg_') || trusted.has(role) || members.has(role)) return false
  members.set(role, new Set())
  return true
}

/** Takes one thing that the policy does not allow, or that is missing by it, into the policy; whether it could. */
function note(found: Discrepancy, notes: Notes, comparison: GrantsComparison): boolean {
  switch (found.type) {
    case 'right':
      return found.kind === 'unexpected' && noteRight(found, notes, comparison.context)
    case 'default':
      return found.kind === 'unexpected' && noteDefault(found, notes, comparison.context)
    case 'member-unexpected':
      return noteMember(found.role, found.member, found.route.path, notes)
    case 'unbounded':
      return found.as === 'createRole' && listRoute([found.role, ...found.route.path], notes)
    default:
      return false
  }
}

/** The roles on the way are listed, and those who use them become their members. */
function listRoute(path: readonly Oid[], notes: Notes): boolean {
  return path.filter(role => list(role, notes)).length > 0
}

function noteMember(role: Oid, member: Oid, path: readonly Oid[], notes: Notes): boolean {
  const { catalog, members } = notes
  const name = nameOf(member, catalog)
  const uses = catalog.memberships.some(
    edge => edge.role === role && edge.member === member && (edge.set || edge.inherit),
  )
  const known = members.get(role)
  if (!uses || !known || name === null || known.has(name)) return listRoute(path, notes)
  known.add(name)
  return true
}

function noteRight(found: RightDiscrepancy, notes: Notes, context: JudgementContext): boolean {
  const { holder, route, objects, schema, columns, door } = found
  const rights = withoutOptions(found.rights)
  const judged = (route?.path ?? []).filter(role => context.policy.isJudged(role))
  if (judged.length > 0) return listRoute(judged, notes)
  if (columns !== null || door !== null || rights === 0) return false
  if (objects === 'database') return add(notes.database, holder, rights)
  const grantee = granteeName(holder, notes)
  const grants = notes.schemas.get(schema)?.grants
  if (grantee === null || !grants) return false
  const byObject = within(within(grants, grantee), objects)
  return found.targets.flat().filter(object => add(byObject, object, rights)).length > 0
}

function noteDefault(found: DefaultDiscrepancy, notes: Notes, context: JudgementContext): boolean {
  const schema = notes.schemas.get(found.schema)
  const actual = notes.catalog.schemas.get(found.schema)
  const rights = withoutOptions(found.rights)
  const [judged] = (found.route?.path ?? []).filter(role => context.policy.isJudged(role))
  if (!schema || schema.owner === null || !actual || judged !== undefined || rights === 0) return false
  const wanted = { owner: schema.owner }
  if (defaultsRole({ name: found.schema, wanted, actual }, context) !== found.role) return false
  const grantee = granteeName(found.holder, notes)
  return grantee !== null && add(within(schema.defaults, grantee), found.objects, rights)
}

/** What a policy calls a holder, who is listed by this; null for one that cannot be named. */
function granteeName(holder: Oid, notes: Notes): string | null {
  if (holder === PUBLIC) return 'PUBLIC'
  list(holder, notes)
  return notes.members.has(holder) ? nameOf(holder, notes.catalog) : null
}

function within<Key, Inner, Value>(outer: Map<Key, Map<Inner, Value>>, key: Key): Map<Inner, Value> {
  const known = outer.get(key) ?? new Map<Inner, Value>()
  outer.set(key, known)
  return known
}

/** Whether that is more than there was. */
function add<Key>(rights: Map<Key, Rights>, key: Key, more: Rights): boolean {
  const before = rights.get(key) ?? 0
  rights.set(key, before | more)
  return (before | more) !== before
}

function write(notes: Notes): GrantsPolicy {
  const { catalog, trusted, members, schemas } = notes
  const listed = catalog.roles.filter(({ oid }) => members.has(oid))
  return {
    roles: Object.fromEntries(listed.map(role => [role.name, writeRole(role.oid, notes)])),
    trustedRoles: catalog.roles.filter(({ oid }) => trusted.has(oid)).map(({ name }) => name),
    schemas: Object.fromEntries([...schemas].map(([name, schema]) => [name, writeSchema(name, schema, catalog)])),
  }
}

function writeRole(oid: Oid, { catalog, members, database }: Notes): RolePolicy {
  const role = catalog.roles.find(known => known.oid === oid)
  const attributes = roleAttributes.filter(attribute => role?.[attribute])
  const using = [...(members.get(oid) ?? [])].sort()
  const rights = database.get(oid) ?? 0
  return {
    ...Object.fromEntries(attributes.map(attribute => [attribute, true])),
    ...(using.length > 0 && { members: using }),
    ...(rights !== 0 && { database: wordsOf(rights) }),
  }
}

function writeSchema(name: string, { owner, grants, defaults }: SchemaNotes, catalog: Catalog) {
  const { self, objects } = catalog.schemas.get(name) ?? { self: null, objects: [] }
  const byClass = Map.groupBy(self ? [self, ...objects] : objects, object => classOf(object.kind))
  const written = [...grants].map(([grantee, classes]) => {
    const parts = [...classes].map(([objects, rights]) => {
      const all = byClass.get(objects) ?? []
      return [objects, objects === 'schema' ? wordsOf(common(all, rights)) : writeRights(all, rights)] as const
    })
    return [grantee, Object.fromEntries(parts) as GrantsOnSchema] as const
  })
  const writtenDefaults = [...defaults].map(([grantee, classes]) => {
    const parts = [...classes].map(([objects, rights]) => [objects, wordsOf(rights)] as const)
    return [grantee, Object.fromEntries(parts) as DefaultGrants] as const
  })
  return {
    ...(owner !== null && { owner }),
    ...(written.length > 0 && { grants: Object.fromEntries(written) }),
    ...(writtenDefaults.length > 0 && { defaults: Object.fromEntries(writtenDefaults) }),
  }
}

/** What all objects of a class give; every bit where there is none. */
function common(all: readonly CatalogObject[], rights: ReadonlyMap<CatalogObject, Rights>): Rights {
  return all.reduce((sum, object) => sum & (rights.get(object) ?? 0), -1)
}

/** A list where all objects give the same, else by name; what all give stands under `*`. */
function writeRights(all: readonly CatalogObject[], rights: ReadonlyMap<CatalogObject, Rights>): PrivilegesByName {
  const everywhere = common(all, rights)
  const special = all.filter(object => ((rights.get(object) ?? 0) & ~everywhere) !== 0)
  if (special.length === 0) return wordsOf(everywhere)
  const named = special.map(object => {
    const own = (rights.get(object) ?? 0) & ~everywhere
    return [patternOf(ownName(object, all)), wordsOf(own)] as const
  })
  return { ...(everywhere !== 0 && { '*': wordsOf(everywhere) }), ...Object.fromEntries(named) }
}

/** A routine that is not the only one of its name is told apart by its arguments. */
function ownName({ name, args }: CatalogObject, all: readonly CatalogObject[]): string {
  const alike = all.filter(other => other.name === name)
  return alike.length > 1 && args !== null ? `${name}(${args})` : name
}
