import { type Acl, grantsIn, rightsIn } from '../model/acl.ts'
import type { Catalog } from '../model/catalog.ts'
import { type Oid, PUBLIC } from '../model/oid.ts'
import {
  everyRight,
  memberClasses,
  type ObjectClass,
  type Rights,
  rightOf,
  rightsOf,
  withOptions,
  withoutOptions,
} from '../model/privileges.ts'
import type { Source } from './discrepancy.ts'
import type { EffectiveRoles, Route } from './effective-roles.ts'
import { allowedRights, type Expectation } from './expectation.ts'
import type { ResolvedPolicy } from './resolved-policy.ts'

/** The catalog and the policy that it is compared with. */
export interface JudgementContext {
  readonly catalog: Catalog
  readonly policy: ResolvedPolicy
  readonly effectiveRoles: EffectiveRoles
  readonly predefined: readonly PredefinedRole[]
}

/** A predefined role of PostgreSQL with privileges on all objects. */
export interface PredefinedRole {
  readonly oid: Oid
  readonly rights: Readonly<Record<ObjectClass, Rights>>
}

const reads = { tables: rightOf('SELECT'), sequences: rightOf('SELECT'), schema: rightOf('USAGE') } as const
const writes = {
  tables: rightsOf(['INSERT', 'UPDATE', 'DELETE']),
  sequences: rightOf('UPDATE'),
  schema: rightOf('USAGE'),
} as const

const nothing = { database: 0, schema: 0, tables: 0, sequences: 0, functions: 0 } as const
/** Reading files of the server gives access to its tables. Writing them, or running programs, gives access to everything. */
const powers: Readonly<Record<string, (serverVersion: number) => Partial<Record<ObjectClass, Rights>>>> = {
  pg_read_all_data: () => reads,
  pg_write_all_data: () => writes,
  pg_maintain: version => ({ tables: everyRight('tables', version) & rightOf('MAINTAIN') }),
  pg_read_server_files: () => ({ tables: rightOf('SELECT'), sequences: rightOf('SELECT') }),
  pg_write_server_files: everything,
  pg_execute_server_program: everything,
}

function everything(version: number): Partial<Record<ObjectClass, Rights>> {
  return Object.fromEntries(
    ['schema' as const, ...memberClasses].map(objects => [objects, everyRight(objects, version)]),
  )
}

export function predefinedRoles(catalog: Catalog): PredefinedRole[] {
  return catalog.roles.flatMap(({ oid, name }) => {
    const power = Object.hasOwn(powers, name) ? powers[name] : undefined
    return power ? [{ oid, rights: { ...nothing, ...power(catalog.serverVersion) } }] : []
  })
}

/** A role, or PUBLIC, has rights that the policy does not give it, or lacks rights that the policy gives it. */
export interface Claim {
  readonly kind: 'missing' | 'unexpected'
  readonly holder: Oid
  readonly rights: Rights
  readonly source: Source | null
  readonly route: Route | null
  readonly objects: ObjectClass
}

type UnexpectedClaim = Claim & { readonly kind: 'unexpected'; readonly source: Source; readonly route: Route }
type MissingClaim = Claim & { readonly kind: 'missing'; readonly source: null; readonly route: null }

const itself: Route = { path: [], by: 'inherit' }

/** The common properties of objects that differ only in their ACLs. */
export interface Setting {
  readonly objects: ObjectClass
  /** Null if the owner has no implicit rights, as with default privileges. */
  readonly owner: Oid | null
  readonly expected: Expectation
}

/** Judges ACLs in one setting. Equal ACL entries give the identical claim object, which is computed once. */
export interface Assessor {
  /** The rights of judged roles and PUBLIC beyond the policy, each once, by its shortest route. */
  findUnexpected(acl: Acl): readonly UnexpectedClaim[]
  /** The rights that the policy gives to roles and PUBLIC, and that they do not have. */
  findMissing(acl: Acl): readonly MissingClaim[]
}

