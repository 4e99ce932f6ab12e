import { type Acl, type AclEntry, grantRights, revokeRights, rightsIn } from './acl.ts'
import { type CatalogObject, type Oid, PUBLIC } from './catalog.ts'
import type { Draft } from './draft.ts'
import { classOf } from './expectation.ts'
import { quoteIdentifier } from './identifiers.ts'
import { optionShift, optionsOf, type Rights, withOptions, withoutOptions, wordsOf } from './privileges.ts'
import { grantWord, objectName, privilegeList } from './statements.ts'

/** One GRANT or REVOKE on one object, as its owner. */
export interface PrivilegeStep {
  readonly verb: 'GRANT' | 'REVOKE'
  readonly rights: Rights
  /** Of the grant option alone, or together with it. */
  readonly option: 'only' | 'with' | 'without'
  readonly grantee: Oid
  readonly cascade: boolean
  readonly object: CatalogObject
  readonly columns: readonly string[] | null
}

/** The ACL that the steps are about: the object's, or a column's. */
interface Place {
  readonly object: CatalogObject
  readonly column: string | null
}

export interface PrivilegePlanner {
  /** Takes rights from a grantee, by whomever they were granted; what trusted roles lose by that they get back. */
  revoke(object: CatalogObject, grantee: Oid, rights: Rights, columns: readonly string[] | null): PrivilegeStep[]
  grant(object: CatalogObject, grantee: Oid, rights: Rights): PrivilegeStep[]
}

export function createPrivilegePlanner(draft: Draft, isJudged: (role: Oid) => boolean): PrivilegePlanner {
  return {
    revoke(object, grantee, rights, columns) {
      const places = columns === null ? [{ object, column: null }] : columns.map(column => ({ object, column }))
      return places.flatMap(place => {
        const before = aclAt(draft, place)
        const steps = revokeAt(draft, place, grantee, rights)
        return [
          ...steps,
          ...restore(draft, place, before, role => role !== grantee && role !== PUBLIC && !isJudged(role)),
        ]
      })
    },
    grant: (object, grantee, rights) => [grantAt(draft, { object, column: null }, grantee, rights)],
  }
}

function aclAt(draft: Draft, { object, column }: Place): Acl {
  const now = draft.object(object)
  return column === null ? now.acl : (now.columns?.get(column) ?? [])
}

function setAcl(draft: Draft, { object, column }: Place, entries: readonly AclEntry[]): void {
  if (column === null) draft.setAcl(object, entries)
  else draft.setColumnAcl(object, column, entries)
}

/**
 * The owner can only take back what it granted itself. What somebody else granted goes with that one's grant option, by
 * CASCADE: so the true grantor is deprived first, and gets back what it may have.
 */
function revokeAt(draft: Draft, place: Place, grantee: Oid, rights: Rights): PrivilegeStep[] {
  const { owner } = draft.object(place.object)
  const steps: PrivilegeStep[] = []
  for (const entry of aclAt(draft, place)) {
    if (entry.grantee !== grantee || (entry.rights & rights) === 0) continue
    const affected = entry.rights & rights
    if (entry.grantor === owner) steps.push(...takeBack(draft, place, grantee, affected))
    else steps.push(...depriveGrantor(draft, place, entry.grantor, withoutOptions(affected) | optionsOf(affected)))
  }
  return steps
}

/** Revokes what the owner granted: privileges with their options, and options alone. */
function takeBack(draft: Draft, place: Place, grantee: Oid, rights: Rights): PrivilegeStep[] {
  const full = withoutOptions(rights)
  const optionsOnly = optionsOf(rights) & ~full
  return [
    ...(full === 0 ? [] : [revokeStep(draft, place, grantee, full, 'without')]),
    ...(optionsOnly === 0 ? [] : [revokeStep(draft, place, grantee, optionsOnly, 'only')]),
  ]
}

function revokeStep(
  draft: Draft,
  place: Place,
  grantee: Oid,
  rights: Rights,
  option: 'only' | 'without',
): PrivilegeStep {
  const { owner } = draft.object(place.object)
  const before = aclAt(draft, place)
  const gone = option === 'only' ? rights << optionShift : withOptions(rights)
  setAcl(draft, place, revokeRights(before, { grantee, grantor: owner }, gone, owner))
  if (place.column === null && option === 'without') revokeOnColumns(draft, place.object, grantee, gone)
  const cascade = (optionsOf(rightsIn(before, grantee)) & rights) !== 0
  return step('REVOKE', place, { grantee, rights, option, cascade })
}

/** A REVOKE on a table takes the same privilege on its columns too. */
function revokeOnColumns(draft: Draft, object: CatalogObject, grantee: Oid, rights: Rights): void {
  const { columns, owner } = draft.object(object)
  for (const [column, acl] of columns ?? [])
    draft.setColumnAcl(object, column, revokeRights(acl, { grantee, grantor: owner }, rights, owner))
}

