import type { Catalog, CatalogObject, GovernedSchema, Oid } from './catalog.ts'
import type { Discrepancy, RightDiscrepancy, Source } from './discrepancy.ts'
import { classOf, type Expectation, type Expectations, expectGrants } from './expectation.ts'
import { type Bench, findExcess, findLack, type Group } from './judge-rights.ts'
import type { SchemaPolicy } from './policy.ts'
import { everyRight, type ObjectClass, objectClasses, type Rights } from './privileges.ts'
import type { Route } from './reach.ts'

/** A schema as the policy wants it and as it is. */
export interface SchemaUnderJudgement {
  readonly name: string
  readonly wanted: SchemaPolicy
  readonly actual: GovernedSchema
}

/** Everything about one schema but its default privileges. Names in the policy that nothing has go to `unmatched`. */
export function judgeSchema(
  subject: SchemaUnderJudgement,
  bench: Bench,
  unmatched: (pattern: string) => void,
): Discrepancy[] {
  const { wanted, actual } = subject
  const owner = wanted.owner === undefined ? undefined : bench.policy.oidOf(wanted.owner)
  const fold = createFold(subject.name)
  const everything = [actual.self, ...actual.objects]
  for (const objects of objectClasses) {
    const ofClass = everything.filter(object => classOf(object.kind) === objects)
    const expectations = expectGrants(wanted, objects, bench.policy, bench.catalog.serverVersion)
    for (const group of groupAlike(ofClass, objects, expectations)) judgeGroup(group, owner, bench, fold)
    judgeColumns(ofClass, objects, expectations, bench, fold)
    for (const pattern of expectations.unmatched) unmatched(pattern)
  }
  return [...(owner === undefined ? [] : judgeOwners(subject.name, everything, owner)), ...fold.discrepancies()]
}

function judgeOwners(schema: string, everything: readonly CatalogObject[], expected: Oid): Discrepancy[] {
  const strangers = everything.filter(object => object.owner !== expected)
  const alike = Map.groupBy(strangers, object => `${classOf(object.kind)} ${object.owner}`)
  return [...alike.values()].flatMap(targets => {
    const first = targets[0]
    if (!first) return []
    return [{ type: 'owner', schema, objects: classOf(first.kind), expected, actual: first.owner, targets } as const]
  })
}

/** Equal ACLs are the same array, so this costs one look-up an object. */
export function groupAlike(
  objects: readonly CatalogObject[],
  ofClass: ObjectClass,
  expectations: Expectations,
): Iterable<Group> {
  const byAcl = new Map<unknown, Group[]>()
  const groups: Group[] = []
  for (const object of objects) {
    const expected = expectations.of(object)
    const alike = byAcl.get(object.acl)
    const group = alike?.find(one => one.owner === object.owner && one.expected === expected)
    if (group) {
      group.members.push(object)
      continue
    }
    const made = { objects: ofClass, owner: object.owner, acl: object.acl, expected, members: [object] }
    groups.push(made)
    if (alike) alike.push(made)
    else byAcl.set(object.acl, [made])
  }
  return groups
}

function judgeGroup(group: Group, owner: Oid | undefined, bench: Bench, fold: Fold): void {
  for (const { holder, rights, source, route } of findExcess(group, bench))
    fold.add({ kind: 'unexpected', holder, rights, source, route, objects: group.objects }, group.members)
  const wanted = group.owner === owner ? { ...group, expected: withOwner(group, owner, bench.catalog) } : group
  for (const { holder, rights } of findLack(wanted, bench))
    fold.add({ kind: 'missing', holder, rights, source: null, route: null, objects: group.objects }, group.members)
}

/** An owner that took rights from itself lacks them, although it can give them back to itself. */
function withOwner({ expected, objects }: Group, owner: Oid, catalog: Catalog): Expectation {
  const direct = new Map(expected.direct).set(owner, everyRight(objects, catalog.serverVersion))
  return { ...expected, direct }
}

function judgeColumns(
  objects: readonly CatalogObject[],
  ofClass: ObjectClass,
  expectations: Expectations,
  bench: Bench,
  fold: Fold,
): void {
  for (const object of objects) {
    const expected = expectations.of(object)
    for (const [column, acl] of object.columns ?? []) {
      const own = { objects: ofClass, owner: object.owner, acl, expected }
      for (const { holder, rights, source, route } of findExcess(own, bench)) {
        if (source === 'owner' || source === 'predefined') continue
        fold.addColumn({ kind: 'unexpected', holder, rights, source, route, objects: ofClass }, object, column)
      }
    }
  }
}

/** What two findings on different objects must have in common to be told as one. */
export interface Alike {
  readonly kind: 'missing' | 'unexpected'
  readonly holder: Oid
  readonly rights: Rights
  readonly source: Source | null
  readonly route: Route | null
  readonly objects: ObjectClass
}

export interface Fold {
  add(what: Alike, targets: readonly CatalogObject[]): void
  addColumn(what: Alike, target: CatalogObject, column: string): void
  discrepancies(): RightDiscrepancy[]
}

/** Gathers findings that differ in nothing but the object. */
export function createFold(schema: string): Fold {
  const folded = new Map<string, { what: Alike; targets: (readonly CatalogObject[])[]; columns: string[] | null }>()
  const keyOf = ({ kind, holder, rights, source, route, objects }: Alike) =>
    `${kind} ${holder} ${rights} ${source} ${objects} ${route ? `${route.by} ${route.path.join()}` : ''}`
  return {
    add(what, targets) {
      const key = keyOf(what)
      const known = folded.get(key)
      if (known) known.targets.push(targets)
      else folded.set(key, { what, targets: [targets], columns: null })
    },
    addColumn(what, target, column) {
      const key = `${target.oid} ${keyOf(what)}`
      const known = folded.get(key)
      if (known) known.columns?.push(column)
      else folded.set(key, { what, targets: [[target]], columns: [column] })
    },
    discrepancies: () =>
      [...folded.values()].map(
        ({ what, targets, columns }) => ({ type: 'right', ...what, schema, targets, columns, door: null }) as const,
      ),
  }
}
