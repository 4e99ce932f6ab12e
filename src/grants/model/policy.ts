import { printable } from '../../printable.ts'
import { type RoleAttribute, roleAttributes } from './catalog.ts'
import { showIdentifier } from './identifiers.ts'
import {
  isPrivilegeOf,
  type MemberClass,
  memberClasses,
  type ObjectClass,
  privilegesOf,
  privilegeWords,
} from './privileges.ts'

/** The attributes and database privileges of a role. Those that are not listed are not allowed. */
export interface RolePolicy extends Readonly<Partial<Record<RoleAttribute, boolean>>> {
  /** The complete list of roles that may use the role. */
  readonly members?: readonly string[] | undefined
  readonly database?: readonly string[] | undefined
}

/** Privileges on every object of a kind, or by name pattern (wildcards `*` and `?`, escape `\`). */
export type PrivilegesByName = readonly string[] | { readonly [pattern: string]: readonly string[] }

export type GrantsOnSchema = { readonly [objects in MemberClass]?: PrivilegesByName | undefined } & {
  readonly schema?: readonly string[] | undefined
}

export type DefaultGrants = { readonly [objects in MemberClass]?: readonly string[] | undefined }

export interface SchemaPolicy {
  /** The owner of the schema and all objects in it. If omitted, ownership is not judged. */
  readonly owner?: string | undefined
  /** The relations that must exist. */
  readonly relations?: readonly string[] | undefined
  /** By role, or `PUBLIC`. */
  readonly grants?: { readonly [role: string]: GrantsOnSchema } | undefined
  /** By role, or `PUBLIC`: the privileges on objects that the owner will create. */
  readonly defaults?: { readonly [role: string]: DefaultGrants } | undefined
}

/** The privileges in one database. Exact for the schemas and roles that it lists. */
export interface GrantsPolicy {
  readonly roles?: { readonly [role: string]: RolePolicy } | undefined
  readonly trustedRoles?: readonly string[] | undefined
  readonly schemas?: { readonly [schema: string]: SchemaPolicy } | undefined
}

/** An error in a policy with its path, such as `schemas.runtime.grants.oa_runtime_rw.tables[1]`. */
export interface PolicyProblem {
  readonly path: readonly (string | number)[]
  /** Whether it concerns the key or the value at the path. */
  readonly at: 'key' | 'value'
  readonly message: string
}

/** Whether a name in a policy means PUBLIC. PostgreSQL does not allow a role named `public`. */
export function isPublic(name: string): boolean {
  return name === 'PUBLIC' || name === 'public'
}

type Path = readonly (string | number)[]
type Report = (path: Path, at: PolicyProblem['at'], message: string) => void

/** Finds the errors in a policy that do not depend on the database. */
export function findPolicyProblems(policy: GrantsPolicy): PolicyProblem[] {
  const problems: PolicyProblem[] = []
  const report: Report = (path, at, message) => problems.push({ path, at, message })
  for (const [name, role] of Object.entries(policy.roles ?? {})) checkRole(name, role, policy, report)
  checkCircles(policy.roles ?? {}, report)
  checkNames(policy.trustedRoles ?? [], ['trustedRoles'], report)
  for (const [name, schema] of Object.entries(policy.schemas ?? {})) checkSchema(name, schema, policy, report)
  return problems
}

function checkRole(name: string, role: RolePolicy, policy: GrantsPolicy, report: Report): void {
  const path = ['roles', name]
  const shown = showIdentifier(name)
  checkRoleName(name, path, 'key', report)
  if (name.startsWith('pg_')) report(path, 'key', `${shown} is a predefined role of PostgreSQL and cannot be listed`)
  if (policy.trustedRoles?.includes(name))
    report(path, 'key', `role ${shown} is also in trustedRoles: list it in only one of them`)
  checkNames(role.members ?? [], [...path, 'members'], report)
  if (role.members?.includes(name)) report([...path, 'members'], 'value', `role ${shown} cannot be a member of itself`)
  checkWords('database', role.database ?? [], [...path, 'database'], report)
}

/** PostgreSQL does not allow circular memberships. Each circle is reported once, where it closes. */
function checkCircles(roles: Readonly<Record<string, RolePolicy>>, report: Report): void {
  const done = new Set<string>()
  const visit = (role: string, above: readonly string[]) => {
    if (done.has(role)) return
    const way = [...above, role]
    for (const [index, member] of membersOf(role, roles).entries()) {
      if (member === role) continue
      if (way.includes(member))
        report(['roles', role, 'members', index], 'value', describeCircle(way.slice(way.indexOf(member))))
      else visit(member, way)
    }
    done.add(role)
  }
  for (const role of Object.keys(roles)) visit(role, [])
}

function membersOf(role: string, roles: Readonly<Record<string, RolePolicy>>): readonly string[] {
  return (Object.hasOwn(roles, role) ? roles[role]?.members : undefined) ?? []
}

