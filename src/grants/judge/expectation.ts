import type { CatalogObject } from '../model/catalog.ts'
import { compilePattern, literalName } from '../model/name-pattern.ts'
import { type Oid, PUBLIC } from '../model/oid.ts'
import { isList, isPublic, type PrivilegesByName, type SchemaPolicy } from '../model/policy.ts'
import { everyRight, type ObjectClass, optionShift, type Rights, rightsOf, withOptions } from '../model/privileges.ts'
import type { ResolvedPolicy } from './resolved-policy.ts'

/** The rights that a policy gives on an object. Objects with equal rights share one expectation. */
export interface Expectation {
  readonly id: number
  readonly direct: ReadonlyMap<Oid, Rights>
  readonly toPublic: Rights
}

const noRights: ReadonlyMap<Oid, Rights> = new Map()
export const nothingExpected: Expectation = { id: -1, direct: noRights, toPublic: 0 }

/** The class of objects in a policy to which a kind belongs. */
export function classOf(kind: CatalogObject['kind']): ObjectClass {
  switch (kind) {
    case 'database':
    case 'schema':
      return kind
    case 'sequence':
      return 'sequences'
    case 'function':
    case 'procedure':
    case 'aggregate':
    case 'window function':
      return 'functions'
    default:
      return 'tables'
  }
}

/** The names by which a policy can refer to an object; for a routine also with arguments: `area(integer, integer)`. */
export function listNames(object: CatalogObject): string[] {
  return object.args === null ? [object.name] : [object.name, `${object.name}(${object.args})`]
}

/** The rights that one pattern gives to one grantee. */
interface Rule {
  readonly grantee: Oid
  readonly rights: Rights
  readonly pattern: string
}

/** The expectations of a schema for the objects of a class, and the patterns that have matched no object so far. */
export interface Expectations {
  of(object: CatalogObject): Expectation
  readonly unmatched: ReadonlySet<string>
}

export function expectGrants(
  schema: SchemaPolicy,
  objects: ObjectClass,
  policy: ResolvedPolicy,
  serverVersion: number,
): Expectations {
  const every = everyRight(objects, serverVersion)
  const onAll: Rule[] = []
  const byName: Rule[] = []
  for (const [name, grants] of Object.entries(schema.grants ?? {})) {
    const grantee = granteeOf(name, policy)
    const given: PrivilegesByName = (objects === 'database' ? undefined : grants[objects]) ?? []
    if (grantee === undefined) continue
    if (isList(given)) onAll.push({ grantee, rights: rightsOf(given) & every, pattern: '*' })
    else
      for (const [pattern, words] of Object.entries(given))
        byName.push({ grantee, rights: rightsOf(words) & every, pattern })
  }
  return matchRules(onAll, byName)
}

export function granteeOf(name: string, policy: ResolvedPolicy): Oid | undefined {
  return isPublic(name) ? PUBLIC : policy.oidOf(name)
}

function matchRules(onAll: readonly Rule[], byName: readonly Rule[]): Expectations {
  const common = { ...sumRules(onAll), id: 0 }
  const byRules = new Map<string, Expectation>([['', common]])
  const unmatched = new Set(byName.map(rule => rule.pattern))
  const literal = Map.groupBy(byName, rule => literalName(rule.pattern))
  const patterns = (literal.get(null) ?? []).map(rule => ({ rule, matches: compilePattern(rule.pattern) }))
  const of = (object: CatalogObject): Expectation => {
    if (byName.length === 0) return common
    const names = listNames(object)
    const rules: Rule[] = []
    for (const name of names) for (const rule of literal.get(name) ?? []) rules.push(rule)
    for (const { rule, matches } of patterns) if (names.some(matches)) rules.push(rule)
    if (rules.length === 0) return common
    for (const { pattern } of rules) unmatched.delete(pattern)
    const key = rules.map(({ grantee, rights }) => `${grantee}:${rights}`).join()
    const known = byRules.get(key)
    if (known) return known
    const made = { ...sumRules([...onAll, ...rules]), id: byRules.size }
    byRules.set(key, made)
    return made
  }
  return { of, unmatched }
}

/** The rights of each grantee from several rules. */
export function sumRules(rules: readonly Pick<Rule, 'grantee' | 'rights'>[]): Omit<Expectation, 'id'> {
  const direct = new Map<Oid, Rights>()
  let toPublic = 0
  for (const { grantee, rights } of rules) {
    if (grantee === PUBLIC) toPublic |= rights
    else direct.set(grantee, (direct.get(grantee) ?? 0) | rights)
  }
  return { direct, toPublic }
}

const everything: Rights = withOptions((1 << optionShift) - 1)

/** All rights that a role may have on an object: its own, those of PUBLIC, and those of roles that it may use. */
export function allowedRights(role: Oid, expected: Expectation, owner: Oid | null, policy: ResolvedPolicy): Rights {
  const usable = policy.mayUse(role)
  if (owner !== null && (role === owner || usable.has(owner))) return everything
  if (policy.mayActAs(role, 'superuser')) return everything
  let rights = expected.toPublic | (expected.direct.get(role) ?? 0)
  for (const used of usable) rights |= expected.direct.get(used) ?? 0
  return rights
}
