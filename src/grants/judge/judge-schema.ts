import type { SlicedWork } from '../../concurrency/time-slices.ts'
import type { Acl } from '../model/acl.ts'
import type { Catalog, CatalogObject, GovernedSchema } from '../model/catalog.ts'
import type { Oid } from '../model/oid.ts'
import type { SchemaPolicy } from '../model/policy.ts'
import { everyRight, type ObjectClass, objectClasses } from '../model/privileges.ts'
import { sortColumns } from '../model/sort-catalog.ts'
import type { Discrepancy, RightDiscrepancy } from './discrepancy.ts'
import { classOf, type Expectation, type Expectations, expectGrants } from './expectation.ts'
import { type Assessor, type Claim, createAssessor, type JudgementContext, type Setting } from './judge-rights.ts'

/** A schema in the policy and in the catalog. */
export interface JudgedSchema {
  readonly name: string
  readonly wanted: SchemaPolicy
  readonly actual: GovernedSchema
}

/** The objects or ACLs per time slice: a millisecond or less. */
const sliceSize = 128

/** Judges a schema except its default privileges. Calls `unmatched` for names in the policy without an object. */
export function* judgeSchema(
  subject: JudgedSchema,
  context: JudgementContext,
  unmatched: (pattern: string) => void,
): SlicedWork<Discrepancy[]> {
  const { wanted, actual } = subject
  const owner = wanted.owner === undefined ? undefined : context.policy.oidOf(wanted.owner)
  const fold = createFold(subject.name)
  const everything = [actual.self, ...actual.objects]
  const byClass = Map.groupBy(everything, object => classOf(object.kind))
  for (const objects of objectClasses) {
    const ofClass = byClass.get(objects) ?? []
    const expectations = expectGrants(wanted, objects, context.policy, context.catalog.serverVersion)
    const groups = yield* groupAlike(ofClass, objects, expectations)
    for (const group of groups) yield* judgeGroup(group, owner, context, fold)
    for (const pattern of expectations.unmatched) unmatched(pattern)
  }
  return [...(owner === undefined ? [] : judgeOwners(subject.name, everything, owner)), ...fold.discrepancies()]
}

function judgeOwners(schema: string, everything: readonly CatalogObject[], expected: Oid): Discrepancy[] {
  const foreign = everything.filter(object => object.owner !== expected)
  const alike = Map.groupBy(foreign, object => `${classOf(object.kind)} ${object.owner}`)
  return [...alike.values()].flatMap(targets => {
    const first = targets[0]
    if (!first) return []
    return [{ type: 'owner', schema, objects: classOf(first.kind), expected, actual: first.owner, targets } as const]
  })
}

/** Objects that differ only in their ACLs, by ACL. */
interface Group extends Setting {
  readonly owner: Oid
  readonly byAcl: Map<Acl, CatalogObject[]>
}

/** Equal ACLs are the identical array, so this costs three look-ups per object. */
function* groupAlike(
  objects: readonly CatalogObject[],
  ofClass: ObjectClass,
  expectations: Expectations,
): SlicedWork<readonly Group[]> {
  const groups: Group[] = []
  let sorted = 0
  const known = new Map<Expectation, Map<Oid, Group>>()
  for (const object of objects) {
    const { owner, acl } = object
    const expected = expectations.of(object)
    const byOwner = known.get(expected) ?? new Map<Oid, Group>()
    const group = byOwner.get(owner) ?? { objects: ofClass, owner, expected, byAcl: new Map() }
    if (group.byAcl.size === 0) {
      groups.push(group)
      known.set(expected, byOwner.set(owner, group))
    }
    const alike = group.byAcl.get(acl)
    if (alike) alike.push(object)
    else group.byAcl.set(acl, [object])
    sorted += 1
    if (sorted % sliceSize === 0) yield
  }
  return groups
}

function* judgeGroup(group: Group, owner: Oid | undefined, context: JudgementContext, fold: Fold): SlicedWork<void> {
  const { byAcl } = group
  const assessor = createAssessor(group, context)
  const owning = group.owner === owner ? createAssessor(withOwner(group, owner, context.catalog), context) : assessor
  let judged = 0
  for (const [acl, members] of byAcl) {
    for (const claim of assessor.findUnexpected(acl)) fold.add(claim, members)
    for (const claim of owning.findMissing(acl)) fold.add(claim, members)
    for (const object of members) judgeColumns(object, assessor, fold)
    judged += 1
    if (judged % sliceSize === 0) yield
  }
}

/** An owner that revoked rights from itself lacks them, although it can grant them to itself again. */
function withOwner({ expected, objects }: Group, owner: Oid, catalog: Catalog): Setting {
  const direct = new Map(expected.direct).set(owner, everyRight(objects, catalog.serverVersion))
  return { objects, owner, expected: { ...expected, direct } }
}

function judgeColumns(object: CatalogObject, assessor: Assessor, fold: Fold): void {
  for (const [column, acl] of sortColumns(object)) {
    for (const claim of assessor.findUnexpected(acl)) {
      if (claim.source === 'grant' || claim.source === 'public') fold.addColumn(claim, object, column)
    }
  }
}

export interface Fold {
  add(claim: Claim, targets: readonly CatalogObject[]): void
  addColumn(claim: Claim, target: CatalogObject, column: string): void
  discrepancies(): RightDiscrepancy[]
}

interface Folded {
  readonly claim: Claim
  readonly targets: (readonly CatalogObject[])[]
  readonly columns: string[] | null
}

/** Merges claims that differ only in the object. Most are the identical claim, which is checked first. */
export function createFold(schema: string): Fold {
  const byClaim = new Map<Claim, Folded>()
  const byKey = new Map<string, Folded>()
  return {
    add(claim, targets) {
      const key = byClaim.has(claim) ? '' : keyOf(claim)
      const known = byClaim.get(claim) ?? byKey.get(key)
      if (known) known.targets.push(targets)
      const folded = known ?? { claim, targets: [targets], columns: null }
      if (key === '') return
      byClaim.set(claim, folded)
      byKey.set(key, folded)
    },
    addColumn(claim, target, column) {
      const key = `${target.oid} ${keyOf(claim)}`
      const known = byKey.get(key)
      if (known) known.columns?.push(column)
      else byKey.set(key, { claim, targets: [[target]], columns: [column] })
    },
    discrepancies: () =>
      [...byKey.values()].map(
        ({ claim, targets, columns }) => ({ type: 'right', ...claim, schema, targets, columns, door: null }) as const,
      ),
  }
}

function keyOf({ kind, holder, rights, source, route, objects }: Claim): string {
  return `${kind} ${holder} ${rights} ${source} ${objects} ${route ? `${route.by} ${route.path.join()}` : ''}`
}
