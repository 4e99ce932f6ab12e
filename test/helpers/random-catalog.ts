import fc from 'fast-check'
import { classOf } from '../../src/grants/judge/expectation.ts'
import type { AclEntry } from '../../src/grants/model/acl.ts'
import {
  type Catalog,
  type CatalogObject,
  type CatalogRole,
  type DefaultAcl,
  type Membership,
  type ObjectKind,
  roleAttributes,
} from '../../src/grants/model/catalog.ts'
import { PUBLIC } from '../../src/grants/model/oid.ts'
import { everyRight, type ObjectClass, optionShift, type Rights, rightsOf } from '../../src/grants/model/privileges.ts'
import {
  app,
  databaseOwners,
  entry,
  healthy,
  interned,
  mallory,
  member,
  object,
  owner,
  postgres,
  readers,
  ro,
  rw,
  serverVersion,
  team,
} from './governed-database.ts'

/** The changes of a database that matches its policy. */
type Break = (catalog: Catalog) => Catalog

/** Changes the schema `s` and the selected objects. */
function changing(
  isChosen: (object: CatalogObject) => boolean,
  change: (object: CatalogObject) => CatalogObject,
): Break {
  const apply = (object: CatalogObject) => (isChosen(object) ? change(object) : object)
  return catalog => {
    const s = catalog.schemas.get('s')
    if (!s) return catalog
    const renewed = { self: apply(s.self), objects: s.objects.map(apply) }
    return { ...catalog, schemas: new Map(catalog.schemas).set('s', renewed) }
  }
}

/** Adds an entry; privileges of one grantee by one grantor are one entry. */
function granting(more: AclEntry) {
  return (acl: readonly AclEntry[]): AclEntry[] => {
    const isSame = ({ grantee, grantor }: AclEntry) => grantee === more.grantee && grantor === more.grantor
    const before = acl.find(isSame)?.rights ?? 0
    return [...acl.filter(known => !isSame(known)), { ...more, rights: before | more.rights }]
  }
}

const anObject = fc.constantFrom('s', 't', 't2', 'tv', 'c', 'f')
const called = (name: string) => (object: CatalogObject) => object.name === name
const stranger = fc.constantFrom(PUBLIC, ro, team)
const grantor = fc.constantFrom(owner, postgres, mallory)

/** The privileges that the policy grants to none of these unlisted roles, by class of objects. */
const neverGiven: Readonly<Record<ObjectClass, readonly string[]>> = {
  database: ['CREATE'],
  schema: ['CREATE'],
  tables: ['UPDATE', 'DELETE', 'TRUNCATE', 'TRIGGER'],
  sequences: ['UPDATE', 'SELECT'],
  functions: ['EXECUTE'],
}

const grantTooMuch = fc
  .record({ name: anObject, grantee: stranger, grantor, at: fc.nat(3), option: fc.boolean() })
  .map(({ name, grantee, grantor, at, option }) =>
    changing(called(name), object => {
      const words = neverGiven[classOf(object.kind)]
      const right = rightsOf([words[at % words.length] ?? ''])
      const rights = option ? right | (right << optionShift) : right
      return { ...object, acl: granting({ grantee, grantor, rights })(object.acl) }
    }),
  )

const takeAway = fc
  .tuple(anObject, fc.constantFrom(rw, owner))
  .map(([name, from]) =>
    changing(called(name), object => ({ ...object, acl: object.acl.filter(({ grantee }) => grantee !== from) })),
  )

const grantOnColumn = fc
  .tuple(fc.constantFrom('t', 't2', 'tv'), stranger, grantor)
  .map(([name, grantee, by]) =>
    changing(called(name), object => ({ ...object, columns: new Map([['id', [entry(grantee, ['UPDATE'], by)]]]) })),
  )

const giveAway = anObject.map(name => changing(called(name), object => ({ ...object, owner: team })))

function changingRoles(change: (roles: readonly CatalogRole[]) => readonly CatalogRole[]): Break {
  return catalog => ({ ...catalog, roles: change(catalog.roles) })
}

const loseRole = fc
  .constantFrom(owner, rw, ro, app)
  .map(lost => changingRoles(roles => roles.filter(({ oid }) => oid !== lost)))

const setAttribute = fc
  .tuple(fc.constantFrom(owner, rw, ro), fc.constantFrom(...roleAttributes))
  .map(([oid, attribute]) =>
    changingRoles(roles => roles.map(role => (role.oid === oid ? { ...role, [attribute]: true } : role))),
  )

