import type { PostgresSession } from '../clients/postgres/postgres-connection.ts'
import { classOf } from '../grants/judge/expectation.ts'
import { type Acl, type AclPool, createAclPool, type OnUnknown } from '../grants/model/acl.ts'
import {
  type Catalog,
  type CatalogObject,
  type CatalogRole,
  type DefaultAcl,
  type Door,
  type GovernedSchema,
  type Membership,
  relationKinds,
  routineKinds,
} from '../grants/model/catalog.ts'
import type { Oid } from '../grants/model/oid.ts'
import type { GrantsPolicy } from '../grants/model/policy.ts'
import {
  type ColumnRow,
  columnsQuery,
  type DefaultAclRow,
  defaultAclsQuery,
  definerFunctionsQuery,
  type MembershipRow,
  membershipsQuery,
  parentDoorsQuery,
  type RelationRow,
  type RoleRow,
  type RoutineRow,
  relationsQuery,
  rolesQuery,
  routinesQuery,
  type SchemaNameRow,
  type SchemaRow,
  schemaNamesQuery,
  schemasQuery,
  type ViewDoorRow,
  viewDoorsQuery,
} from './catalog-queries.ts'
import { readServer, type SessionServer } from './read-server.ts'

/** The part of a catalog to read, by name. */
export interface CatalogScope {
  readonly schemas: readonly string[]
  /** The roles whose views, parent tables and functions elsewhere count as doors. */
  readonly roles: readonly string[]
}

/** The schemas and roles of a policy. Members have the privileges of their roles, so their doors count too. */
export function scopeOf({ schemas = {}, roles = {} }: GrantsPolicy): CatalogScope {
  const members = Object.values(roles).flatMap(role => role.members ?? [])
  return { schemas: Object.keys(schemas), roles: [...new Set([...Object.keys(roles), ...members])] }
}

/**
 * Reads the scope in the transaction of the session. Rejects with UNRECOGNIZED_VALUE if the catalog has a privilege that
 * this version does not know. With `onUnknown` it does not reject, and only the privileges in the catalog are unusable.
 * Reads the server too, unless it is `known`.
 */
export async function readCatalog(
  session: PostgresSession,
  scope: CatalogScope,
  onUnknown?: OnUnknown,
  known?: SessionServer,
): Promise<Catalog> {
  const server = known ?? (await readServer(session))
  const roles = (await session.rows<RoleRow>(rolesQuery)).map(readRole)
  const oids = new Map(roles.map(({ name, oid }) => [name, oid]))
  const pool = createAclPool(server.version, name => oids.get(name), onUnknown)
  const memberships = (await session.rows<MembershipRow>(membershipsQuery(server.version))).map(readMembership)
  const schemas = await session.rows<SchemaRow>(schemasQuery, [scope.schemas])
  const governed = schemas.map(([oid]) => oid)
  const listed = scope.roles.flatMap(name => oids.get(name) ?? [])
  const doors = [
    ...(await session.rows<ViewDoorRow>(viewDoorsQuery, [governed, listed])),
    ...(await session.rows<ViewDoorRow>(parentDoorsQuery, [governed, listed])),
  ]
  const functions = await session.rows<RoutineRow>(definerFunctionsQuery, [governed, listed])
  const columns = await readColumns(session, { governed, relations: doors.map(([oid]) => oid) }, pool)
  return {
    serverVersion: server.version,
    currentRole: server.currentRole,
    roles,
    memberships,
    database: databaseObject(server, pool),
    schemas: await readSchemas(session, schemas, columns, pool),
    defaultAcls: await readDefaultAcls(session, schemas, pool),
    doors: [
      ...relationDoors(doors, columns, pool),
      ...functions.map(row => ({ object: routine(row, pool), reads: [] })),
    ],
  }
}

/** The names of all schemas that a policy can govern. */
export async function readSchemaNames(session: PostgresSession): Promise<string[]> {
  return (await session.rows<SchemaNameRow>(schemaNamesQuery)).map(([name]) => name)
}

const bare = { args: null, columns: null, ownedBy: null } as const

function databaseObject({ database, acl }: SessionServer, pool: AclPool): CatalogObject {
  return { ...bare, ...database, kind: 'database', schema: '', acl: pool.read(acl, 'database', database.owner) }
}

