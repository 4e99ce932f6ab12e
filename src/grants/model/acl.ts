import { DriftwatchError } from '../../errors.ts'
import type { Oid } from './oid.ts'
import {
  everyRight,
  type ObjectClass,
  optionsOf,
  type Rights,
  rightOf,
  rightOfLetter,
  withOptions,
  withoutOptions,
} from './privileges.ts'

export interface AclEntry {
  /** 0: PUBLIC. */
  readonly grantee: Oid
  readonly grantor: Oid
  readonly rights: Rights
}

/**
 * The grants on one object, sorted by grantee (PostgreSQL lists them in the order of granting). Equal ACLs of one catalog are
 * the identical array.
 */
export type Acl = readonly AclEntry[]

/** Makes equal ACLs the identical array, so that objects can be grouped by it. */
export interface AclPool {
  /** Parses the text of an `aclitem[]`. Null: the built-in default of that class of objects and owner. */
  read(text: string | null, objects: ObjectClass, owner: Oid): Acl
  /** The pool's array for these entries. Entries without rights are omitted. */
  intern(entries: readonly AclEntry[]): Acl
}

/** `onUnknown` is called for an ACL with an unrecognized privilege. It throws, or the ACL becomes empty. */
export function createAclPool(serverVersion: number, oidOf: OidOf, onUnknown: OnUnknown = rejectUnknown): AclPool {
  const byText = new Map<string, Acl>()
  const byEntries = new Map<string, Acl>()
  const intern = (entries: readonly AclEntry[]): Acl => {
    const held = entries.filter(entry => entry.rights !== 0).sort(compareEntries)
    const key = held.map(({ grantee, grantor, rights }) => `${grantee}/${grantor}/${rights}`).join()
    return getOrCreate(byEntries, key, () => held)
  }
  const parseKnown = (text: string): readonly AclEntry[] => {
    try {
      return parseAcl(text, oidOf)
    } catch (thrown) {
      if (!(thrown instanceof DriftwatchError) || thrown.code !== 'UNRECOGNIZED_VALUE') throw thrown
      onUnknown(thrown)
      return []
    }
  }
  return {
    intern,
    read: (text, objects, owner) =>
      text === null
        ? getOrCreate(byText, `${objects} ${owner}`, () => intern(builtInAcl(objects, owner, serverVersion)))
        : getOrCreate(byText, text, () => intern(parseKnown(text))),
  }
}

function getOrCreate<Value>(cache: Map<string, Value>, key: string, make: () => Value): Value {
  let value = cache.get(key)
  if (value === undefined) {
    value = make()
    cache.set(key, value)
  }
  return value
}

/** The meaning of a NULL acl (`acldefault` in PostgreSQL). */
export function builtInAcl(objects: ObjectClass, owner: Oid, serverVersion: number): AclEntry[] {
  const everything = { grantee: owner, grantor: owner, rights: everyRight(objects, serverVersion) }
  const toPublic = builtInPublic[objects]
  return toPublic ? [{ grantee: 0, grantor: owner, rights: toPublic }, everything] : [everything]
}

/** The rights of PUBLIC on objects with a NULL acl. */
export const builtInPublic: Readonly<Record<ObjectClass, Rights>> = {
  database: rightOf('CONNECT') | rightOf('TEMPORARY'),
  schema: 0,
  tables: 0,
  sequences: 0,
  functions: rightOf('EXECUTE'),
}

type OidOf = (roleName: string) => Oid | undefined

/** Called for a privilege that this version of Driftwatch does not recognize. */
export type OnUnknown = (error: DriftwatchError) => void

function rejectUnknown(error: DriftwatchError): never {
  throw error
}

/**
 * Parses the text of an `aclitem[]`: `{owner=arwd/owner,"\"odd role\"=r/owner",=U/owner}`. A large catalog has ten thousand
 * of them, so only quoted items are copied. Throws MALFORMED_RESPONSE for other text, and UNRECOGNIZED_VALUE for an
 * unrecognized privilege, whose holder cannot be judged.
 */
export function parseAcl(text: string, oidOf: OidOf): AclEntry[] {
  const entries: AclEntry[] = []
  if (!text.startsWith('{') || !text.endsWith('}') || text.length < 2) throw malformed()
  for (let at = 1; at < text.length - 1; at++) {
    if (text[at] === '"') {
      const end = endOfQuoted(text, at)
      const item = text.slice(at + 1, end).replace(/\\(.)/gs, '$1')
      entries.push(parseItem(item, 0, item.length, oidOf))
      at = end + 1
    } else {
      const comma = text.indexOf(',', at)
      const end = comma < 0 ? text.length - 1 : comma
      entries.push(parseItem(text, at, end, oidOf))
      at = end
    }
  }
  return entries
}

/** The end of the quoted item that begins at `start`. */
function endOfQuoted(text: string, start: number): number {
  let at = start + 1
  while (at < text.length && text[at] !== '"') at += text[at] === '\\' ? 2 : 1
  if (at >= text.length) throw malformed()
  return at
}

/** Parses `grantee=rights/grantor` between two positions of a text. */
function parseItem(text: string, start: number, end: number, oidOf: OidOf): AclEntry {
  const equals = endOfName(text, start)
  const slash = text.indexOf('/', equals)
  if (equals < start || text[equals] !== '=' || slash < equals || slash + 1 >= end) throw malformed()
  return {
    grantee: equals === start ? 0 : resolve(nameIn(text, start, equals), oidOf),
    grantor: resolve(nameIn(text, slash + 1, end), oidOf),
    rights: readRights(text, equals + 1, slash),
  }
}