/** Judges only the selected roles and PUBLIC. */
export function createAssessor(
  setting: Setting,
  context: JudgementContext,
  isSelected: (role: Oid) => boolean = () => true,
): Assessor {
  const { objects, owner, expected } = setting
  const unexpectedOf = memoizePair((holder, rights): readonly UnexpectedClaim[] => [
    { kind: 'unexpected', holder, rights, source: 'public', route: itself, objects },
  ])
  const missingOf = memoizePair(
    (holder, rights): MissingClaim => ({ kind: 'missing', holder, rights, source: null, route: null, objects }),
  )
  const allowed = memoizePair(role => allowedRights(role, expected, owner, context.policy))
  const claimsBy = (of: Oid, rights: Rights, source: Source): readonly UnexpectedClaim[] =>
    context.effectiveRoles.holders(of).flatMap(({ role, route }) => {
      const unexpected = isSelected(role) ? rights & ~allowed(role, 0) : 0
      return unexpected === 0
        ? []
        : [{ kind: 'unexpected', holder: role, rights: unexpected, source, route, objects } as const]
    })
  const granted = memoizePair((grantee, rights) => claimsBy(grantee, rights, 'grant'))
  const implicit = removeDuplicates(implicitSources(setting, context).flatMap(one => claimsBy(...one)))
  return {
    findUnexpected(acl) {
      const lists: (readonly UnexpectedClaim[])[] = []
      const add = (list: readonly UnexpectedClaim[]) => list.length > 0 && lists.push(list)
      for (const { grantee, rights } of grantsIn(acl)) {
        if (grantee !== PUBLIC && grantee !== owner) add(granted(grantee, rights))
      }
      add(implicit)
      const toPublic = rightsIn(acl, PUBLIC) & ~expected.toPublic
      if (toPublic !== 0) add(unexpectedOf(PUBLIC, toPublic))
      return lists.length > 1 ? removeDuplicates(lists.flat()) : (lists[0] ?? [])
    },
    findMissing(acl) {
      const found: MissingClaim[] = []
      const toPublic = expected.toPublic & ~rightsIn(acl, PUBLIC)
      if (toPublic !== 0) found.push(missingOf(PUBLIC, toPublic))
      for (const [role, wanted] of expected.direct) {
        const isGranted = (wanted & ~rightsIn(acl, role)) === 0
        const missing = isGranted ? 0 : wanted & ~computeHeldRights(role, { objects, acl }, context)
        if (missing !== 0) found.push(missingOf(role, missing))
      }
      return found
    },
  }
}

/** Caches the result for each pair of a role and rights. */
function memoizePair<Value>(make: (role: Oid, rights: Rights) => Value): (role: Oid, rights: Rights) => Value {
  const known = new Map<Oid, Map<Rights, Value>>()
  return (role, rights) => {
    const ofRole = known.get(role)
    const value = ofRole?.get(rights)
    if (value !== undefined) return value
    const made = make(role, rights)
    if (ofRole) ofRole.set(rights, made)
    else known.set(role, new Map([[rights, made]]))
    return made
  }
}

type ImplicitSource = readonly [of: Oid, rights: Rights, source: Source]

/** The roles with rights on the objects that no ACL shows: the owner and predefined roles. */
function implicitSources({ owner, objects }: Setting, { catalog, predefined }: JudgementContext): ImplicitSource[] {
  if (owner === null) return []
  return [
    [owner, withOptions(everyRight(objects, catalog.serverVersion)), 'owner'],
    ...predefined
      .filter(({ rights }) => rights[objects] !== 0)
      .map(({ oid, rights }) => [oid, rights[objects], 'predefined'] as const),
  ]
}

/** Most ACLs give each role rights by a single route, so nothing needs to be copied. */
function removeDuplicates(claims: readonly UnexpectedClaim[]): readonly UnexpectedClaim[] {
  if (claims.every((claim, at) => claims.findIndex(({ holder }) => holder === claim.holder) === at)) return claims
  const seen = new Map<Oid, Rights>()
  const shortestFirst = claims.toSorted((one, other) => one.route.path.length - other.route.path.length)
  return shortestFirst.flatMap(claim => {
    const before = seen.get(claim.holder) ?? 0
    const rights = claim.rights & ~before
    seen.set(claim.holder, before | rights)
    if (rights === claim.rights) return claim
    return rights === 0 ? [] : [{ ...claim, rights }]
  })
}

/** The rights of a role on such objects without SET ROLE. */
export function computeHeldRights(
  role: Oid,
  { acl, objects }: { objects: ObjectClass; acl: Acl },
  context: JudgementContext,
): Rights {
  const everything = everyRight(objects, context.catalog.serverVersion)
  if (context.policy.roleOf(role)?.superuser) return everything
  const inherited = context.effectiveRoles.inherited(role)
  let rights = 0
  for (const entry of acl) if (entry.grantee === PUBLIC || inherited.has(entry.grantee)) rights |= entry.rights
  for (const { oid, rights: power } of context.predefined) if (inherited.has(oid)) rights |= power[objects]
  return withoutOptions(rights) & everything
}
