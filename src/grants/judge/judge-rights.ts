import { type Acl, grantsIn, rightsIn } from '../model/acl.ts'
import type { Catalog } from '../model/catalog.ts'
import { type Oid, PUBLIC } from '../model/oid.ts'
import {
  everyRight,
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

/** What everything is judged against. */
export interface JudgementContext {
  readonly catalog: Catalog
  readonly policy: ResolvedPolicy
  readonly effectiveRoles: EffectiveRoles
  readonly predefined: readonly PredefinedRole[]
}

/** A role that PostgreSQL itself gives a right on everything. */
export interface PredefinedRole {
  readonly oid: Oid
  readonly rights: Readonly<Record<ObjectClass, Rights>>
}

const reads = { tables: rightOf('SELECT'), sequences: rightOf('SELECT'), schema: rightOf('USAGE') }
const writes = {
  tables: rightsOf(['INSERT', 'UPDATE', 'DELETE']),
  sequences: rightOf('UPDATE'),
  schema: rightOf('USAGE'),
}

const nothing = { database: 0, schema: 0, tables: 0, sequences: 0, functions: 0 }
/** Who reads files of the server reads its tables; who writes them or runs programs there does as it likes. */
const powers: Readonly<Record<string, (serverVersion: number) => Partial<Record<ObjectClass, Rights>>>> = {
  pg_read_all_data: () => reads,
  pg_write_all_data: () => writes,
  pg_maintain: version => ({ tables: everyRight('tables', version) & rightOf('MAINTAIN') }),
  pg_read_server_files: () => ({ tables: rightOf('SELECT'), sequences: rightOf('SELECT') }),
  pg_write_server_files: everything,
  pg_execute_server_program: everything,
}

function everything(version: number): Partial<Record<ObjectClass, Rights>> {
  const classes = ['schema', 'tables', 'sequences', 'functions'] as const
  return Object.fromEntries(classes.map(objects => [objects, everyRight(objects, version)]))
}

export function predefinedRoles(catalog: Catalog): PredefinedRole[] {
  return catalog.roles.flatMap(({ oid, name }) => {
    const power = Object.hasOwn(powers, name) ? powers[name] : undefined
    return power ? [{ oid, rights: { ...nothing, ...power(catalog.serverVersion) } }] : []
  })
}

/** That a role, or PUBLIC, holds rights which the policy does not give it, or lacks some that it gives. */
export interface Claim {
  readonly kind: 'missing' | 'unexpected'
  readonly holder: Oid
  readonly rights: Rights
  readonly source: Source | null
  readonly route: Route | null
  readonly objects: ObjectClass
}

export interface Excess extends Claim {
  readonly kind: 'unexpected'
  readonly source: Source
  readonly route: Route
}

export interface Lack extends Claim {
  readonly kind: 'missing'
  readonly source: null
  readonly route: null
}

const itself: Route = { path: [], by: 'inherit' }

/** What is judged of objects that are alike in all but their ACLs. */
export interface Setting {
  readonly objects: ObjectClass
  /** Null where owning gives nothing, as with a default privilege. */
  readonly owner: Oid | null
  readonly expected: Expectation
}

/** Judges ACLs in one setting. What equal entries of them come to is worked out once, and is one and the same object. */
export interface Assessor {
  /** What judged roles and PUBLIC hold beyond what the policy gives, each right once, by its shortest route. */
  excess(acl: Acl): readonly Excess[]
  /** What roles, and PUBLIC, lack of what the policy gives them. */
  lack(acl: Acl): readonly Lack[]
}

/** Only roles that are asked for are judged, beside PUBLIC. */
export function createAssessor(
  setting: Setting,
  context: JudgementContext,
  isAsked: (role: Oid) => boolean = () => true,
): Assessor {
  const { objects, owner, expected } = setting
  const excessOf = pairMemo((holder, rights): readonly Excess[] => [
    { kind: 'unexpected', holder, rights, source: 'public', route: itself, objects },
  ])
  const lackOf = pairMemo(
    (holder, rights): Lack => ({ kind: 'missing', holder, rights, source: null, route: null, objects }),
  )
  const allowed = pairMemo(role => allowedRights(role, expected, owner, context.policy))
  const claimsBy = (of: Oid, rights: Rights, source: Source): readonly Excess[] =>
    context.effectiveRoles.holders(of).flatMap(({ role, route }) => {
      const excess = isAsked(role) ? rights & ~allowed(role, 0) : 0
      return excess === 0 ? [] : [{ kind: 'unexpected', holder: role, rights: excess, source, route, objects } as const]
    })
  const granted = pairMemo((grantee, rights) => claimsBy(grantee, rights, 'grant'))
  const standing = withoutRepetition(standingSources(setting, context).flatMap(one => claimsBy(...one)))
  return {
    excess(acl) {
      const lists: (readonly Excess[])[] = []
      const add = (list: readonly Excess[]) => list.length > 0 && lists.push(list)
      for (const { grantee, rights } of grantsIn(acl)) {
        if (grantee !== PUBLIC && grantee !== owner) add(granted(grantee, rights))
      }
      add(standing)
      const everybody = rightsIn(acl, PUBLIC) & ~expected.everybody
      if (everybody !== 0) add(excessOf(PUBLIC, everybody))
      return lists.length > 1 ? withoutRepetition(lists.flat()) : (lists[0] ?? [])
    },
    lack(acl) {
      const found: Lack[] = []
      const everybody = expected.everybody & ~rightsIn(acl, PUBLIC)
      if (everybody !== 0) found.push(lackOf(PUBLIC, everybody))
      for (const [role, wanted] of expected.direct) {
        const isGranted = (wanted & ~rightsIn(acl, role)) === 0
        const lack = isGranted ? 0 : wanted & ~heldRights(role, { objects, acl }, context)
        if (lack !== 0) found.push(lackOf(role, lack))
      }
      return found
    },
  }
}

/** Remembers what comes of a role and rights. */
function pairMemo<Value>(make: (role: Oid, rights: Rights) => Value): (role: Oid, rights: Rights) => Value {
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

type StandingSource = readonly [of: Oid, rights: Rights, source: Source]

/** Who holds rights on the objects whatever their ACLs say. */
function standingSources({ owner, objects }: Setting, { catalog, predefined }: JudgementContext): StandingSource[] {
  if (owner === null) return []
  return [
    [owner, withOptions(everyRight(objects, catalog.serverVersion)), 'owner'],
    ...predefined
      .filter(({ rights }) => rights[objects] !== 0)
      .map(({ oid, rights }) => [oid, rights[objects], 'predefined'] as const),
  ]
}

/** Of most ACLs everybody holds something by one route only, and then nothing needs to be made. */
function withoutRepetition(claims: readonly Excess[]): readonly Excess[] {
  if (claims.every((claim, at) => claims.findIndex(({ holder }) => holder === claim.holder) === at)) return claims
  const told = new Map<Oid, Rights>()
  const shortestFirst = claims.toSorted((one, other) => one.route.path.length - other.route.path.length)
  return shortestFirst.flatMap(claim => {
    const before = told.get(claim.holder) ?? 0
    const rights = claim.rights & ~before
    told.set(claim.holder, before | rights)
    if (rights === claim.rights) return claim
    return rights === 0 ? [] : [{ ...claim, rights }]
  })
}

/** What a role can do on such objects as it is, without SET ROLE. */
export function heldRights(
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
