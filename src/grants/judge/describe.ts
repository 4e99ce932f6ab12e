import { printable } from '../../printable.ts'
import type { CatalogObject } from '../model/catalog.ts'
import { showIdentifier } from '../model/identifiers.ts'
import { type Oid, PUBLIC } from '../model/oid.ts'
import { describeRights, type ObjectClass } from '../model/privileges.ts'
import type { DefaultDiscrepancy, Discrepancy, RightDiscrepancy } from './discrepancy.ts'
import type { Route, Unbounded } from './effective-roles.ts'
import { classOf } from './expectation.ts'
import type { JudgementContext } from './judge-rights.ts'

/** A discrepancy as text. `path` is the part of the policy that it concerns. */
export interface Description {
  readonly path: string
  readonly kind: 'missing' | 'unexpected' | 'changed'
  readonly expected: string | null
  readonly actual: string | null
  /** How the role got the privilege: `PUBLIC`, `member of a → b`, `owner`. */
  readonly via: string | null
  /** The objects of a description of several; empty if it names its only object. */
  readonly objects: readonly CatalogObject[]
  readonly count: number
}

type Fields = Pick<Description, 'path' | 'kind' | 'expected' | 'actual' | 'via'> & Partial<Description>

export function describeDiscrepancy(found: Discrepancy, context: JudgementContext): Description {
  return { objects: [], count: 1, ...describeFields(found, context) }
}

function describeFields(found: Discrepancy, context: JudgementContext): Fields {
  const name = (role: Oid) => showRole(role, context)
  switch (found.type) {
    case 'role-missing':
      return missing(`roles.${showIdentifier(found.name)}`, `role ${showIdentifier(found.name)}`)
    case 'attribute': {
      const path = `roles.${name(found.role)}.${found.attribute}`
      return { path, kind: 'changed', expected: String(found.expected), actual: String(!found.expected), via: null }
    }
    case 'member-missing':
      return missing(
        `roles.${name(found.role)}.members`,
        `${showIdentifier(found.member)} is a member of ${name(found.role)}`,
      )
    case 'member-unexpected': {
      const actual = `${name(found.member)} is a member of ${name(found.role)}`
      return unexpected(`roles.${name(found.role)}.members`, actual, showRoute(found.route, name))
    }
    case 'member-admin': {
      const actual = `${name(found.member)} can grant membership in ${name(found.role)}`
      return unexpected(`roles.${name(found.role)}.members`, actual, 'ADMIN option')
    }
    case 'unbounded': {
      const actual = `${name(found.role)} has every privilege on every object`
      return unexpected(`roles.${name(found.role)}.${found.as}`, actual, showUnbounded(found, name))
    }
    case 'schema-missing':
      return missing(`schemas.${showIdentifier(found.name)}`, `schema ${showIdentifier(found.name)}`)
    case 'owner':
      return {
        path: `schemas.${showIdentifier(found.schema)}.owner`,
        kind: 'changed',
        expected: name(found.expected),
        actual: `${name(found.actual)} owns ${showTargets(found.objects, found.schema, [found.targets])}`,
        via: 'owner',
        ...listObjects([found.targets]),
      }
    case 'right':
      return describeRight(found, context)
    case 'default':
      return describeDefault(found, context)
  }
}

function missing(path: string, expected: string): Fields {
  return { path, kind: 'missing', expected, actual: null, via: null }
}

function unexpected(path: string, actual: string, via: string | null): Fields {
  return { path, kind: 'unexpected', expected: null, actual, via }
}

function describeRight(found: RightDiscrepancy, context: JudgementContext): Fields {
  const name = (role: Oid) => showRole(role, context)
  const columns = found.columns ? ` (${found.columns.map(showIdentifier).join(', ')})` : ''
  const on = showTargets(found.objects, found.schema, found.targets)
  const door = found.door ? `, which ${found.door}` : ''
  const text = `${name(found.holder)} has ${describeRights(found.rights)}${columns} on ${on}${door}`
  const path = rightPath(found, name(found.holder))
  const objects = listObjects(found.targets)
  if (found.kind === 'missing') return { ...missing(path, text), ...objects }
  return { ...unexpected(path, text, showVia(found, name)), ...objects }
}

