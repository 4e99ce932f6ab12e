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
 * Who granted what to whom on one object. PostgreSQL lists that as it was granted; here it is in the order of the grantees.
 * Equal ACLs of one catalog are one and the same array.
 */
export type Acl = readonly AclEntry[]

/** Makes equal ACLs the same array, so that objects can be grouped by it. */
export interface AclPool {
  /** The ACL of `aclitem[]`'s text. Null: the built-in default of that class of objects and owner. */
  read(text: string | null, objects: ObjectClass, owner: Oid): Acl
  /** The pool's own array for these entries; entries without rights are left out. */
  intern(entries: readonly AclEntry[]): Acl
}

/** An ACL that holds a privilege newer than this Driftwatch is told to `onUnknown`, which throws or makes it one without entries. */
export function createAclPool(serverVersion: number, oidOf: OidOf, onUnknown: OnUnknown = refuse): AclPool {
  const byText = new Map<string, Acl>()
  const byEntries = new Map<string, Acl>()
  const intern = (entries: readonly AclEntry[]): Acl => {
    const held = entries.filter(entry => entry.rights !== 0).sort(compareEntries)
    const key = held.map(({ grantee, grantor, rights }) => `${grantee}/${grantor}/${rights}`).join()
    return keep(byEntries, key, () => held)
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
        ? keep(byText, `${objects} ${owner}`, () => intern(builtInAcl(objects, owner, serverVersion)))
        : keep(byText, text, () => intern(parseKnown(text))),
  }
}

function keep<Value>(kept: Map<string, Value>, key: string, make: () => Value): Value {
  let value = kept.get(key)
  if (value === undefined) {
    value = make()
    kept.set(key, value)
  }
  return value
}

/** What a NULL acl stands for (PostgreSQL's `acldefault`). */
export function builtInAcl(objects: ObjectClass, owner: Oid, serverVersion: number): AclEntry[] {
  const everything = { grantee: owner, grantor: owner, rights: everyRight(objects, serverVersion) }
  const forEverybody = builtInPublic[objects]
  return forEverybody ? [{ grantee: 0, grantor: owner, rights: forEverybody }, everything] : [everything]
}

/** What PUBLIC has on objects with a NULL acl. */
export const builtInPublic: Readonly<Record<ObjectClass, Rights>> = {
  database: rightOf('CONNECT') | rightOf('TEMPORARY'),
  schema: 0,
  tables: 0,
  sequences: 0,
  functions: rightOf('EXECUTE'),
}

type OidOf = (roleName: string) => Oid | undefined

/** Told of a privilege that is newer than this Driftwatch. */
export type OnUnknown = (error: DriftwatchError) => void

function refuse(error: DriftwatchError): never {
  throw error
}

/**
 * The entries of the text of an `aclitem[]`: `{owner=arwd/owner,"\"odd role\"=r/owner",=U/owner}`. A large catalog has ten
 * thousand of them, so the common case takes no copy of an item: an item is quoted only where it holds anything special.
 * Throws MALFORMED_RESPONSE for what is no such text, and UNRECOGNIZED_VALUE for a privilege that is newer than this
 * Driftwatch: whoever holds it holds more than can be judged.
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

/** Where the quoted item that begins at `start` ends. */
function endOfQuoted(text: string, start: number): number {
  let at = start + 1
  while (at < text.length && text[at] !== '"') at += text[at] === '\\' ? 2 : 1
  if (at >= text.length) throw malformed()
  return at
}

/** `grantee=rights/grantor`, between two places of a text. */
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

/** A name is quoted like an identifier where it holds anything special. */
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

/** A role that was dropped without its grants shows as its OID. */
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

/** What an ACL gives to each grantee, by whatever grantors, in the order of the grantees. */
export function grantsIn(acl: Acl): readonly Pick<AclEntry, 'grantee' | 'rights'>[] {
  // Most ACLs are so already, and then nothing needs to be made.
  if (acl.every(({ grantee }, at) => at === 0 || (acl[at - 1] as AclEntry).grantee < grantee)) return acl
  const grantees = [...new Set(acl.map(({ grantee }) => grantee))].sort((one, other) => one - other)
  return grantees.map(grantee => ({ grantee, rights: rightsIn(acl, grantee) }))
}

/** What an ACL gives to a grantee, by whatever grantor. */
export function rightsIn(acl: Acl, grantee: Oid): Rights {
  let rights = 0
  for (const entry of acl) if (entry.grantee === grantee) rights |= entry.rights
  return rights
}

/** The roles whose rights a role has without SET ROLE, itself among them; null for a superuser, who has everything. */
export type Inherited = (role: Oid) => ReadonlySet<Oid> | null

/**
 * The entries after a grantor took rights from a grantee (`REVOKE ... CASCADE`): what the grantee granted on by a grant
 * option goes too, unless it has that option in another way: by another grantor, a membership, or as the owner.
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

/** What a role may grant on, in whatever way it has the option. */
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

/** The entries after a change of owner: the new one takes the old one's place on both sides. */
export function changeOwner(acl: Acl, from: Oid, to: Oid): AclEntry[] {
  let after: AclEntry[] = []
  for (const { grantee, grantor, rights } of acl) {
    const pair = { grantee: grantee === from ? to : grantee, grantor: grantor === from ? to : grantor }
    after = grantRights(after, pair, rights)
  }
  return after
}
