import { type Acl, builtInPublic, rightsIn } from '../model/acl.ts'
import type { DefaultAcl } from '../model/catalog.ts'
import { type Oid, PUBLIC } from '../model/oid.ts'
import { everyRight, type MemberClass, memberClasses, rightsOf } from '../model/privileges.ts'
import type { DefaultDiscrepancy } from './discrepancy.ts'
import { type Expectation, granteeOf, nothingExpected, sumRules } from './expectation.ts'
import { createAssessor, type JudgementContext } from './judge-rights.ts'
import type { JudgedSchema } from './judge-schema.ts'

/** The role whose new objects `defaults` apply to: the owner in the policy, else the current owner. */
export function defaultsRole({ wanted, actual }: JudgedSchema, context: JudgementContext): Oid {
  const named = wanted.owner === undefined ? undefined : context.policy.oidOf(wanted.owner)
  return named ?? actual.self.owner
}

/** Judges the default privileges in a schema: its own entries of any role, and the owner's entry without a schema. */
export function judgeDefaults(subject: JudgedSchema, context: JudgementContext): DefaultDiscrepancy[] {
  const owner = defaultsRole(subject, context)
  const entries = context.catalog.defaultAcls.filter(
    entry => entry.schema === subject.name || (entry.schema === null && entry.role === owner),
  )
  const wanted = memberClasses.map(objects => expectDefaults(subject, objects, context))
  return [
    ...entries.flatMap(entry => {
      const expected = entry.role === owner ? wanted[memberClasses.indexOf(entry.objects)] : undefined
      return unexpectedDefaults(subject.name, entry, expected ?? nothingExpected, context)
    }),
    ...memberClasses.flatMap((objects, index) => {
      const own = entries.filter(entry => entry.role === owner && entry.objects === objects)
      return missingDefaults(subject.name, owner, objects, own, wanted[index] ?? nothingExpected, context)
    }),
  ]
}

function expectDefaults({ wanted }: JudgedSchema, objects: MemberClass, context: JudgementContext): Expectation {
  const every = everyRight(objects, context.catalog.serverVersion)
  const rules = Object.entries(wanted.defaults ?? {}).flatMap(([name, defaults]) => {
    const grantee = granteeOf(name, context.policy)
    return grantee === undefined ? [] : [{ grantee, rights: rightsOf(defaults[objects] ?? []) & every }]
  })
  return { ...sumRules(rules), id: 0 }
}

/**
 * Ignores the creator of the objects and the roles that may use it, since they own the objects anyway, and the built-in
 * privileges of PUBLIC.
 */
function unexpectedDefaults(
  schema: string,
  entry: DefaultAcl,
  wanted: Expectation,
  context: JudgementContext,
): DefaultDiscrepancy[] {
  const everywhere = entry.schema === null
  const expected = everywhere ? { ...wanted, toPublic: wanted.toPublic | builtInPublic[entry.objects] } : wanted
  const isOwner = (role: Oid) => role === entry.role || context.policy.mayUse(role).has(entry.role)
  const toOthers = entry.acl.filter(({ grantee }) => grantee !== entry.role)
  const { role, objects } = entry
  const about = { type: 'default', kind: 'unexpected', objects, role, schema, everywhere } as const
  return createAssessor({ objects: entry.objects, owner: null, expected }, context)
    .findUnexpected(toOthers)
    .filter(({ holder, route }) => !isOwner(holder) && isReportedHere(route.path, context))
    .map(({ holder, rights, route }) => ({ ...about, holder, rights, route }))
}

/** A route through a judged role is reported for that role instead. */
function isReportedHere(path: readonly Oid[], { policy }: JudgementContext): boolean {
  const holder = path.at(-1)
  return holder === undefined || !policy.isJudged(holder)
}

function missingDefaults(
  schema: string,
  owner: Oid,
  objects: MemberClass,
  own: readonly DefaultAcl[],
  wanted: Expectation,
  context: JudgementContext,
): DefaultDiscrepancy[] {
  const everywhere = own.find(entry => entry.schema === null)
  const builtIn: Acl = [{ grantee: PUBLIC, grantor: owner, rights: builtInPublic[objects] }]
  const acl = [...(everywhere?.acl ?? builtIn), ...own.flatMap(entry => (entry.schema === null ? [] : entry.acl))]
  const about = {
    type: 'default',
    kind: 'missing',
    objects,
    role: owner,
    schema,
    everywhere: false,
    route: null,
  } as const
  const expected = { ...wanted, direct: new Map([...wanted.direct].filter(([role]) => role !== owner)) }
  const missing = createAssessor({ objects, owner: null, expected }, context).findMissing(acl)
  const ofOwner = everywhere ? everyRight(objects, context.catalog.serverVersion) & ~rightsIn(everywhere.acl, owner) : 0
  const itself = ofOwner === 0 ? [] : [{ ...about, holder: owner, rights: ofOwner, everywhere: true }]
  return [...missing.map(({ holder, rights }) => ({ ...about, holder, rights })), ...itself]
}
