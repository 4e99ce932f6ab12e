import { classOf } from '../judge/expectation.ts'
import type { CatalogObject, DefaultAcl, Membership, RoleAttribute } from '../model/catalog.ts'
import { quoteArguments, quoteIdentifier } from '../model/identifiers.ts'
import { type Oid, PUBLIC } from '../model/oid.ts'
import { type ObjectClass, type Rights, wordsOf } from '../model/privileges.ts'

type NameOf = (role: Oid) => string

export function writeCreateRole(name: string, attributes: readonly RoleAttribute[]): string {
  return `CREATE ROLE ${quoteIdentifier(name)}${attributes.map(attribute => ` ${attribute.toUpperCase()}`).join('')}`
}

export function writeAlterRole(role: string, attribute: RoleAttribute, value: boolean): string {
  return `ALTER ROLE ${quoteIdentifier(role)} ${value ? '' : 'NO'}${attribute.toUpperCase()}`
}

export function writeCreateSchema(name: string, owner: string): string {
  return `CREATE SCHEMA ${quoteIdentifier(name)} AUTHORIZATION ${quoteIdentifier(owner)}`
}

export function writeAlterOwner(object: CatalogObject, owner: string): string {
  return `ALTER ${alterWord(object)} ${objectName(object)} OWNER TO ${quoteIdentifier(owner)}`
}

type MembershipOptions = Pick<Membership, 'inherit' | 'set'>

/** Without a member: the current user. Without options: those of the server. */
export function writeGrantMembership(role: string, member: string | null, options: MembershipOptions | null): string {
  const word = (value: boolean) => (value ? 'TRUE' : 'FALSE')
  const how = options ? ` WITH INHERIT ${word(options.inherit)}, SET ${word(options.set)}` : ''
  return `GRANT ${quoteIdentifier(role)} TO ${memberName(member)}${how}`
}

/** Without a member: the current user. With a grantor: CASCADE. */
export function writeRevokeMembership(
  { role, member, grantor }: { role: string; member: string | null; grantor: string | null },
  what: '' | 'ADMIN OPTION FOR ' = '',
): string {
  const by = grantor === null ? '' : ` GRANTED BY ${quoteIdentifier(grantor)} CASCADE`
  return `REVOKE ${what}${quoteIdentifier(role)} FROM ${memberName(member)}${by}`
}

function memberName(member: string | null): string {
  return member === null ? 'CURRENT_USER' : quoteIdentifier(member)
}

/** A GRANT or REVOKE of default privileges. None if there are no rights. */
export function writeAlterDefaults(
  { role, schema, objects }: Omit<DefaultAcl, 'acl'>,
  verb: 'GRANT' | 'REVOKE' | 'REVOKE GRANT OPTION FOR',
  rights: Rights,
  grantee: Oid,
  nameOf: NameOf,
): string[] {
  if (rights === 0) return []
  const where = schema === null ? '' : ` IN SCHEMA ${quoteIdentifier(schema)}`
  const to = verb === 'GRANT' ? `TO ${granteeName(grantee, nameOf)}` : `FROM ${granteeName(grantee, nameOf)} CASCADE`
  const what = `${verb} ${wordsOf(rights).join(', ')} ON ${defaultsWord[objects]} ${to}`
  return [`ALTER DEFAULT PRIVILEGES FOR ROLE ${quoteIdentifier(nameOf(role))}${where} ${what}`]
}

/** Runs statements as a role, except changes of owner. */
export function writeAsRole(role: string, statements: readonly string[]): string[] {
  const [become, cease] = [`SET LOCAL ROLE ${quoteIdentifier(role)}`, 'RESET ROLE']
  const inTurn = statements.flatMap(sql => (sql.startsWith('ALTER ') ? [cease, sql, become] : [sql]))
  return [become, ...inTurn, cease]
}

/** A GRANT or REVOKE on one object, run as its owner, or a change of owner. */
export interface PrivilegeStep {
  readonly verb: 'GRANT' | 'REVOKE' | 'OWNER TO'
  readonly rights: Rights
  /** Only the grant option, or the privilege with or without it. */
  readonly option: 'only' | 'with' | 'without'
  /** For a change of owner, the new owner. */
  readonly grantee: Oid
  readonly cascade: boolean
  readonly object: CatalogObject
  readonly columns: readonly string[] | null
}

