import type { CatalogObject, Door } from '../model/catalog.ts'
import { type Oid, PUBLIC } from '../model/oid.ts'
import { everyRight, memberClasses, type Rights, rightOf, rightsOf, withOptions } from '../model/privileges.ts'
import { sortColumns } from '../model/sort-catalog.ts'
import { showObject, showRole } from './describe.ts'
import type { RightDiscrepancy } from './discrepancy.ts'
import { allowedRights, classOf, type Expectation, expectGrants, nothingExpected } from './expectation.ts'
import { computeHeldRights, createAssessor, type JudgementContext } from './judge-rights.ts'
import { createFold } from './judge-schema.ts'

/** The rights of its owner that a view can pass on. */
const lendable = rightsOf(['SELECT', 'INSERT', 'UPDATE', 'DELETE'])

/**
 * Doors: objects outside the governed schemas, owned by listed roles or roles that may use them, that give others access to
 * governed objects. Views, functions, and parents of tables.
 */
export function judgeDoors(context: JudgementContext): RightDiscrepancy[] {
  const doors = context.catalog.doors.filter(({ object }) => actedAs(object.owner, context).length > 0)
  if (doors.length === 0) return []
  const governed = indexGoverned(context)
  return doors.flatMap(door => {
    const isFunction = classOf(door.object.kind) === 'functions'
    return isFunction ? judgeFunction(door, governed, context) : judgeRelation(door, governed, context)
  })
}

/** The listed roles whose rights the owner of a door has by the policy, including itself. Trusted owners have none. */
function actedAs(owner: Oid, { policy }: JudgementContext): readonly Oid[] {
  if (policy.isTrusted(owner)) return []
  return policy.listedByOid.has(owner) ? [owner, ...policy.mayUse(owner)] : [...policy.mayUse(owner)]
}

interface Governed {
  readonly object: CatalogObject
  readonly expected: Expectation
}

function indexGoverned({ catalog, policy }: JudgementContext): Map<Oid, Governed> {
  const index = new Map<Oid, Governed>()
  for (const [name, wanted] of Object.entries(policy.policy.schemas ?? {})) {
    for (const objects of memberClasses) {
      const expectations = expectGrants(wanted, objects, policy, catalog.serverVersion)
      for (const object of catalog.schemas.get(name)?.objects ?? []) {
        // Routines and relations have separate OID sequences.
        const key = objects === 'functions' ? -object.oid : object.oid
        if (classOf(object.kind) === objects) index.set(key, { object, expected: expectations.of(object) })
      }
    }
  }
  return index
}

/** A view passes on the rights of its owner on the relations that it reads; a parent passes on all of them. */
function judgeRelation(
  { object, reads }: Door,
  governed: ReadonlyMap<Oid, Governed>,
  context: JudgementContext,
): RightDiscrepancy[] {
  const lent = reads.flatMap(({ relation, as }) => {
    const behind = governed.get(relation)
    if (!behind) return []
    const isOwn = behind.object.owner === as
    return [{ ...behind, rights: isOwn ? lendable : lendable & ownRights(as, behind.object, context) }]
  })
  const beyond = (role: Oid, rights: Rights) =>
    lent.reduce((sum, behind) => sum | (rights & behind.rights & ~allowedBehind(role, behind, context)), 0)
  const names = lent.map(behind => showObject(behind.object))
  const through = names.sort().join(', ')
  const isView = object.kind === 'view' || object.kind === 'materialized view'
  const door = isView ? `reads ${through} as ${showRole(object.owner, context)}` : `contains the rows of ${through}`
  return judgeDoor(object, beyond, door, context)
}

function allowedBehind(role: Oid, { object, expected }: Governed, { policy }: JudgementContext): Rights {
  return role === PUBLIC ? expected.toPublic : allowedRights(role, expected, object.owner, policy)
}

/** The accesses of a function are unknown, so it counts if its owner has any own right in a governed schema. */
function judgeFunction(
  { object }: Door,
  governed: ReadonlyMap<Oid, Governed>,
  context: JudgementContext,
): RightDiscrepancy[] {
  const hasAccess = [...governed.values()].some(
    ({ object: reached }) => reached.owner === object.owner || ownRights(object.owner, reached, context) !== 0,
  )
  if (!hasAccess) return []
  const acted = actedAs(object.owner, context)
  const gainsNothing = (role: Oid) => acted.every(used => used === role || context.policy.mayUse(role).has(used))
  const beyond = (role: Oid, rights: Rights) => (gainsNothing(role) ? 0 : rights)
  return judgeDoor(object, beyond, `runs as ${showRole(object.owner, context)}`, context)
}

/** The rights of a role without those of PUBLIC. */
function ownRights(role: Oid, object: CatalogObject, context: JudgementContext): Rights {
  const acl = object.acl.filter(({ grantee }) => grantee !== PUBLIC)
  return computeHeldRights(role, { objects: classOf(object.kind), acl }, context)
}

function judgeDoor(
  object: CatalogObject,
  beyond: (role: Oid, rights: Rights) => Rights,
  door: string,
  context: JudgementContext,
): RightDiscrepancy[] {
  const objects = classOf(object.kind)
  const usable =
    objects === 'functions' ? rightOf('EXECUTE') : lendable & everyRight(objects, context.catalog.serverVersion)
  const fold = createFold(object.schema)
  const assessor = createAssessor({ objects, owner: object.owner, expected: nothingExpected }, context)
  const judge = (acl: CatalogObject['acl'], column: string | null) => {
    for (const claim of assessor.findUnexpected(acl)) {
      const rights = withOptions(beyond(claim.holder, claim.rights & usable)) & claim.rights
      if (rights === 0 || (column !== null && claim.source !== 'grant' && claim.source !== 'public')) continue
      if (column === null) fold.add({ ...claim, rights }, [object])
      else fold.addColumn({ ...claim, rights }, object, column)
    }
  }
  judge(object.acl, null)
  for (const [column, acl] of sortColumns(object)) judge(acl, column)
  return fold.discrepancies().map(discrepancy => ({ ...discrepancy, door }))
}