const makeSuperuser = fc.constant(
  changingRoles(roles => roles.map(role => (role.oid === team ? { ...role, superuser: true } : role))),
)

const options = fc.record({ inherit: fc.boolean(), set: fc.boolean(), admin: fc.boolean() })

const joinRole = fc
  .tuple(fc.constantFrom(owner, rw, ro), fc.constantFrom(team, ro, app), options)
  .filter(([of, who]) => of !== who && !(of === rw && who === app))
  .map(
    ([of, who, options]): Break =>
      catalog => ({
        ...catalog,
        memberships: [
          ...catalog.memberships.filter(({ role, member }) => role !== of || member !== who),
          member(of, who, options),
        ],
      }),
  )

const otherMemberships = fc
  .constantFrom<readonly Membership[]>(
    [],
    [member(rw, app, { admin: true })],
    [member(rw, app, { inherit: false, set: false })],
    [member(rw, app), member(readers, team)],
    [member(rw, app), member(databaseOwners, app), member(postgres, team)],
  )
  .map(
    (memberships): Break =>
      catalog => ({ ...catalog, memberships }),
  )

const otherDefaults = fc
  .constantFrom<readonly DefaultAcl[]>(
    [],
    [{ role: owner, schema: 's', objects: 'tables', acl: [entry(rw, ['SELECT', 'DELETE'])] }],
    [
      { role: owner, schema: 's', objects: 'tables', acl: [entry(rw, ['SELECT'])] },
      { role: team, schema: 's', objects: 'functions', acl: [entry(PUBLIC, ['EXECUTE'], team)] },
    ],
  )
  .map(
    (defaultAcls): Break =>
      catalog => ({ ...catalog, defaultAcls }),
  )

const onDatabase = fc.constantFrom(owner, rw, ro).map(
  (grantee): Break =>
    catalog => {
      const { database } = catalog
      return { ...catalog, database: { ...database, acl: [...database.acl, entry(grantee, ['CREATE'], postgres)] } }
    },
)

const loseSchema = fc.constant<Break>(catalog => ({
  ...catalog,
  schemas: new Map([...catalog.schemas].filter(([name]) => name !== 's')),
}))

const openDoor = fc
  .constantFrom(
    { object: object(20, 'function', 'opens', [entry(PUBLIC, ['EXECUTE'])]), reads: [] },
    { object: object(21, 'view', 'shows', [entry(team, ['SELECT'])]), reads: [{ relation: 10, as: owner }] },
  )
  .map(
    ({ object, reads }): Break =>
      catalog => ({
        ...catalog,
        doors: [...catalog.doors, { object: { ...object, schema: 'elsewhere' }, reads }],
      }),
  )

/** One difference from the policy of every config. */
const oneBreak = fc.oneof(
  { weight: 4, arbitrary: grantTooMuch },
  ...[takeAway, grantOnColumn, giveAway, loseRole, setAttribute, makeSuperuser, joinRole],
  ...[otherMemberships, otherDefaults, onDatabase, loseSchema, openDoor],
)

export const brokenOnce: fc.Arbitrary<Catalog> = oneBreak.map(apply => interned(apply(healthy)))

const anyRole = fc.constantFrom(postgres, owner, rw, ro, app, mallory, team, readers, 999)
const anyRights = (objects: ObjectClass): fc.Arbitrary<Rights> => {
  const all = everyRight(objects, serverVersion)
  return fc.tuple(fc.nat(all), fc.nat(all)).map(([held, options]) => (held & all) | ((options & all) << optionShift))
}

/** Any ACL: chains of grantors, several grantors for one grantee, dropped roles. */
const anyAcl = (objects: ObjectClass): fc.Arbitrary<readonly AclEntry[]> =>
  fc.uniqueArray(
    fc.record({ grantee: fc.oneof(anyRole, fc.constant(PUBLIC)), grantor: anyRole, rights: anyRights(objects) }),
    { maxLength: 6, selector: ({ grantee, grantor }) => `${grantee}/${grantor}` },
  )

const anyName = fc.oneof(
  fc.constantFrom('t', 't3', 'x', '"', '\u001b[2J', '__proto__', 'constructor'),
  fc.string({ unit: 'binary', maxLength: 6 }),
)

