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
import { type MemberClass, type Rights, withoutOptions, wordsOf } from './model/privileges.ts'

/** The policy that a database currently matches. */
export interface GrantsSnapshot {
  readonly policy: GrantsPolicy
  /** Privileges that no policy can express, so they remain as drift: one line each. */
  readonly inexpressible: readonly string[]
}

type GovernedClass = 'schema' | MemberClass

/** The part of the policy for one schema so far. */
interface SchemaDraft {
  readonly owner: string | null
  /** By grantee and class: the rights on each object. */
  readonly grants: Map<string, Map<GovernedClass, Map<CatalogObject, Rights>>>
  readonly defaults: Map<string, Map<MemberClass, Rights>>
}

/** A policy in progress: starts empty, and grows by what each comparison finds unexpected. */
interface PolicyDraft {
  readonly catalog: Catalog
  readonly trusted: ReadonlySet<Oid>
  readonly members: Map<Oid, Set<string>>
  readonly database: Map<Oid, Rights>
  readonly schemas: ReadonlyMap<string, SchemaDraft>
}

/**
 * Builds the policy that the schemas of a catalog match. Superusers become trusted; so do the owner of the database and roles
 * with CREATEROLE if a policy cannot express their rights. Pure.
 */
export function snapshotGrants(catalog: Catalog): GrantsSnapshot {
  const superusers = catalog.roles.filter(({ superuser }) => superuser).map(({ oid }) => oid)
  const first = growPolicy(catalog, new Set(superusers))
  const administrators = catalog.roles.filter(({ oid, createRole }) => oid === catalog.database.owner || createRole)
  const needed = administrators.map(({ oid }) => oid).filter(oid => first.remaining.some(found => isAbout(found, oid)))
  return needed.length === 0 ? first.snapshot : growPolicy(catalog, new Set([...superusers, ...needed])).snapshot
}

function isAbout(found: Discrepancy, role: Oid): boolean {
  if (found.type === 'member-unexpected' || found.type === 'member-admin') return found.member === role
  return (found.type === 'right' || found.type === 'default') && found.holder === role
}

/** Each round lists more roles, which makes the rights of their members visible to the next one. */
function growPolicy(catalog: Catalog, trusted: ReadonlySet<Oid>) {
  const draft = startPolicy(catalog, trusted)
  for (;;) {
    const policy = buildPolicy(draft)
    const comparison = compareGrants(policy, catalog)
    const remaining = comparison.discrepancies.filter(found => !record(found, draft, comparison))
    if (remaining.length < comparison.discrepancies.length) continue
    const inexpressible = remaining.map(found => describeInLine(describeDiscrepancy(found, comparison.context)))
    return { remaining, snapshot: { policy, inexpressible } }
  }
}

function startPolicy(catalog: Catalog, trusted: ReadonlySet<Oid>): PolicyDraft {
  const byName = [...catalog.schemas].sort(([one], [other]) => (one < other ? -1 : 1))
  const schemas = byName.map(([name, { self, objects }]) => {
    const owners = new Set([self, ...objects].map(({ owner }) => owner))
    const owner = owners.size === 1 ? nameOf(self.owner, catalog) : null
    const expressible = owner === null || owner.startsWith('pg_') ? null : owner
    return [name, { owner: expressible, grants: new Map(), defaults: new Map() }] as const
  })
  const draft = { catalog, trusted, members: new Map(), database: new Map(), schemas: new Map(schemas) }
  for (const { self, objects } of catalog.schemas.values())
    for (const { owner } of [self, ...objects]) listRole(owner, draft)
  return draft
}

function nameOf(role: Oid, { roles }: Catalog): string | null {
  return roles.find(({ oid }) => oid === role)?.name ?? null
}

/** Lists a role in the policy. False if it already is, or cannot be. */
function listRole(role: Oid, { catalog, trusted, members }: PolicyDraft): boolean {
  const name = nameOf(role, catalog)
  if (name === null || name.startsWith('pg_') || trusted.has(role) || members.has(role)) return false
  members.set(role, new Set())
  return true
}

/** Adds an unexpected privilege or membership to the policy. False if that is not possible. */
function record(found: Discrepancy, draft: PolicyDraft, comparison: GrantsComparison): boolean {
  switch (found.type) {
    case 'right':
      return found.kind === 'unexpected' && recordRight(found, draft, comparison.context)
    case 'default':
      return found.kind === 'unexpected' && recordDefault(found, draft, comparison.context)
    case 'member-unexpected':
      return recordMember(found.role, found.member, found.route.path, draft)
    case 'unbounded':
      return found.as === 'createRole' && listRoles([found.role, ...found.route.path], draft)
    default:
      return false
  }
}

/** Lists the roles of a route. Their users become members in a later round. */
function listRoles(path: readonly Oid[], draft: PolicyDraft): boolean {
  return path.filter(role => listRole(role, draft)).length > 0
}

function recordMember(role: Oid, member: Oid, path: readonly Oid[], draft: PolicyDraft): boolean {
  const { catalog, members } = draft
  const name = nameOf(member, catalog)
  const uses = catalog.memberships.some(
    edge => edge.role === role && edge.member === member && (edge.set || edge.inherit),
  )
  const known = members.get(role)
  if (!uses || !known || name === null || known.has(name)) return listRoles(path, draft)
  known.add(name)
  return true
}