/** In `way`, each role is followed by one of its members, and the last by the first. */
function describeCircle(way: readonly string[]): string {
  const [first = '', ...others] = way.map(showIdentifier)
  const [nearest, ...further] = [...others.toReversed(), first]
  const rest = further.map((role, index) => `, ${index === 0 ? nearest : further[index - 1]} of ${role}`).join('')
  return `circular membership: ${first} is a member of ${nearest}${rest}`
}

function checkSchema(name: string, schema: SchemaPolicy, policy: GrantsPolicy, report: Report): void {
  const path = ['schemas', name]
  checkName(name, path, 'key', 'schema', report)
  if (/^pg_|^information_schema$/.test(name))
    report(path, 'key', `${showIdentifier(name)} is a system schema of PostgreSQL and cannot be listed`)
  checkOwner(schema, path, report)
  for (const [index, relation] of (schema.relations ?? []).entries())
    checkName(relation, [...path, 'relations', index], 'value', 'relation', report)
  for (const [role, grants] of Object.entries(schema.grants ?? {})) {
    checkGrantee(role, [...path, 'grants', role], policy, report)
    checkWords('schema', grants.schema ?? [], [...path, 'grants', role, 'schema'], report)
    for (const kind of memberClasses) checkByName(kind, grants[kind] ?? [], [...path, 'grants', role, kind], report)
  }
  for (const [role, defaults] of Object.entries(schema.defaults ?? {})) {
    checkGrantee(role, [...path, 'defaults', role], policy, report)
    for (const kind of memberClasses) checkWords(kind, defaults[kind] ?? [], [...path, 'defaults', role, kind], report)
  }
}

function checkOwner({ owner, defaults }: SchemaPolicy, path: Path, report: Report): void {
  if (owner === undefined) {
    if (Object.keys(defaults ?? {}).length > 0)
      report([...path, 'defaults'], 'key', '`defaults` apply to objects that the owner creates: set `owner`')
    return
  }
  if (isPublic(owner)) report([...path, 'owner'], 'value', 'PUBLIC cannot own anything')
  else checkName(owner, [...path, 'owner'], 'value', 'role', report)
}

function checkGrantee(name: string, path: Path, policy: GrantsPolicy, report: Report): void {
  if (isPublic(name) || Object.hasOwn(policy.roles ?? {}, name)) return
  const shown = showIdentifier(name)
  const isTrusted = policy.trustedRoles?.includes(name)
  const problem = isTrusted ? 'is in trustedRoles: its privileges are not checked' : 'is not listed in roles'
  report(path, 'key', `role ${shown} ${problem}`)
}

function checkByName(kind: ObjectClass, privileges: PrivilegesByName, path: Path, report: Report): void {
  if (isList(privileges)) {
    checkWords(kind, privileges, path, report)
    return
  }
  for (const [pattern, words] of Object.entries(privileges)) {
    if (pattern === '') report([...path, pattern], 'key', 'a name or pattern must not be empty')
    checkWords(kind, words, [...path, pattern], report)
  }
}

function checkWords(kind: ObjectClass, words: readonly string[], path: Path, report: Report): void {
  for (const [index, word] of words.entries()) {
    if (isPrivilegeOf(kind, word)) continue
    const known = (privilegeWords as readonly string[]).includes(word)
    const problem = known ? `${word} does not apply to ${nounOf[kind]}` : `${printable(word)} is not a privilege`
    report([...path, index], 'value', `${problem}: use ${privilegesOf[kind].join(', ')}`)
  }
}

const nounOf: Readonly<Record<ObjectClass, string>> = {
  database: 'a database',
  schema: 'a schema',
  tables: 'tables',
  sequences: 'sequences',
  functions: 'functions',
}

function checkNames(names: readonly string[], path: Path, report: Report): void {
  for (const [index, name] of names.entries()) {
    checkRoleName(name, [...path, index], 'value', report)
    if (names.indexOf(name) !== index) report([...path, index], 'value', `role ${showIdentifier(name)} is listed twice`)
  }
}

function checkRoleName(name: string, path: Path, at: PolicyProblem['at'], report: Report): void {
  if (isPublic(name)) report(path, at, 'PUBLIC is not a role: use it only in `grants` and `defaults`')
  else checkName(name, path, at, 'role', report)
}

function checkName(name: string, path: Path, at: PolicyProblem['at'], what: string, report: Report): void {
  if (name === '') report(path, at, `the name of a ${what} must not be empty`)
  if (name.includes('\0')) report(path, at, `the name of a ${what} must not contain a NUL`)
  if (Buffer.byteLength(name) > 63)
    report(path, at, `the name of a ${what} is longer than 63 bytes, the limit of PostgreSQL`)
}

export function isList(privileges: PrivilegesByName): privileges is readonly string[] {
  return Array.isArray(privileges)
}

/** The attributes that a listed role must have. Those that are not set are false. */
export function attributesOf(role: RolePolicy): Record<RoleAttribute, boolean> {
  const entries = roleAttributes.map(attribute => [attribute, role[attribute] ?? false] as const)
  return Object.fromEntries(entries) as Record<RoleAttribute, boolean>
}