function readRole(row: RoleRow): CatalogRole {
  const [oid, name, login, superuser, createRole, createDb, replication, bypassRls, inherit] = row
  return { oid, name, login, superuser, createRole, createDb, replication, bypassRls, inherit }
}

function readMembership([role, member, grantor, inherit, set, admin]: MembershipRow): Membership {
  return { role, member, grantor, inherit, set, admin }
}

type Columns = ReadonlyMap<Oid, ReadonlyMap<string, Acl>>

async function readColumns(
  session: PostgresSession,
  of: { governed: readonly Oid[]; relations: readonly Oid[] },
  pool: AclPool,
): Promise<Columns> {
  const columns = new Map<Oid, Map<string, Acl>>()
  await session.each<ColumnRow>(columnsQuery, [of.governed, of.relations], ([relation, name, acl]) => {
    const known = columns.get(relation) ?? new Map<string, Acl>()
    columns.set(relation, known.set(name, pool.read(acl, 'tables', 0)))
  })
  return columns
}

async function readSchemas(
  session: PostgresSession,
  rows: readonly SchemaRow[],
  columns: Columns,
  pool: AclPool,
): Promise<Map<string, GovernedSchema>> {
  const names = new Map(rows.map(([oid, name]) => [oid, name]))
  const objects = new Map(rows.map(([, name]) => [name, [] as CatalogObject[]]))
  const governed = [...names.keys()]
  await session.each<RelationRow>(relationsQuery, [governed], row => {
    const [oid, namespace, name, letter, owner, acl, ownedBy] = row
    const schema = names.get(namespace) ?? ''
    const kind = relationKind(letter)
    const own = { oid, kind, schema, name, owner, args: null, ownedBy, columns: columns.get(oid) ?? null }
    objects.get(schema)?.push({ ...own, acl: pool.read(acl, classOf(kind), owner) })
  })
  await session.each<RoutineRow>(routinesQuery, [governed], row => {
    const object = routine(row, pool)
    objects.get(object.schema)?.push(object)
  })
  return new Map(
    rows.map(([oid, name, owner, acl]) => {
      const own = { oid, kind: 'schema', schema: name, name, owner } as const
      const self = { ...bare, ...own, acl: pool.read(acl, 'schema', owner) }
      return [name, { self, objects: objects.get(name) ?? [] }]
    }),
  )
}

function relationKind(letter: string): CatalogObject['kind'] {
  return relationKinds[letter as keyof typeof relationKinds] ?? 'table'
}

function routine([oid, schema, name, letter, owner, acl, args]: RoutineRow, pool: AclPool): CatalogObject {
  const kind = routineKinds[letter as keyof typeof routineKinds] ?? 'function'
  return { ...bare, oid, kind, schema, name, args, owner, acl: pool.read(acl, 'functions', owner) }
}

const defaultObjects = { r: 'tables', S: 'sequences', f: 'functions' } as const

async function readDefaultAcls(
  session: PostgresSession,
  schemas: readonly SchemaRow[],
  pool: AclPool,
): Promise<DefaultAcl[]> {
  const names = new Map(schemas.map(([oid, name]) => [oid, name]))
  const rows = await session.rows<DefaultAclRow>(defaultAclsQuery, [[...names.keys()]])
  return rows.map(([role, namespace, letter, acl]) => {
    const objects = defaultObjects[letter as keyof typeof defaultObjects]
    return { role, schema: names.get(namespace) ?? null, objects, acl: pool.read(acl, objects, role) }
  })
}

/** Combines the rows of a view or parent table into one door. */
function relationDoors(rows: readonly ViewDoorRow[], columns: Columns, pool: AclPool): Door[] {
  return [...Map.groupBy(rows, ([oid]) => oid).values()].flatMap(ofView => {
    const [first] = ofView
    if (!first) return []
    const [oid, schema, name, letter, owner, text] = first
    const own = { oid, kind: relationKind(letter), schema, name, owner, columns: columns.get(oid) ?? null }
    const object = { ...bare, ...own, acl: pool.read(text, 'tables', owner) }
    return [{ object, reads: ofView.map(row => ({ relation: row[6], as: row[7] })) }]
  })
}