/** A name with special characters is quoted like an identifier. */
function endOfName(text: string, start: number): number {
  if (text[start] !== '"') return text.indexOf('=', start)
  let at = start + 1
  while (at < text.length && (text[at] !== '"' || text[at + 1] === '"')) at += text[at] === '"' ? 2 : 1
  return at + 1
}

function nameIn(text: string, start: number, end: number): string {
  return text[start] === '"' ? text.slice(start + 1, end - 1).replaceAll('""', '"') : text.slice(start, end)
}

function malformed(): DriftwatchError {
  return new DriftwatchError(
    'MALFORMED_RESPONSE',
    'the catalog has privileges that are not in the format of PostgreSQL',
  )
}

function unrecognized(letter: string): DriftwatchError {
  const message = `the catalog has the privilege ${JSON.stringify(letter)}, which this version of Driftwatch does not recognize`
  return new DriftwatchError('UNRECOGNIZED_VALUE', message)
}

/** A dropped role with remaining grants appears as its OID. */
function resolve(name: string, oidOf: OidOf): Oid {
  return oidOf(name) ?? (/^\d+$/.test(name) ? Number(name) : -1)
}

function readRights(text: string, start: number, end: number): Rights {
  let rights = 0
  for (let at = start; at < end; at++) {
    const letter = text.charAt(at)
    if (letter === '*') continue
    const right = rightOfLetter(letter)
    if (right === undefined) throw unrecognized(letter)
    rights |= text[at + 1] === '*' ? withOptions(right) : right
  }
  return rights
}

function compareEntries(one: AclEntry, other: AclEntry): number {
  return one.grantee - other.grantee || one.grantor - other.grantor
}

/** The rights of each grantee from all grantors, sorted by grantee. */
export function grantsIn(acl: Acl): readonly Pick<AclEntry, 'grantee' | 'rights'>[] {
  // Most ACLs have this form already, and are not copied.
  if (acl.every(({ grantee }, at) => at === 0 || (acl[at - 1] as AclEntry).grantee < grantee)) return acl
  const grantees = [...new Set(acl.map(({ grantee }) => grantee))].sort((one, other) => one - other)
  return grantees.map(grantee => ({ grantee, rights: rightsIn(acl, grantee) }))
}

/** The rights of a grantee from all grantors. */
export function rightsIn(acl: Acl, grantee: Oid): Rights {
  let rights = 0
  for (const entry of acl) if (entry.grantee === grantee) rights |= entry.rights
  return rights
}

/** The roles whose rights a role has without SET ROLE, including itself; null for a superuser. */
export type Inherited = (role: Oid) => ReadonlySet<Oid> | null

/**
 * The entries after `REVOKE ... CASCADE`. The grants that depend on the grantee's grant option go too, unless it has the option
 * from another grantor, by a membership, or as the owner.
 */
export function revokeRights(
  acl: Acl,
  from: { grantee: Oid; grantor: Oid },
  rights: Rights,
  { owner, inherited }: { owner: Oid; inherited: Inherited },
): Acl {
  const isIt = ({ grantee, grantor }: AclEntry) => grantee === from.grantee && grantor === from.grantor
  const had = acl.find(isIt)?.rights ?? 0
  const before = acl.map(entry => (isIt(entry) ? { ...entry, rights: entry.rights & ~rights } : entry))
  const lost = optionsOf(had & rights) & ~heldOptions(before, from.grantee, { owner, inherited })
  let after: Acl = before
  for (const dependent of lost === 0 ? [] : before) {
    if (dependent.grantor !== from.grantee || (dependent.rights & withOptions(lost)) === 0) continue
    const grantee = { grantee: dependent.grantee, grantor: from.grantee }
    after = revokeRights(after, grantee, withOptions(lost), { owner, inherited })
  }
  return after
}

/** The rights that a role can grant to others, from any source. */
export function heldOptions(acl: Acl, role: Oid, { owner, inherited }: { owner: Oid; inherited: Inherited }): Rights {
  const roles = inherited(role)
  if (roles === null || roles.has(owner)) return withoutOptions(-1)
  let rights = 0
  for (const entry of acl) if (roles.has(entry.grantee)) rights |= entry.rights
  return optionsOf(rights)
}

/** The entries after a grant. */
export function grantRights(acl: Acl, to: { grantee: Oid; grantor: Oid }, rights: Rights): AclEntry[] {
  const at = acl.findIndex(({ grantee, grantor }) => grantee === to.grantee && grantor === to.grantor)
  if (at < 0) return [...acl, { ...to, rights }]
  return acl.map((entry, index) => (index === at ? { ...entry, rights: entry.rights | rights } : entry))
}

/** The entries after a change of owner: the new owner replaces the old one as grantee and grantor. */
export function changeOwner(acl: Acl, from: Oid, to: Oid): AclEntry[] {
  let after: AclEntry[] = []
  for (const { grantee, grantor, rights } of acl) {
    const pair = { grantee: grantee === from ? to : grantee, grantor: grantor === from ? to : grantor }
    after = grantRights(after, pair, rights)
  }
  return after
}
