import { implicitMemberships } from '../judge/effective-roles.ts'
import { classOf } from '../judge/expectation.ts'
import { type Acl, type AclEntry, type AclPool, changeOwner, createAclPool, type Inherited } from '../model/acl.ts'
import type { Catalog, CatalogObject, CatalogRole, DefaultAcl, Membership } from '../model/catalog.ts'
import type { Oid } from '../model/oid.ts'
import { everyRight } from '../model/privileges.ts'
import { reachRoles } from '../model/reach-roles.ts'

/** A catalog that a plan changes in the same way as its statements will change the database. */
export interface Draft {
  /** A copy of the current state for a comparison. The other members are cheaper for a single object. */
  catalog(): Catalog
  readonly memberships: readonly Membership[]
  role(oid: Oid): CatalogRole | undefined
  roleNamed(name: string): CatalogRole | undefined
  database(): CatalogObject
  schema(name: string): CatalogObject | undefined
  object(like: CatalogObject): CatalogObject
  /** The table that owns a sequence. */
  tableOf(sequence: CatalogObject): CatalogObject | undefined
  defaultAcl(like: Omit<DefaultAcl, 'acl'>): DefaultAcl
  readonly inherited: Inherited
  setAcl(object: CatalogObject, entries: readonly AclEntry[]): void
  setColumnAcl(object: CatalogObject, column: string, entries: readonly AclEntry[]): void
  /** Also changes the sequences that belong to a table. */
  setOwner(object: CatalogObject, owner: Oid): void
  addRole(role: Omit<CatalogRole, 'oid'>): CatalogRole
  setRole(role: CatalogRole): void
  setMemberships(memberships: readonly Membership[]): void
  addSchema(name: string, owner: Oid): void
  setDefaultAcl(entry: DefaultAcl): void
}

/** Routines have an OID sequence of their own. */
const keyOf = ({ kind, oid }: CatalogObject): string => `${classOf(kind)} ${oid}`

export function createDraft(start: Catalog): Draft {
  const pool = createAclPool(start.serverVersion, () => undefined)
  const changed = new Map<string, CatalogObject>()
  const roles = new Map(start.roles.map(role => [role.oid, role]))
  const schemas = new Map(start.schemas)
  const inheritedBy = new Map<Oid, ReadonlySet<Oid>>()
  const index = indexOwnedSequences(start)
  let { memberships, defaultAcls } = start
  let nextOid = -2
  const current = (object: CatalogObject): CatalogObject => changed.get(keyOf(object)) ?? object
  const put = (object: CatalogObject) => changed.set(keyOf(object), object)
  return {
    catalog: () => ({
      ...start,
      roles: [...roles.values()],
      memberships,
      defaultAcls,
      database: current(start.database),
      schemas: new Map(
        [...schemas].map(([name, { self, objects }]) => [name, { self: current(self), objects: objects.map(current) }]),
      ),
      doors: start.doors.map(door => ({ ...door, object: current(door.object) })),
    }),
    get memberships() {
      return memberships
    },
    role: oid => roles.get(oid),
    roleNamed: name => [...roles.values()].find(role => role.name === name),
    database: () => current(start.database),
    schema(name) {
      const known = schemas.get(name)?.self
      return known && current(known)
    },
    object: current,
    tableOf: ({ ownedBy }) => (ownedBy === null ? undefined : index.tables.get(ownedBy)),
    defaultAcl: like => defaultAcls.find(known => isSameEntry(known, like)) ?? { ...like, acl: [] },
    inherited(role) {
      if (roles.get(role)?.superuser) return null
      const known = inheritedBy.get(role)
      if (known) return known
      const edges = [...memberships, ...implicitMemberships({ ...start, database: current(start.database) })]
      const reached = reachRoles(
        role,
        () => edges,
        edge => edge.inherit,
      )
      inheritedBy.set(role, reached)
      return reached
    },
    setAcl: (object, entries) => put({ ...current(object), acl: pool.intern(entries) }),
    setColumnAcl(object, column, entries) {
      const now = current(object)
      put({ ...now, columns: new Map(now.columns).set(column, pool.intern(entries)) })
    },
    setOwner(object, owner) {
      put(changeOwnerOf(current(object), owner, pool))
      if (object.kind === 'database') inheritedBy.clear()
      if (classOf(object.kind) !== 'tables') return
      for (const other of index.sequences.get(object.oid) ?? []) put(changeOwnerOf(current(other), owner, pool))
    },
    addRole(role) {
      const created = { ...role, oid: nextOid-- }
      roles.set(created.oid, created)
      return created
    },
    setRole: role => roles.set(role.oid, role),
    setMemberships(next) {
      inheritedBy.clear()
      memberships = next
    },
    addSchema(name, owner) {
      const acl = pool.intern([{ grantee: owner, grantor: owner, rights: everyRight('schema', start.serverVersion) }])
      const kind = 'schema' as const
      const self = { oid: nextOid--, kind, schema: name, name, args: null, columns: null, ownedBy: null, owner, acl }
      schemas.set(name, { self, objects: [] })
    },
    setDefaultAcl(entry) {
      const others = defaultAcls.filter(known => !isSameEntry(known, entry))
      const isEmpty = entry.acl.every(({ rights }) => rights === 0)
      defaultAcls = isEmpty && entry.schema !== null ? others : [...others, entry]
    },
  }
}

/** The sequences by the table that owns them, and these tables. */
function indexOwnedSequences({ schemas }: Catalog) {
  const objects = [...schemas.values()].flatMap(schema => schema.objects)
  const sequences = Map.groupBy(
    objects.filter(({ ownedBy }) => ownedBy !== null),
    ({ ownedBy }) => ownedBy ?? 0,
  )
  const isTable = ({ kind, oid }: CatalogObject) => classOf(kind) === 'tables' && sequences.has(oid)
  return { sequences, tables: new Map(objects.filter(isTable).map(table => [table.oid, table])) }
}

function isSameEntry(one: DefaultAcl, other: Omit<DefaultAcl, 'acl'>): boolean {
  return one.role === other.role && one.schema === other.schema && one.objects === other.objects
}

function changeOwnerOf(object: CatalogObject, owner: Oid, pool: AclPool): CatalogObject {
  const inherit = (acl: Acl) => pool.intern(changeOwner(acl, object.owner, owner))
  const columns = object.columns && new Map([...object.columns].map(([name, acl]) => [name, inherit(acl)]))
  return { ...object, owner, acl: inherit(object.acl), columns }
}