function rightPath({ objects, schema, door }: RightDiscrepancy, holder: string): string {
  if (objects === 'database') return `roles.${holder}.database`
  return `schemas.${showIdentifier(schema)}.${door ? 'doors' : 'grants'}.${holder}.${objects}`
}

function showVia({ source, route }: RightDiscrepancy, name: (role: Oid) => string): string | null {
  const by = route && route.path.length > 0 ? showRoute(route, name) : null
  switch (source) {
    case 'public':
      return 'PUBLIC'
    case 'owner':
      return by === null ? 'owner' : `${by}, the owner`
    default:
      return by ?? 'direct grant'
  }
}

function showRoute({ path, by }: Route, name: (role: Oid) => string): string {
  const how = { inherit: '', set: ' by SET ROLE', admin: ' by its ADMIN option' }[by]
  return `member of ${path.map(name).join(' → ')}${how}`
}

function showUnbounded({ as, route }: Omit<Unbounded, 'role'>, name: (role: Oid) => string): string {
  if (as === 'superuser') return route.path.length === 0 ? 'superuser' : `${showRoute(route, name)}, a superuser`
  const how = 'which can join any role before PostgreSQL 16'
  return route.path.length === 0 ? `CREATEROLE, ${how}` : `${showRoute(route, name)}, which has CREATEROLE`
}

function describeDefault(found: DefaultDiscrepancy, context: JudgementContext): Fields {
  const name = (role: Oid) => showRole(role, context)
  const where = found.everywhere ? 'in every schema' : `in ${showIdentifier(found.schema)}`
  const text = `${name(found.holder)} has ${describeRights(found.rights)} on ${found.objects} that ${name(found.role)} will create ${where}`
  const path = `schemas.${showIdentifier(found.schema)}.defaults.${name(found.holder)}.${found.objects}`
  if (found.kind === 'missing') return missing(path, text)
  const by = found.route && found.route.path.length > 0 ? `, ${showRoute(found.route, name)}` : ''
  return unexpected(path, text, `default privileges of ${name(found.role)}${by}`)
}

function listObjects(targets: readonly (readonly CatalogObject[])[]): Pick<Description, 'objects' | 'count'> {
  const count = targets.reduce((sum, list) => sum + list.length, 0)
  return { count, objects: count > 1 ? targets.flat() : [] }
}

/** `table runtime.events`, or `214 tables in runtime`. */
function showTargets(objects: ObjectClass, schema: string, targets: readonly (readonly CatalogObject[])[]): string {
  const count = targets.reduce((sum, list) => sum + list.length, 0)
  const first = targets.find(list => list.length > 0)?.[0]
  return count === 1 && first
    ? `${first.kind} ${showObject(first)}`
    : `${count} ${objects} in ${showIdentifier(schema)}`
}

export function showObject(object: CatalogObject): string {
  if (classOf(object.kind) === 'schema' || classOf(object.kind) === 'database') return showIdentifier(object.name)
  const args = object.args === null ? '' : `(${printable(object.args)})`
  return `${showIdentifier(object.schema)}.${showIdentifier(object.name)}${args}`
}

/** PUBLIC without quotes; a role of that name is quoted. */
export function showRole(role: Oid, { policy }: JudgementContext): string {
  return role === PUBLIC ? 'PUBLIC' : showIdentifier(policy.roleOf(role)?.name ?? String(role))
}

/** A description as one line: `missing: role a`. */
export function describeInLine({ kind, expected, actual, via, path }: Description): string {
  const route = via === null ? '' : ` (via ${via})`
  if (kind === 'missing') return `missing: ${expected}`
  if (kind === 'unexpected') return `unexpected: ${actual}${route}`
  return `changed: ${path}: expected ${expected}, actual ${actual}`
}