/** Takes the grant option for these privileges from a grantor, and with it all that it granted by it. */
function depriveGrantor(draft: Draft, place: Place, grantor: Oid, rights: Rights): PrivilegeStep[] {
  const { owner } = draft.object(place.object)
  const steps: PrivilegeStep[] = []
  const granted = aclAt(draft, place).filter(entry => entry.grantee === grantor && entry.grantor !== owner)
  for (const entry of granted) {
    const options = optionsOf(entry.rights) & rights
    if (options !== 0) steps.push(...depriveGrantor(draft, place, entry.grantor, options))
  }
  const own = aclAt(draft, place).find(entry => entry.grantee === grantor && entry.grantor === owner)?.rights ?? 0
  // A grantor that lost its option in some other way first gets it again, or there would be nothing to cascade from.
  const lacking = rights & ~optionsOf(own)
  const already = lacking & own
  if (lacking !== 0) steps.push(grantAt(draft, place, grantor, withOptions(lacking)))
  const keeps = (rights & ~lacking) | already
  if (keeps !== 0) steps.push(revokeStep(draft, place, grantor, keeps, 'only'))
  if ((lacking & ~already) !== 0) steps.push(revokeStep(draft, place, grantor, lacking & ~already, 'without'))
  return steps
}

/** Grants again what roles lost that may hold anything. */
function restore(draft: Draft, place: Place, before: Acl, keeps: (role: Oid) => boolean): PrivilegeStep[] {
  const roles = new Set(before.map(({ grantee }) => grantee).filter(keeps))
  return [...roles].flatMap(role => {
    const lost = rightsIn(before, role) & ~rightsIn(aclAt(draft, place), role)
    const withOption = optionsOf(lost)
    const plain = withoutOptions(lost) & ~withOption
    return [
      ...(plain === 0 ? [] : [grantAt(draft, place, role, plain)]),
      ...(withOption === 0 ? [] : [grantAt(draft, place, role, withOptions(withOption))]),
    ]
  })
}

function grantAt(draft: Draft, place: Place, grantee: Oid, rights: Rights): PrivilegeStep {
  const { owner } = draft.object(place.object)
  setAcl(draft, place, grantRights(aclAt(draft, place), { grantee, grantor: owner }, rights))
  const option = optionsOf(rights) === 0 ? 'without' : 'with'
  return step('GRANT', place, { grantee, rights: withoutOptions(rights), option, cascade: false })
}

function step(
  verb: PrivilegeStep['verb'],
  { object, column }: Place,
  what: Pick<PrivilegeStep, 'grantee' | 'rights' | 'option' | 'cascade'>,
): PrivilegeStep {
  return { verb, object, columns: column === null ? null : [column], ...what }
}

const objectsAStatement = 100

/** The fewest statements that take each object's steps in their order: equal steps on several objects become one. */
export function renderSteps(
  stepsOfObjects: readonly (readonly PrivilegeStep[])[],
  nameOf: (role: Oid) => string,
): string[] {
  const rounds = Math.max(0, ...stepsOfObjects.map(steps => steps.length))
  const statements: string[] = []
  for (let round = 0; round < rounds; round++) {
    const alike = Map.groupBy(
      stepsOfObjects.flatMap(steps => steps[round] ?? []),
      ({ verb, rights, option, grantee, cascade, object, columns }) =>
        `${verb} ${rights} ${option} ${grantee} ${cascade} ${classOf(object.kind)} ${JSON.stringify(columns)}`,
    )
    for (const steps of alike.values()) {
      for (let at = 0; at < steps.length; at += objectsAStatement)
        statements.push(renderAlike(steps.slice(at, at + objectsAStatement), nameOf))
    }
  }
  return statements
}

function renderAlike(steps: readonly PrivilegeStep[], nameOf: (role: Oid) => string): string {
  const [first] = steps
  if (!first) return ''
  const { verb, rights, option, cascade, columns, object, grantee } = first
  const only = verb === 'REVOKE' && option === 'only' ? 'GRANT OPTION FOR ' : ''
  const names = steps.map(one => objectName(one.object))
  const list = names.length === 1 ? names.join() : `\n  ${names.join(',\n  ')}\n `
  const what = `${only}${privilegeList(wordsOf(rights), columns)} ON ${grantWord[classOf(object.kind)]} ${list}`
  const who = grantee === PUBLIC ? 'PUBLIC' : quoteIdentifier(nameOf(grantee))
  if (verb === 'GRANT') return `GRANT ${what} TO ${who}${option === 'with' ? ' WITH GRANT OPTION' : ''}`
  return `REVOKE ${what} FROM ${who}${cascade ? ' CASCADE' : ''}`
}
