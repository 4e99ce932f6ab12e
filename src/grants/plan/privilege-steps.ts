import { type Acl, type AclEntry, grantRights, heldOptions, revokeRights, rightsIn } from '../model/acl.ts'
import type { CatalogObject } from '../model/catalog.ts'
import { type Oid, PUBLIC } from '../model/oid.ts'
import { optionShift, optionsOf, type Rights, withOptions, withoutOptions } from '../model/privileges.ts'
import type { Draft } from './draft.ts'
import type { PrivilegeStep } from './statements.ts'

/** Identifies an ACL: that of the object, or of a column. */
interface Place {
  readonly object: CatalogObject
  readonly column: string | null
}

export interface PrivilegePlanner {
  /** Revokes rights from a grantee, for every grantor. Trusted roles get back what they lose by that. */
  revoke(object: CatalogObject, grantee: Oid, rights: Rights, columns: readonly string[] | null): PrivilegeStep[]
  grant(object: CatalogObject, grantee: Oid, rights: Rights): PrivilegeStep[]
}

interface PlannerInput {
  readonly draft: Draft
  isJudged(role: Oid): boolean
  /** Whether a role can temporarily own an object of a schema. */
  canTransferTo(role: Oid, schema: string): boolean
}

export function createPrivilegePlanner(input: PlannerInput): PrivilegePlanner {
  const { draft } = input
  return {
    revoke(object, grantee, rights, columns) {
      const places = columns === null ? [{ object, column: null }] : columns.map(column => ({ object, column }))
      const keepsRights = (role: Oid) => role !== grantee && role !== PUBLIC && !input.isJudged(role)
      return places.flatMap(place => {
        const before = aclAt(draft, place)
        const steps = revokeAt(input, place, grantee, rights)
        return [...steps, ...grantAgain(draft, place, before, keepsRights)]
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
 * The owner can only revoke its own grants. To revoke those of another grantor, it revokes that grantor's grant option with
 * CASCADE, and then grants again what the grantor may have.
 */
function revokeAt(input: PlannerInput, place: Place, grantee: Oid, rights: Rights): PrivilegeStep[] {
  const { draft } = input
  const steps: PrivilegeStep[] = []
  for (;;) {
    const { owner } = draft.object(place.object)
    const acl = aclAt(draft, place)
    const entry = acl.find(one => one.grantee === grantee && (one.rights & rights) !== 0)
    if (!entry) return steps
    const affected = entry.rights & rights
    const next =
      entry.grantor === owner
        ? revokeOwn(draft, place, grantee, affected)
        : revokeGrantOption(input, place, entry.grantor, withoutOptions(affected) | optionsOf(affected))
    if (next.length === 0) return steps
    steps.push(...next)
  }
}

/** Revokes the owner's own grants: privileges with their options, and options alone. */
function revokeOwn(draft: Draft, place: Place, grantee: Oid, rights: Rights): PrivilegeStep[] {
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
  const { owner, columns } = draft.object(place.object)
  const before = aclAt(draft, place)
  const gone = option === 'only' ? rights << optionShift : withOptions(rights)
  const context = { owner, inherited: draft.inherited }
  const revoked = (acl: Acl) => revokeRights(acl, { grantee, grantor: owner }, gone, context)
  setAcl(draft, place, revoked(before))
  // A REVOKE on a table also revokes the privilege on its columns.
  const affected = place.column === null && option === 'without' ? columns : null
  for (const [column, acl] of affected ?? []) draft.setColumnAcl(place.object, column, revoked(acl))
  const cascade = (optionsOf(rightsIn(before, grantee)) & rights) !== 0
  return step('REVOKE', place, { grantee, rights, option, cascade })
}

/** Revokes a grantor's grant option, and with it all grants that depend on it. */
function revokeGrantOption(input: PlannerInput, place: Place, grantor: Oid, rights: Rights): PrivilegeStep[] {
  const { draft } = input
  const { owner } = draft.object(place.object)
  const acl = aclAt(draft, place)
  const ofOthers = acl.filter(entry => entry.grantee !== grantor)
  if ((heldOptions(ofOthers, grantor, { owner, inherited: draft.inherited }) & rights) !== 0)
    return adoptGrants(input, place, grantor)
  const steps: PrivilegeStep[] = []
  for (const entry of acl.filter(one => one.grantee === grantor && one.grantor !== owner)) {
    const options = optionsOf(entry.rights) & rights
    if (options !== 0) steps.push(...revokeGrantOption(input, place, entry.grantor, options))
  }
  const own = aclAt(draft, place).find(one => one.grantee === grantor && one.grantor === owner)?.rights ?? 0
  // A grantor without the option gets it first: without it, a REVOKE has nothing to cascade from.
  const lacking = rights & ~optionsOf(own)
  const added = lacking & ~own
  if (lacking !== 0) steps.push(grantAt(draft, place, grantor, withOptions(lacking)))
  if ((rights & ~added) !== 0) steps.push(revokeStep(draft, place, grantor, rights & ~added, 'only'))
  if (added !== 0) steps.push(revokeStep(draft, place, grantor, added, 'without'))
  return steps
}

/**
 * A grantor that also has the option by a membership keeps it, so no REVOKE reaches its grants. Changing the owner to the
 * grantor and back turns them into grants of the owner.
 */
function adoptGrants({ draft, canTransferTo }: PlannerInput, { object }: Place, grantor: Oid): PrivilegeStep[] {
  const movable = object.ownedBy === null ? object : draft.tableOf(object)
  const { owner } = draft.object(object)
  if (!movable || ![grantor, owner].every(role => canTransferTo(role, object.schema))) return []
  return [grantor, owner].map(next => {
    draft.setOwner(movable, next)
    const what = { grantee: next, rights: 0, option: 'without', cascade: false } as const
    return step('OWNER TO', { object: movable, column: null }, what)
  })
}

/** Grants again what unjudged roles have lost. */
function grantAgain(draft: Draft, place: Place, before: Acl, keepsRights: (role: Oid) => boolean): PrivilegeStep[] {
  const roles = new Set(before.map(({ grantee }) => grantee).filter(keepsRights))
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
