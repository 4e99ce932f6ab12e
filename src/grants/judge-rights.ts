import { type Acl, rightsIn } from './acl.ts'
import { type Catalog, type CatalogObject, type Oid, PUBLIC } from './catalog.ts'
import type { Source } from './discrepancy.ts'
import { allowedRights, type Expectation } from './expectation.ts'
import {
  everyRight,
  type ObjectClass,
  type Rights,
  rightOf,
  rightsOf,
  withOptions,
  withoutOptions,
} from './privileges.ts'
import type { Reach, Route } from './reach.ts'
import type { ResolvedPolicy } from './resolved-policy.ts'

/** What everything is judged against. */
export interface Bench {
  readonly catalog: Catalog
  readonly policy: ResolvedPolicy
  readonly reach: Reach
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

/** That a role holds rights which the policy does not give it. */
export interface Excess {
  readonly holder: Oid
  readonly rights: Rights
  readonly source: Source
  readonly route: Route
}

const itself: Route = { path: [], by: 'inherit' }

/** What is judged of objects that are alike: class, owner, ACL and expectation. */
export interface Subject {
  readonly objects: ObjectClass
  /** Null where owning gives nothing, as with a default privilege. */
  readonly owner: Oid | null
  readonly acl: Acl
  readonly expected: Expectation
}

/** What judged roles and PUBLIC hold beyond what the policy gives, each right once, by its shortest route. */
export function findExcess(subject: Subject, bench: Bench, isAsked: (role: Oid) => boolean = () => true): Excess[] {
  const { acl, expected } = subject
  const found: Excess[] = []
  const everybody = rightsIn(acl, PUBLIC) & ~expected.everybody
  if (everybody !== 0) found.push({ holder: PUBLIC, rights: everybody, source: 'public', route: itself })
  const claims: Excess[] = []
  for (const { of, rights, source } of sourcesOf(subject, bench)) {
    for (const { role, route } of bench.reach.holders(of)) {
      if (!isAsked(role)) continue
      const excess = rights & ~allowedRights(role, expected, subject.owner, bench.policy)
      if (excess !== 0) claims.push({ holder: role, rights: excess, source, route })
    }
  }
  return claims.length === 0 ? found : [...found, ...withoutRepetition(claims)]
}

function* sourcesOf({ acl, owner, objects }: Subject, { catalog, predefined }: Bench) {
  for (const { grantee, rights } of acl) {
    if (grantee !== PUBLIC && grantee !== owner) yield { of: grantee, rights, source: 'grant' as const }
  }
  if (owner === null) return
  yield { of: owner, rights: withOptions(everyRight(objects, catalog.serverVersion)), source: 'owner' as const }
  for (const { oid, rights } of predefined) {
    if (rights[objects] !== 0) yield { of: oid, rights: rights[objects], source: 'predefined' as const }
  }
}

function withoutRepetition(claims: Excess[]): Excess[] {
  const told = new Map<Oid, Rights>()
  const shortestFirst = claims.toSorted((one, other) => one.route.path.length - other.route.path.length)
  return shortestFirst.flatMap(claim => {
    const before = told.get(claim.holder) ?? 0
    const rights = claim.rights & ~before
    told.set(claim.holder, before | rights)
    return rights === 0 ? [] : [{ ...claim, rights }]
  })
}

/** What a role can do on such objects as it is, without SET ROLE. */
export function heldRights(role: Oid, subject: Pick<Subject, 'objects' | 'acl'>, bench: Bench): Rights {
  const { acl, objects } = subject
  const everything = everyRight(objects, bench.catalog.serverVersion)
  if (bench.policy.roleOf(role)?.superuser) return everything
  const inherited = bench.reach.inherited(role)
  let rights = 0
  for (const entry of acl) if (entry.grantee === PUBLIC || inherited.has(entry.grantee)) rights |= entry.rights
  for (const { oid, rights: power } of bench.predefined) if (inherited.has(oid)) rights |= power[objects]
  return withoutOptions(rights) & everything
}

/** What roles, and PUBLIC, lack of what the policy gives them. */
export function findLack(subject: Subject, bench: Bench): { holder: Oid; rights: Rights }[] {
  const { acl, expected } = subject
  const found: { holder: Oid; rights: Rights }[] = []
  const everybody = expected.everybody & ~rightsIn(acl, PUBLIC)
  if (everybody !== 0) found.push({ holder: PUBLIC, rights: everybody })
  for (const [role, wanted] of expected.direct) {
    const lack = wanted & ~heldRights(role, subject, bench)
    if (lack !== 0) found.push({ holder: role, rights: lack })
  }
  return found
}

/** Objects that are alike in all that is judged. */
export interface Group extends Subject {
  readonly owner: Oid
  readonly members: CatalogObject[]
}