const columnAcls = fc
  .uniqueArray(fc.tuple(anyName, anyAcl('tables')), { maxLength: 3, selector: ([name]) => name })
  .map(entries => new Map(entries))

const kinds = ['table', 'view', 'foreign table', 'sequence', 'function', 'procedure'] as const

/** An oid that no other generated relation has. */
const firstOid = 30

const anyObject = fc.constantFrom<ObjectKind>(...kinds).chain(kind =>
  fc.record({
    ...{
      oid: fc.integer({ min: firstOid, max: firstOid + 3 }),
      kind: fc.constant(kind),
      schema: fc.constant('s'),
      name: anyName,
    },
    args: fc.constant(classOf(kind) === 'functions' ? 'integer' : null),
    owner: fc.oneof({ weight: 3, arbitrary: fc.constant(owner) }, anyRole),
    acl: anyAcl(classOf(kind)),
    columns: classOf(kind) === 'tables' ? fc.option(columnAcls) : fc.constant(null),
    ownedBy: kind === 'sequence' ? fc.option(fc.constantFrom(10, 30, 31)) : fc.constant(null),
  }),
)

const manyObjects = fc
  .uniqueArray(anyObject, { maxLength: 4, selector: ({ kind, oid }) => `${classOf(kind) === 'functions'} ${oid}` })
  .map(
    (more): Break =>
      catalog => {
        const s = catalog.schemas.get('s')
        if (!s) return catalog
        const objects = [...s.objects.filter(({ oid }) => oid < firstOid), ...more]
        return { ...catalog, schemas: new Map(catalog.schemas).set('s', { ...s, objects }) }
      },
  )

const otherAcl = anObject.chain(name =>
  anyAcl(name === 's' ? 'schema' : name === 'c' ? 'sequences' : name === 'f' ? 'functions' : 'tables').map(acl =>
    changing(called(name), object => ({ ...object, acl })),
  ),
)

const manyMemberships = fc
  .uniqueArray(
    fc
      .record({ role: anyRole, member: anyRole, grantor: anyRole, options })
      .map(({ options, ...pair }): Membership => ({ ...pair, ...options })),
    { maxLength: 7, selector: ({ role, member, grantor }) => `${role}/${member}/${grantor}` },
  )
  // PostgreSQL rejects a role as its own member.
  .map(memberships => memberships.filter(({ role, member }) => role !== member))
  .map(
    (memberships): Break =>
      catalog => ({ ...catalog, memberships }),
  )

const manyDefaults = fc
  .uniqueArray(
    fc.constantFrom('tables' as const, 'sequences' as const, 'functions' as const).chain(objects =>
      fc.record({
        ...{
          role: fc.constantFrom(owner, owner, team, rw),
          schema: fc.constantFrom('s', 's', null),
          objects: fc.constant(objects),
        },
        acl: anyAcl(objects),
      }),
    ),
    { maxLength: 5, selector: ({ role, schema, objects }) => `${role}/${schema}/${objects}` },
  )
  .map(
    (defaultAcls): Break =>
      catalog => ({ ...catalog, defaultAcls }),
  )

const manyDoors = fc
  .uniqueArray(
    fc.tuple(
      anyObject.filter(({ kind }) => kind !== 'sequence'),
      fc.array(fc.record({ relation: fc.constantFrom(10, 11, 12, 30), as: anyRole }), { maxLength: 3 }),
    ),
    { maxLength: 3, selector: ([{ oid }]) => oid },
  )
  .map(
    (doors): Break =>
      catalog => ({
        ...catalog,
        doors: doors.map(([object, reads]) => ({
          object: { ...object, oid: object.oid + 100, schema: 'elsewhere' },
          reads: classOf(object.kind) === 'functions' ? [] : reads,
        })),
      }),
  )

const anyBreak = fc.oneof(
  oneBreak,
  ...[manyObjects, manyMemberships, manyDefaults, manyDoors].map(arbitrary => ({ weight: 2, arbitrary })),
  { weight: 3, arbitrary: otherAcl },
)

/** Sometimes matches the policy, but usually not. */
export const catalog: fc.Arbitrary<Catalog> = fc
  .tuple(fc.constantFrom<number>(150000, 180000), fc.oneof(fc.constant([]), fc.array(anyBreak, { maxLength: 5 })))
  .map(([version, breaks]) =>
    interned(breaks.reduce<Catalog>((so, apply) => apply(so), { ...healthy, serverVersion: version })),
  )
