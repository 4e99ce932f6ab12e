import { classOf } from '../../src/grants/judge/expectation.ts'
import { type Acl, type AclEntry, createAclPool } from '../../src/grants/model/acl.ts'
import {
  type Catalog,
  type CatalogObject,
  type CatalogRole,
  type Membership,
  type ObjectKind,
  roleAttributes,
} from '../../src/grants/model/catalog.ts'
import { bootstrapSuperuser, type Oid, PUBLIC } from '../../src/grants/model/oid.ts'
import { everyRight, type Rights, rightsOf } from '../../src/grants/model/privileges.ts'
import type { ObservedServer } from '../../src/probes/probe.ts'

export const serverVersion = 180000

/** The primary of the governed database. */
export const primary: ObservedServer = {
  identity: { oid: 1, name: 'app', systemIdentifier: '7', timeline: 1, startedAt: '1.000001', isReplica: false },
  asOf: 0,
}

/** The policy of every config of the fuzz tests; some also govern `other`, or trust `mallory`. */
export const policy = {
  roles: { owner: {}, rw: { members: ['app'] }, ro: {} },
  trustedRoles: ['postgres'],
  schemas: {
    s: {
      owner: 'owner',
      relations: ['t', 'tv'],
      grants: {
        rw: { schema: ['USAGE'], tables: ['SELECT', 'INSERT'], sequences: ['USAGE'], functions: ['EXECUTE'] },
        ro: { schema: ['USAGE'], tables: { 't*': ['SELECT'] } },
      },
      defaults: { rw: { tables: ['SELECT'] } },
    },
  },
} as const

export const [owner, rw, ro, app, mallory, team] = [100, 101, 102, 103, 104, 105] as const
export const [postgres, databaseOwners, readers] = [bootstrapSuperuser, 6171, 6181] as const

function role(oid: Oid, name: string, change: Partial<CatalogRole> = {}): CatalogRole {
  const none = {
    login: false,
    superuser: false,
    createRole: false,
    createDb: false,
    replication: false,
    bypassRls: false,
  }
  return { oid, name, inherit: true, ...none, ...change }
}

export function member(of: Oid, who: Oid, change: Partial<Membership> = {}): Membership {
  return { role: of, member: who, grantor: bootstrapSuperuser, inherit: true, set: true, admin: false, ...change }
}

export function entry(grantee: Oid, words: readonly string[], grantor: Oid = owner): AclEntry {
  return { grantee, grantor, rights: rightsOf(words) }
}

export function object(
  oid: Oid,
  kind: ObjectKind,
  name: string,
  others: readonly AclEntry[],
  who: Oid = owner,
): CatalogObject {
  const own = { grantee: who, grantor: who, rights: everyRight(classOf(kind), serverVersion) }
  const args = classOf(kind) === 'functions' ? 'integer' : null
  const schema = kind === 'schema' ? name : kind === 'database' ? '' : 's'
  return { oid, kind, schema, name, args, owner: who, acl: [own, ...others], columns: null, ownedBy: null }
}

const tableRights = [entry(rw, ['SELECT', 'INSERT']), entry(ro, ['SELECT'])]

export const healthy: Catalog = {
  serverVersion,
  currentRole: postgres,
  database: object(1, 'database', 'app', [entry(PUBLIC, ['CONNECT', 'TEMPORARY'], postgres)], postgres),
  roles: [
    role(postgres, 'postgres', { superuser: true, createRole: true }),
    ...[role(owner, 'owner'), role(rw, 'rw'), role(ro, 'ro'), role(app, 'app'), role(mallory, 'mallory')],
    ...[role(team, 'team'), role(databaseOwners, 'pg_database_owner'), role(readers, 'pg_read_all_data')],
  ],
  memberships: [member(rw, app)],
  schemas: new Map([
    [
      's',
      {
        self: object(2, 'schema', 's', [entry(rw, ['USAGE']), entry(ro, ['USAGE'])]),
        objects: [
          object(10, 'table', 't', tableRights),
          object(11, 'partitioned table', 't2', tableRights),
          object(12, 'view', 'tv', tableRights),
          { ...object(13, 'sequence', 'c', [entry(rw, ['USAGE'])]), ownedBy: 10 },
          object(10, 'function', 'f', [entry(rw, ['EXECUTE'])]),
        ],
      },
    ],
    ['other', { self: object(3, 'schema', 'other', [], postgres), objects: [] }],
  ]),
  defaultAcls: [{ role: owner, schema: 's', objects: 'tables', acl: [entry(rw, ['SELECT'])] }],
  doors: [],
}