const objectsPerStatement = 100

/** As few statements as possible: equal steps on several objects become one. The order per object stays. */
export function writePrivileges(stepsOfObjects: readonly (readonly PrivilegeStep[])[], nameOf: NameOf): string[] {
  const rounds = Math.max(0, ...stepsOfObjects.map(steps => steps.length))
  const statements: string[] = []
  for (let round = 0; round < rounds; round++) {
    const alike = Map.groupBy(
      stepsOfObjects.flatMap(steps => steps[round] ?? []),
      ({ verb, rights, option, grantee, cascade, object, columns }) =>
        verb === 'OWNER TO'
          ? `${classOf(object.kind)} ${object.oid} ${grantee}`
          : `${verb} ${rights} ${option} ${grantee} ${cascade} ${classOf(object.kind)} ${JSON.stringify(columns)}`,
    )
    for (const steps of alike.values()) {
      for (let at = 0; at < steps.length; at += objectsPerStatement)
        statements.push(renderAlike(steps.slice(at, at + objectsPerStatement), nameOf))
    }
  }
  return statements
}

function renderAlike(steps: readonly PrivilegeStep[], nameOf: NameOf): string {
  const [first] = steps
  if (!first) return ''
  const { verb, rights, option, cascade, columns, object, grantee } = first
  if (verb === 'OWNER TO') return writeAlterOwner(object, nameOf(grantee))
  const only = verb === 'REVOKE' && option === 'only' ? 'GRANT OPTION FOR ' : ''
  const names = steps.map(one => objectName(one.object))
  const list = names.length === 1 ? ` ${names.join()}` : `\n  ${names.join(',\n  ')}\n `
  const what = `${only}${privilegeList(wordsOf(rights), columns)} ON ${grantWord[classOf(object.kind)]}${list}`
  const who = granteeName(grantee, nameOf)
  if (verb === 'GRANT') return `GRANT ${what} TO ${who}${option === 'with' ? ' WITH GRANT OPTION' : ''}`
  return `REVOKE ${what} FROM ${who}${cascade ? ' CASCADE' : ''}`
}

/** The name of an object in SQL, without the keyword for its kind. */
function objectName(object: CatalogObject): string {
  if (object.kind === 'schema' || object.kind === 'database') return quoteIdentifier(object.name)
  const name = `${quoteIdentifier(object.schema)}.${quoteIdentifier(object.name)}`
  return object.args === null ? name : `${name}(${quoteArguments(object.args)})`
}

/** The keyword for a class of objects in GRANT and REVOKE. */
const grantWord: Readonly<Record<ObjectClass, string>> = {
  database: 'DATABASE',
  schema: 'SCHEMA',
  tables: 'TABLE',
  sequences: 'SEQUENCE',
  functions: 'ROUTINE',
}

/** The keyword for a class of objects in ALTER DEFAULT PRIVILEGES. */
const defaultsWord = { tables: 'TABLES', sequences: 'SEQUENCES', functions: 'ROUTINES' } as const

/** The keyword for a kind of object in ALTER ... OWNER TO. */
function alterWord({ kind }: CatalogObject): string {
  switch (kind) {
    case 'partitioned table':
      return 'TABLE'
    case 'view':
    case 'table':
    case 'materialized view':
    case 'foreign table':
    case 'sequence':
    case 'schema':
    case 'database':
      return kind.toUpperCase()
    default:
      return grantWord[classOf(kind)]
  }
}

/** A list of privileges, each with the same columns, if any. */
function privilegeList(words: readonly string[], columns: readonly string[] | null): string {
  const on = columns === null ? '' : ` (${columns.map(quoteIdentifier).join(', ')})`
  return words.map(word => `${word}${on}`).join(', ')
}

function granteeName(grantee: Oid, nameOf: NameOf): string {
  return grantee === PUBLIC ? 'PUBLIC' : quoteIdentifier(nameOf(grantee))
}
