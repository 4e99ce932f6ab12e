import type { DefaultDiscrepancy, Discrepancy, RightDiscrepancy } from '../judge/discrepancy.ts'
import { allowedRights, classOf, expectGrants } from '../judge/expectation.ts'
import { grantRights, revokeRights } from '../model/acl.ts'
import type { CatalogObject } from '../model/catalog.ts'
import { type Oid, PUBLIC } from '../model/oid.ts'
import { optionShift, optionsOf, rightOf, rightsOf, withOptions, withoutOptions } from '../model/privileges.ts'
import { joinRefusals, moveDatabase, type PlanContext, type Refusal } from './plan-context.ts'
import { revokeRoute } from './revoke-membership.ts'
import { type PrivilegeStep, writeAlterDefaults, writeAlterOwner, writeAsRole, writePrivileges } from './statements.ts'

type OwnerDiscrepancy = Extract<Discrepancy, { type: 'owner' }>

/** Skips sequences that belong to a table, because they follow it. */
export function remediateOwner(found: OwnerDiscrepancy, context: PlanContext): Refusal {
  const { objects, schema, targets, expected, actual } = found
  const { draft, operator, emit, nameOf } = context
  const movable = targets.filter(object => object.ownedBy === null && draft.object(object).owner !== expected)
  const problem = operator.actAs([actual, expected])
  if (problem || movable.length === 0) return problem
  const refusal =
    objects === 'schema'
      ? operator.createInDatabase()
      : (operator.useSchema(schema) ?? operator.transferTo(expected, schema))
  if (refusal) return refusal
  for (const object of movable) draft.setOwner(object, expected)
  emit(movable.map(object => writeAlterOwner(object, nameOf(expected))))
  return null
}

export function remediateRight(found: RightDiscrepancy, context: PlanContext): Refusal {
  if (found.kind === 'missing')
    return changeAll(found, context, object => context.privileges.grant(object, found.holder, found.rights))
  const { route, source } = found
  const path = route?.path ?? []
  const holder = path.at(-1) ?? found.holder
  const { policy } = context.comparison.context
  const isOwnGrant = path.length === 0 || (source === 'grant' && !policy.isJudged(holder) && !policy.isTrusted(holder))
  if (source === 'owner' && path.length === 0) return moveDatabase(found.holder, context)
  if (isOwnGrant && (source === 'grant' || source === 'public'))
    return changeAll(found, context, object => context.privileges.revoke(object, holder, found.rights, found.columns))
  if (policy.isJudged(holder) && !isEntitled(holder, found, context)) return null
  return revokeRoute(found.holder, path, role => isEntitled(role, found, context), context)
}

function changeAll(
  { schema, targets }: RightDiscrepancy,
  context: PlanContext,
  change: (object: CatalogObject) => PrivilegeStep[],
): Refusal {
  const { draft, operator, emit } = context
  const byOwner = Map.groupBy(targets.flat(), object => draft.object(object).owner)
  const problems: Refusal[] = []
  const statements: string[] = []
  for (const [owner, objects] of byOwner) {
    const problem = operator.actAs([owner]) ?? operator.useSchema(schema)
    if (problem) problems.push(problem)
    else statements.push(...asOwner(owner, objects[0], objects.map(change), context))
  }
  if (statements.length > 0) emit(statements)
  return joinRefusals(problems)
}

/**
 * Runs statements under SET ROLE as the owner: an operator with the rights of several roles could otherwise grant as any of
 * them. Skipped if the owner has no USAGE on the schema, and for a superuser.
 */
function asOwner(
  owner: Oid,
  object: CatalogObject | undefined,
  changes: readonly (readonly PrivilegeStep[])[],
  { draft, operator, nameOf }: PlanContext,
): string[] {
  const statements = writePrivileges(changes, nameOf)
  const schema = object && draft.schema(object.schema)
  const hasUsage = !schema || object.kind === 'schema' || hasUsageOn(owner, schema, draft)
  if (operator.isSuperuser || !hasUsage || statements.length === 0) return statements
  return writeAsRole(nameOf(owner), statements)
}

function hasUsageOn(role: Oid, schema: CatalogObject, { inherited }: PlanContext['draft']): boolean {
  const held = inherited(role)
  const usage = rightOf('USAGE')
  return schema.acl.some(
    ({ grantee, rights }) => (grantee === PUBLIC || (held?.has(grantee) ?? true)) && (rights & usage) !== 0,
  )
}

/** Whether a role on a route may have the right, or is not judged. */
function isEntitled(role: Oid, found: RightDiscrepancy, { comparison, policy }: PlanContext): boolean {
  const { context } = comparison
  const object = found.targets.find(list => list.length > 0)?.[0]
  if (!context.policy.isJudged(role) || !object) return true
  if (found.objects === 'database') {
    const listed = context.policy.listedByOid.get(role)
    return !listed || (found.rights & ~rightsOf(listed.policy.database ?? [])) === 0
  }
  if (found.door) return role === object.owner || context.policy.mayUse(role).has(object.owner)
  const wanted = policy.schemas?.[found.schema] ?? {}
  const expected = expectGrants(wanted, classOf(object.kind), context.policy, context.catalog.serverVersion).of(object)
  return (found.rights & ~allowedRights(role, expected, object.owner, context.policy)) === 0
}

export function remediateDefault(found: DefaultDiscrepancy, context: PlanContext): Refusal {
  const { draft, operator, emit, nameOf } = context
  const schema = found.everywhere ? null : found.schema
  const problem = operator.actAs([found.role])
  if (problem) return problem
  const entry = draft.defaultAcl({ role: found.role, schema, objects: found.objects })
  const grantee = found.route?.path.at(-1) ?? found.holder
  if (found.kind === 'missing') {
    emit(writeAlterDefaults(entry, 'GRANT', found.rights, grantee, nameOf))
    draft.setDefaultAcl({ ...entry, acl: grantRights(entry.acl, { grantee, grantor: found.role }, found.rights) })
    return null
  }
  const full = withoutOptions(found.rights)
  const options = optionsOf(found.rights) & ~full
  emit([
    ...writeAlterDefaults(entry, 'REVOKE', full, grantee, nameOf),
    ...writeAlterDefaults(entry, 'REVOKE GRANT OPTION FOR', options, grantee, nameOf),
  ])
  const gone = withOptions(full) | (options << optionShift)
  const around = { owner: found.role, inherited: draft.inherited }
  draft.setDefaultAcl({ ...entry, acl: revokeRights(entry.acl, { grantee, grantor: found.role }, gone, around) })
  return null
}