/** The same catalog if one role had granted everything. */
export function grantedByOne(catalog: Catalog): Catalog {
  return interned(catalog, acl =>
    [...new Set(acl.map(({ grantee }) => grantee))].map(grantee => {
      const entries = acl.filter(entry => entry.grantee === grantee)
      return { grantee, grantor: postgres, rights: entries.reduce((sum, { rights }) => sum | rights, 0) }
    }),
  )
}

/** With one object for equal ACLs, as the reader returns them. */
export function interned(catalog: Catalog, change: (acl: Acl) => Acl = acl => acl): Catalog {
  const pool = createAclPool(catalog.serverVersion, () => undefined)
  const intern = (acl: Acl) => pool.intern(change(acl))
  const whole = (object: CatalogObject): CatalogObject => ({
    ...object,
    acl: intern(object.acl),
    columns: object.columns && new Map([...object.columns].map(([name, acl]) => [name, intern(acl)])),
  })
  const schemas = [...catalog.schemas].map(
    ([name, { self, objects }]) => [name, { self: whole(self), objects: objects.map(whole) }] as const,
  )
  return {
    ...catalog,
    database: whole(catalog.database),
    schemas: new Map(schemas),
    defaultAcls: catalog.defaultAcls.map(each => ({ ...each, acl: intern(each.acl) })),
    doors: catalog.doors.map(door => ({ ...door, object: whole(door.object) })),
  }
}

/** The obvious differences between a catalog and the policy, without indirect routes. */
export function whyNotAsThePolicySays(catalog: Catalog, trusted: readonly string[]): string | null {
  const byName = new Map(catalog.roles.map(role => [role.name, role]))
  for (const name of Object.keys(policy.roles)) {
    const role = byName.get(name)
    if (!role || roleAttributes.some(attribute => role[attribute])) return `${name} is missing, or has more attributes`
  }
  const joined = catalog.memberships.filter(({ role }) => role === owner || role === rw || role === ro)
  const members = joined.filter(
    ({ member }) => member !== postgres && !(trusted.includes('mallory') && member === mallory),
  )
  if (members.some(({ role, member }) => role !== rw || member !== app)) return 'an unexpected member'
  if (!members.some(({ inherit, set }) => inherit || set)) return 'app is not a member'
  const { self, objects } = catalog.schemas.get('s') ?? { objects: [] }
  if (!self) return 'the schema is missing'
  const isJudged = (oid: Oid) =>
    oid === PUBLIC ||
    catalog.roles.some(role => role.oid === oid && !trusted.includes(role.name) && !role.name.startsWith('pg_'))
  for (const object of [self, ...objects]) {
    if (object.owner !== owner) return `${object.name} has another owner`
    for (const { grantee, rights } of [object.acl, ...(object.columns?.values() ?? [])].flat()) {
      const isGiven = grantee === owner || (rights & ~givenOn(object, grantee)) === 0
      if (!isGiven && isJudged(grantee)) return `${grantee} has rights on ${object.name}`
    }
  }
  return null
}

function givenOn({ kind, name }: CatalogObject, role: Oid): Rights {
  const objects = classOf(kind)
  if (role === rw || role === app) return rightsOf(policy.schemas.s.grants.rw[objects as 'tables'])
  if (role !== ro) return 0
  if (objects === 'schema') return rightsOf(['USAGE'])
  return objects === 'tables' && name.startsWith('t') ? rightsOf(['SELECT']) : 0
}
