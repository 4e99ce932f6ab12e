import { type Acl, builtInPublic, rightsIn } from '../model/acl.ts'
import type { DefaultAcl } from '../model/catalog.ts'
import { type Oid, PUBLIC } from '../model/oid.ts'
import { everyRight, type Rights, rightsOf } from '../model/privileges.ts'
import type { DefaultDiscrepancy } from './discrepancy.ts'
import { type Expectation, granteeOf, nothingExpected } from './expectation.ts'
import { createAssessor, type JudgementContext } from './judge-rights.ts'
import type { SchemaUnderJudgement } from './judge-schema.ts'

const defaultClasses = ['tables', 'sequences', 'functions'] as const
type DefaultClass = (typeof defaultClasses)[number]

/** Whose new objects the `defaults` of a schema are for: its owner by the policy, else the one that it has. */
export function defaultsRole({ wanted, actual }: SchemaUnderJudgement, context: JudgementContext): Oid {
  const named = wanted.owner === undefined ? undefined : context.policy.oidOf(wanted.owner)
  return named ?? actual.self.owner
}

/** The default privileges in a schema: its own entries, whoever's they are, and the owner's without a schema. */
export function judgeDefaults(subject: SchemaUnderJudgement, context: JudgementContext): DefaultDiscrepancy[] {
  const owner = defaultsRole(subject, context)
  const entries = context.catalog.defaultAcls.filter(
    entry => entry.schema === subject.name || (entry.schema === null && entry.role === owner),
  )
  const wanted = defaultClasses.map(objects => expectDefaults(subject, objects, context))
  return [
    ...entries.flatMap(entry => {
      const expected = entry.role === owner ? wanted[defaultClasses.indexOf(entry.objects)] : undefined
      return unexpectedDefaults(subject.name, entry, expected ?? nothingExpected, context)
    }),
    ...defaultClasses.flatMap((objects, index) => {
      const own = entries.filter(entry => entry.role === owner && entry.objects === objects)
      return missingDefaults(subject.name, { owner, objects, own }, wanted[index] ?? nothingExpected, context)
    }),
  ]
}

function expectDefaults(
  { wanted }: SchemaUnderJudgement,
  objects: DefaultClass,
  context: JudgementContext,
): Expectation {
  const every = everyRight(objects, context.catalog.serverVersion)
  const direct = new Map<Oid, Rights>()
  let everybody = 0
  for (const [name, defaults] of Object.entries(wanted.defaults ?? {})) {
    const grantee = granteeOf(name, context.policy)
    const rights = rightsOf(defaults[objects] ?? []) & every
    if (grantee === PUBLIC) everybody |= rights
    else if (grantee !== undefined && rights !== 0) direct.set(grantee, rights)
  }
  return { id: 0, direct, everybody }
}

/**
 * What a role gives itself, or those who may use it, is theirs as of the owner; what PUBLIC has without any entry is no
 * drift with one.
 */
function unexpectedDefaults(
  schema: string,
  entry: DefaultAcl,
  wanted: Expectation,
  context: JudgementContext,
): DefaultDiscrepancy[] {
  const everywhere = entry.schema === null
  const expected = everywhere ? { ...wanted, everybody: wanted.everybody | builtInPublic[entry.objects] } : wanted
  const isOwner = (role: Oid) => role === entry.role || context.policy.mayUse(role).has(entry.role)
  const toOthers = entry.acl.filter(({ grantee }) => grantee !== entry.role)
  const about = {
    type: 'default',
    kind: 'unexpected',
    objects: entry.objects,
    role: entry.role,
    schema,
    everywhere,
  } as const
  return createAssessor({ objects: entry.objects, owner: null, expected }, context)
    .excess(toOthers)
    .filter(({ holder, route }) => !isOwner(holder) && isToldHere(route.path, context))
    .map(({ holder, rights, route }) => ({ ...about, holder, rights, route }))
}

/** Who holds it through a judged role will be told of with the object; here that role is. */
function isToldHere(path: readonly Oid[], { policy }: JudgementContext): boolean {
  const holder = path.at(-1)
  return holder === undefined || !policy.isJudged(holder)
}

interface OwnDefaults {
  readonly owner: Oid
  readonly objects: DefaultClass
  readonly own: readonly DefaultAcl[]
}

function missingDefaults(
  schema: string,
  { owner, objects, own }: OwnDefaults,
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
  const others = new Map([...wanted.direct].filter(([role]) => role !== owner))
  const expected = { ...wanted, direct: others }
  const lack = createAssessor({ objects, owner: null, expected }, context).lack(acl)
  const ofOwner = everywhere ? everyRight(objects, context.catalog.serverVersion) & ~rightsIn(everywhere.acl, owner) : 0
  const itself = ofOwner === 0 ? [] : [{ ...about, holder: owner, rights: ofOwner, everywhere: true }]
  return [...lack.map(({ holder, rights }) => ({ ...about, holder, rights })), ...itself]
}
