import type { SlicedWork } from '../../concurrency/time-slices.ts'
import type { Acl } from '../model/acl.ts'
import type { Catalog, CatalogObject, GovernedSchema } from '../model/catalog.ts'
import type { Oid } from '../model/oid.ts'
import type { SchemaPolicy } from '../model/policy.ts'
import { everyRight, type ObjectClass, objectClasses } from '../model/privileges.ts'
import { columnsInOrder } from '../model/sort-catalog.ts'
import type { Discrepancy, RightDiscrepancy } from './discrepancy.ts'
import { classOf, type Expectation, type Expectations, expectGrants } from './expectation.ts'
import { type Assessor, type Claim, createAssessor, type JudgementContext, type Setting } from './judge-rights.ts'

/** A schema as the policy wants it and as it is. */
export interface SchemaUnderJudgement {
  readonly name: string
  readonly wanted: SchemaPolicy
  readonly actual: GovernedSchema
}

/** After so many objects or ACLs others may go first: a millisecond or less. */
const aStep = 128

/** Everything about one schema but its default privileges. Names in the policy that nothing has go to `unmatched`. */
export function* judgeSchema(
  subject: SchemaUnderJudgement,
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
  const strangers = everything.filter(object => object.owner !== expected)
  const alike = Map.groupBy(strangers, object => `${classOf(object.kind)} ${object.owner}`)
  return [...alike.values()].flatMap(targets => {
    const first = targets[0]
    if (!first) return []
    return [{ type: 'owner', schema, objects: classOf(first.kind), expected, actual: first.owner, targets } as const]
  })
}

/** Objects that are alike in all that is judged but their ACLs, and those by which ACL they have. */
interface Group extends Setting {
  readonly owner: Oid
  readonly byAcl: Map<Acl, CatalogObject[]>
}

/** Equal ACLs are the same array, so this costs three look-ups an object. */
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
    if (sorted % aStep === 0) yield
  }
  return groups
}

function* judgeGroup(group: Group, owner: Oid | undefined, context: JudgementContext, fold: Fold): SlicedWork<void> {
  const { byAcl } = group
  const assessor = createAssessor(group, context)
  const owning = group.owner === owner ? createAssessor(withOwner(group, owner, context.catalog), context) : assessor
  let judged = 0
  for (const [acl, members] of byAcl) {
    for (const excess of assessor.excess(acl)) fold.add(excess, members)
    for (const lack of owning.lack(acl)) fold.add(lack, members)
    for (const object of members) judgeColumns(object, assessor, fold)
    judged += 1
    if (judged % aStep === 0) yield
  }
}

/** An owner that took rights from itself lacks them, although it can give them back to itself. */
function withOwner({ expected, objects }: Group, owner: Oid, catalog: Catalog): Setting {
  const direct = new Map(expected.direct).set(owner, everyRight(objects, catalog.serverVersion))
  return { objects, owner, expected: { ...expected, direct } }
}

function judgeColumns(object: CatalogObject, assessor: Assessor, fold: Fold): void {
  for (const [column, acl] of columnsInOrder(object)) {
    for (const excess of assessor.excess(acl)) {
      if (excess.source === 'grant' || excess.source === 'public') fold.addColumn(excess, object, column)
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

/** Gathers claims that differ in nothing but the object. Most of them are one and the same, which is found out first. */
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