function recordRight(found: RightDiscrepancy, draft: PolicyDraft, context: JudgementContext): boolean {
  const { holder, route, objects, schema, columns, door } = found
  const rights = withoutOptions(found.rights)
  const judged = (route?.path ?? []).filter(role => context.policy.isJudged(role))
  if (judged.length > 0) return listRoles(judged, draft)
  if (columns !== null || door !== null || rights === 0) return false
  if (objects === 'database') return add(draft.database, holder, rights)
  const grantee = granteeName(holder, draft)
  const grants = draft.schemas.get(schema)?.grants
  if (grantee === null || !grants) return false
  const byObject = getOrCreate(getOrCreate(grants, grantee), objects)
  return found.targets.flat().filter(object => add(byObject, object, rights)).length > 0
}

function recordDefault(found: DefaultDiscrepancy, draft: PolicyDraft, context: JudgementContext): boolean {
  const schema = draft.schemas.get(found.schema)
  const actual = draft.catalog.schemas.get(found.schema)
  const rights = withoutOptions(found.rights)
  const [judged] = (found.route?.path ?? []).filter(role => context.policy.isJudged(role))
  if (!schema || schema.owner === null || !actual || judged !== undefined || rights === 0) return false
  const wanted = { owner: schema.owner }
  if (defaultsRole({ name: found.schema, wanted, actual }, context) !== found.role) return false
  const grantee = granteeName(found.holder, draft)
  return grantee !== null && add(getOrCreate(schema.defaults, grantee), found.objects, rights)
}

/** The name of a holder in the policy, which lists it; null if that is not possible. */
function granteeName(holder: Oid, draft: PolicyDraft): string | null {
  if (holder === PUBLIC) return 'PUBLIC'
  listRole(holder, draft)
  return draft.members.has(holder) ? nameOf(holder, draft.catalog) : null
}

function getOrCreate<Key, Inner, Value>(outer: Map<Key, Map<Inner, Value>>, key: Key): Map<Inner, Value> {
  const known = outer.get(key) ?? new Map<Inner, Value>()
  outer.set(key, known)
  return known
}

/** Adds rights. False if all of them were there. */
function add<Key>(rights: Map<Key, Rights>, key: Key, more: Rights): boolean {
  const before = rights.get(key) ?? 0
  rights.set(key, before | more)
  return (before | more) !== before
}

function buildPolicy(draft: PolicyDraft): GrantsPolicy {
  const { catalog, trusted, members, schemas } = draft
  const listed = catalog.roles.filter(({ oid }) => members.has(oid))
  return {
    roles: Object.fromEntries(listed.map(role => [role.name, buildRole(role.oid, draft)])),
    trustedRoles: catalog.roles.filter(({ oid }) => trusted.has(oid)).map(({ name }) => name),
    schemas: Object.fromEntries([...schemas].map(([name, schema]) => [name, buildSchema(name, schema, catalog)])),
  }
}

function buildRole(oid: Oid, { catalog, members, database }: PolicyDraft): RolePolicy {
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

function buildSchema(name: string, { owner, grants, defaults }: SchemaDraft, catalog: Catalog) {
  const { self, objects } = catalog.schemas.get(name) ?? { self: null, objects: [] }
  const byClass = Map.groupBy(self ? [self, ...objects] : objects, object => classOf(object.kind))
  const builtGrants = [...grants].map(([grantee, classes]) => {
    const parts = [...classes].map(([objects, rights]) => {
      const all = byClass.get(objects) ?? []
      return [objects, objects === 'schema' ? wordsOf(commonRights(all, rights)) : buildRights(all, rights)] as const
    })
    return [grantee, Object.fromEntries(parts) as GrantsOnSchema] as const
  })
  const builtDefaults = [...defaults].map(([grantee, classes]) => {
    const parts = [...classes].map(([objects, rights]) => [objects, wordsOf(rights)] as const)
    return [grantee, Object.fromEntries(parts) as DefaultGrants] as const
  })
  return {
    ...(owner !== null && { owner }),
    ...(builtGrants.length > 0 && { grants: Object.fromEntries(builtGrants) }),
    ...(builtDefaults.length > 0 && { defaults: Object.fromEntries(builtDefaults) }),
  }
}

/** The rights on all objects of a class; every bit if there are none. */
function commonRights(all: readonly CatalogObject[], rights: ReadonlyMap<CatalogObject, Rights>): Rights {
  return all.reduce((sum, object) => sum & (rights.get(object) ?? 0), -1)
}

/** A list if all objects have the same rights, else by name, with the common rights under `*`. */
function buildRights(all: readonly CatalogObject[], rights: ReadonlyMap<CatalogObject, Rights>): PrivilegesByName {
  const everywhere = commonRights(all, rights)
  const special = all.filter(object => ((rights.get(object) ?? 0) & ~everywhere) !== 0)
  if (special.length === 0) return wordsOf(everywhere)
  const named = special.map(object => {
    const own = (rights.get(object) ?? 0) & ~everywhere
    return [patternOf(distinctName(object, all)), wordsOf(own)] as const
  })
  return { ...(everywhere !== 0 && { '*': wordsOf(everywhere) }), ...Object.fromEntries(named) }
}

/** The name of an object, with its arguments for an overloaded routine. */
function distinctName({ name, args }: CatalogObject, all: readonly CatalogObject[]): string {
  const alike = all.filter(other => other.name === name)
  return alike.length > 1 && args !== null ? `${name}(${args})` : name
}
