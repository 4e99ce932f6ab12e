import fc from 'fast-check'
import t from 'tap'
import { maxObjects, roleGrants } from '../../src/checks/role-grants.ts'
import { schema as schemaCheck } from '../../src/checks/schema.ts'
import { createTimeSlices } from '../../src/concurrency/time-slices.ts'
import type { Config, DatabaseConfig, Stack } from '../../src/config/config.ts'
import { createSecret } from '../../src/config/secret.ts'
import { builtInAcl, createAclPool, parseAcl } from '../../src/grants/model/acl.ts'
import type { Catalog, CatalogObject, CatalogRole } from '../../src/grants/model/catalog.ts'
import { quoteArguments, quoteIdentifier, showIdentifier } from '../../src/grants/model/identifiers.ts'
import { type DatabaseIdentity, isSameDatabase } from '../../src/grants/model/identity.ts'
import { compilePattern, literalName, patternOf } from '../../src/grants/model/name-pattern.ts'
import { findPolicyProblems, type GrantsPolicy } from '../../src/grants/model/policy.ts'
import { describeRights, everyRight, rightsOf, withOptions, wordsOf } from '../../src/grants/model/privileges.ts'
import { renderPlan } from '../../src/grants/plan/plan.ts'
import { printable } from '../../src/printable.ts'
import type { LedgerAnswer } from '../../src/probes/probe.ts'
import { primary } from '../helpers/governed-database.ts'

/** The form of a role in an aclitem, and of an item in an array. */
const inAcl = (name: string) => (/^\w+$/.test(name) ? name : `"${name.replaceAll('"', '""')}"`)
const inArray = (item: string) => (/[",\\{}\s]/.test(item) ? `"${item.replace(/["\\]/g, '\\$&')}"` : item)

t.test('an ACL is parsed with any role names', async t => {
  const name = fc.oneof(
    fc.constantFrom('a', 'a=b', '"', 'x/y', 'A b', '\\', '{,}', 'PUBLIC', '12', '*'),
    fc.string({ minLength: 1, maxLength: 12, unit: 'grapheme' }).filter(text => !text.includes('\0')),
  )
  const property = fc.property(fc.array(fc.tuple(fc.option(name), name), { minLength: 1, maxLength: 5 }), pairs => {
    const names = [...new Set(pairs.flat().filter(text => text !== null))]
    const oid = (role: string) => (names.includes(role) ? names.indexOf(role) + 1 : undefined)
    const items = pairs.map(([grantee, grantor]) => `${grantee === null ? '' : inAcl(grantee)}=r*w/${inAcl(grantor)}`)
    const entries = parseAcl(`{${items.map(inArray).join()}}`, oid)
    const expected = pairs.map(([grantee, grantor]) => ({
      grantee: grantee === null ? 0 : oid(grantee),
      grantor: oid(grantor),
      rights: withOptions(rightsOf(['SELECT'])) | rightsOf(['UPDATE']),
    }))
    if (JSON.stringify(entries) !== JSON.stringify(expected)) throw new Error(JSON.stringify({ entries, expected }))
  })
  t.doesNotThrow(() => fc.assert(property))
  t.same(
    parseAcl('{}', () => 1),
    [],
  )
  t.same(
    parseAcl('{4711=r/gone}', () => undefined),
    [{ grantee: 4711, grantor: -1, rights: rightsOf(['SELECT']) }],
  )
})

t.test('a pattern matches whole names, and a name can be escaped as a pattern', async t => {
  t.ok(compilePattern('sync_*')('sync_events'))
  t.notOk(compilePattern('sync_*')('xsync_events'))
  t.notOk(compilePattern('a?c')('abbc'))
  t.ok(compilePattern('a?c')('a\nc'))
  t.ok(compilePattern('*.*')('a.b'))
  t.notOk(compilePattern('a.b')('axb'))
  const property = fc.property(fc.string({ unit: 'grapheme' }), fc.string(), (name, other) => {
    const pattern = patternOf(name)
    if (literalName(pattern) !== name || !compilePattern(pattern)(name)) throw new Error(pattern)
    if (other !== name && compilePattern(pattern)(other)) throw new Error(`${pattern} matches ${other}`)
  })
  t.doesNotThrow(() => fc.assert(property))
  t.ok(compilePattern('*'.repeat(60))('x'.repeat(63)), 'many stars cost no time')
})

t.test('an unrecognized privilege is an error', async t => {
  const error = { code: 'UNRECOGNIZED_VALUE', message: /privilege "q"/ }
  t.throws(() => parseAcl('{me=rq/me}', () => 1), error)
  t.throws(() => parseAcl('{me=q*/me}', () => 1), error)
  // The privileges of PostgreSQL 14 to 18; `s` and `A` apply only to parameters.
  t.equal(parseAcl('{me=arwdDxtmUCXcT/me}', () => 1).length, 1)
})

t.test('identifiers are shown on one line and quoted for SQL', async t => {
  t.equal(showIdentifier('sync_events'), 'sync_events')
  t.equal(showIdentifier('PUBLIC'), '"PUBLIC"')
  t.equal(showIdentifier('a"b\nc'), '"a""b\\nc"')
  t.equal(quoteIdentifier('a"b c'), '"a""b c"')
  t.equal(quoteIdentifier('a"b\n\\c\u{e0001}'), 'U&"a""b\\+00000a\\\\c\\+0e0001"')
  t.equal(quoteArguments('integer, VARIADIC other."t\u001b"[]'), 'integer, VARIADIC other.U&"t\\+00001b"[]')
  t.equal(printable('\u001b[31m\u202e'), '\\u{1b}[31m\\u{202e}')
})

t.test('the known privileges depend on the server version', async t => {
  t.same(wordsOf(everyRight('tables', 160000)).includes('MAINTAIN'), false)
  t.same(wordsOf(everyRight('tables', 170000)).includes('MAINTAIN'), true)
  t.equal(describeRights(withOptions(rightsOf(['SELECT'])) | rightsOf(['INSERT'])), 'INSERT, SELECT with grant option')
})

t.test('an invalid policy is rejected with the path of the problem', async t => {
  const cases: [GrantsPolicy, string, RegExp][] = [
    [
      { roles: { a: {} }, schemas: { s: { grants: { a: { tables: ['SELCT'] } } } } },
      'schemas.s.grants.a.tables.0',
      /SELCT is not a privilege: use SELECT/,
    ],
    [
      { roles: { a: {} }, schemas: { s: { grants: { a: { sequences: ['INSERT'] } } } } },
      'schemas.s.grants.a.sequences.0',
      /INSERT does not apply to sequences/,
    ],
    [
      { roles: { a: {} }, schemas: { s: { grants: { a: { tables: { 'x*': ['USAGE'] } } } } } },
      'schemas.s.grants.a.tables.x*.0',
      /USAGE does not apply to tables/,
    ],
    [
      { roles: { a: {} }, schemas: { s: { owner: 'a', defaults: { a: { functions: ['SELECT'] } } } } },
      'schemas.s.defaults.a.functions.0',
      /SELECT does not apply to functions/,
    ],
    [{ schemas: { s: { grants: { b: { schema: ['USAGE'] } } } } }, 'schemas.s.grants.b', /role b is not listed/],
    [{ trustedRoles: ['b'], schemas: { s: { grants: { b: {} } } } }, 'schemas.s.grants.b', /role b is in trustedRoles/],
    [{ schemas: { '': {} } }, 'schemas.', /must not be empty/],
    [{ schemas: { pg_catalog: {} } }, 'schemas.pg_catalog', /system schema of PostgreSQL/],
    [{ roles: { PUBLIC: {} } }, 'roles.PUBLIC', /PUBLIC is not a role/],
    [{ roles: { pg_monitor: {} } }, 'roles.pg_monitor', /predefined role of PostgreSQL/],
    [{ roles: { a: {} }, trustedRoles: ['a'] }, 'roles.a', /also in trustedRoles/],
    [{ trustedRoles: ['a', 'a'] }, 'trustedRoles.1', /listed twice/],
    [{ roles: { a: { members: ['b', 'b'] } } }, 'roles.a.members.1', /listed twice/],
    [{ roles: { a: { members: ['a'] } } }, 'roles.a.members', /member of itself/],
    [
      { roles: { a: { members: ['b'] }, b: { members: ['x', 'a'] } } },
      'roles.b.members.1',
      /circular membership: a is a member of b, b of a/,
    ],
    [
      { roles: { top: { members: ['a'] }, a: { members: ['b'] }, b: { members: ['c'] }, c: { members: ['a'] } } },
      'roles.c.members.0',
      /circular membership: a is a member of c, c of b, b of a/,
    ],
    [{ roles: { a: { database: ['SELECT'] } } }, 'roles.a.database.0', /SELECT does not apply to a database/],
    [{ roles: { ['ü'.repeat(32)]: {} } }, `roles.${'ü'.repeat(32)}`, /63 bytes/],
    [{ schemas: { s: { owner: 'PUBLIC' } } }, 'schemas.s.owner', /cannot own/],
    [{ roles: { a: {} }, schemas: { s: { defaults: { a: {} } } } }, 'schemas.s.defaults', /set `owner`/],
    [{ roles: { a: { members: ['PUBLIC'] } } }, 'roles.a.members.0', /PUBLIC is not a role/],
    [{ schemas: { s: { relations: ['fine', 'n'.repeat(64)] } } }, 'schemas.s.relations.1', /63 bytes/],
  ]
  for (const [policy, path, message] of cases) {
    const problems = findPolicyProblems(policy)
    t.match(
      problems.map(problem => ({ ...problem, path: problem.path.join('.') })),
      [{ path, message }],
      path,
    )
    t.equal(problems.length, 1, `${path}: and nothing else`)
  }
  t.same(
    findPolicyProblems({ roles: { a: {} }, schemas: { s: { grants: { PUBLIC: { schema: ['USAGE'] }, a: {} } } } }),
    [],
  )
})

const role = (oid: number, name: string, change: Partial<CatalogRole> = {}): CatalogRole => ({
  ...{ oid, name, login: false, superuser: false, createRole: false, createDb: false, replication: false },
  ...{ bypassRls: false, inherit: true, ...change },
})

function object(
  oid: number,
  kind: CatalogObject['kind'],
  name: string,
  change: Partial<CatalogObject> = {},
): CatalogObject {
  const acl = builtInAcl(kind === 'schema' ? 'schema' : kind === 'database' ? 'database' : 'tables', 20, 180000)
  return {
    oid,
    kind,
    schema: kind === 'database' ? '' : 'runtime',
    name,
    args: null,
    owner: 20,
    acl,
    columns: null,
    ownedBy: null,
    ...change,
  }
}

function buildCatalog(objects: readonly CatalogObject[]): Catalog {
  return {
    serverVersion: 180000,
    database: object(1, 'database', 'app', { owner: 10, acl: builtInAcl('database', 10, 180000) }),
    currentRole: 10,
    roles: [role(10, 'postgres', { superuser: true }), role(20, 'owner'), role(21, 'mallory')],
    memberships: [],
    schemas: new Map([['runtime', { self: object(2, 'schema', 'runtime'), objects }]]),
    defaultAcls: [],
    doors: [],
  }
}

function buildStack(change: Partial<DatabaseConfig>): Stack {
  const runtime = { owner: 'owner', relations: [], grants: {}, defaults: {} }
  const database = {
    url: createSecret('x', 'x'),
    roles: { owner: ownerRole },
    trustedRoles: ['postgres'],
    schemas: { runtime },
    ...change,
  }
  return {
    name: 'runtime',
    project: 'p',
    labels: {},
    region: 'r',
    service: { name: 's', container: null, repositories: [], expectedImage: null },
    job: null,
    database,
    lanes: null,
    afterRollout: null,
    httpContract: null,
    notes: [],
  }
}

const ownerRole = {
  login: false,
  superuser: false,
  createRole: false,
  createDb: false,
  replication: false,
  bypassRls: false,
  members: [],
  database: [],
}

function inputOf(stack: Stack, catalog: Catalog, ledger: LedgerAnswer | null = null) {
  const observed = {
    'postgres-catalog': { server: primary, catalog, rightsUnknown: null, ledger },
    service: null,
    job: null,
    execution: null,
    registry: new Map(),
  }
  return { stack, config: {} as Config, observed, observedAt: 0 }
}

function judge(
  check: typeof roleGrants | typeof schemaCheck,
  stack: Stack,
  catalog: Catalog,
  ledger: LedgerAnswer | null = null,
) {
  return check.judge(inputOf(stack, catalog, ledger))
}

t.test('role-grants reports equal differences as one, and lists a limited number of objects', async t => {
  const acl = [...builtInAcl('tables', 20, 180000), { grantee: 21, grantor: 20, rights: rightsOf(['SELECT']) }]
  const tables = Array.from({ length: 2140 }, (_, index) => object(100 + index, 'table', `t${index}`, { acl }))
  const finding = judge(roleGrants, buildStack({}), buildCatalog(tables))
  t.match(finding, {
    status: 'drifted',
    summary: 'Unexpected: mallory has SELECT on 2140 tables in runtime (via direct grant).',
    unknownReason: null,
  })
  t.equal(finding.differences.length, 1)
  t.match(finding.differences[0], {
    path: 'schemas.runtime.grants.mallory.tables',
    kind: 'unexpected',
    expected: null,
    via: 'direct grant',
  })
  t.equal(finding.differences[0]?.objects?.length, maxObjects.perDifference)
  t.match(finding.notes, [/^At most 1000 objects/])
  t.same(finding.proven, ['schemas.runtime.grants.mallory.tables'])
})

t.test('the grants of several grantors to one grantee are one difference, in any order', async t => {
  const given = [
    { grantee: 21, grantor: 20, rights: rightsOf(['SELECT', 'DELETE']) },
    { grantee: 21, grantor: 10, rights: rightsOf(['SELECT', 'INSERT']) },
    ...builtInAcl('tables', 20, 180000),
  ]
  for (const acl of [given, given.toReversed()]) {
    const finding = judge(roleGrants, buildStack({}), buildCatalog([object(100, 'table', 'accounts', { acl })]))
    t.same(
      finding.differences.map(({ actual }) => actual),
      ['mallory has SELECT, INSERT, DELETE on table runtime.accounts'],
    )
  }
  const oids: Readonly<Record<string, number>> = { postgres: 10, owner: 20, mallory: 21 }
  const { read } = createAclPool(180000, name => oids[name])
  const [one, other] = [
    '{mallory=r/owner,mallory=rd/postgres,=r/owner}',
    '{=r/owner,mallory=rd/postgres,mallory=r/owner}',
  ]
  t.equal(read(one ?? '', 'tables', 20), read(other ?? '', 'tables', 20), 'one ACL, and so objects are judged once')
})

t.test('of two equally short routes, the same one is reported for any order of memberships', async t => {
  const { roles, ...catalog } = buildCatalog([])
  const groups = [role(30, 'one'), role(31, 'two')]
  const edge = { grantor: 10, inherit: true, set: true, admin: false }
  const memberships = [30, 31].flatMap(group => [
    { ...edge, role: group, member: 21 },
    { ...edge, role: 20, member: group },
  ])
  const viaOf = (memberships: Catalog['memberships'], groups: readonly CatalogRole[]) => {
    const finding = judge(roleGrants, buildStack({}), { ...catalog, roles: [...groups, ...roles], memberships })
    return finding.differences.map(({ actual, via }) => ({ actual, via }))
  }
  const reported = viaOf(memberships, groups)
  t.match(reported, [{ actual: 'mallory is a member of owner', via: 'member of one → owner' }, {}, {}])
  t.same(viaOf(memberships.toReversed(), groups.toReversed()), reported)
})

t.test('a difference lists all of its objects, whatever their ACLs', async t => {
  const mallory = { grantee: 21, grantor: 20, rights: rightsOf(['SELECT']) }
  const [one, other] = [[mallory], [mallory, ...builtInAcl('tables', 20, 180000)]]
  const tables = ['a', 'b', 'c', 'd'].map((name, index) =>
    object(100 + index, 'table', name, { acl: (index % 2 === 0 ? one : other) ?? [], columns: null }),
  )
  const runtime = { relations: [], grants: {}, defaults: {} }
  for (const listed of [tables, tables.toReversed()]) {
    const finding = judge(roleGrants, buildStack({ schemas: { runtime } }), buildCatalog(listed))
    t.same(
      finding.differences.map(({ objects }) => objects),
      [['runtime.a', 'runtime.b', 'runtime.c', 'runtime.d']],
    )
  }
  const alike = [object(100, 'table', 'a', { owner: 21 }), object(100, 'function', 'a', { owner: 21, args: '' })]
  const [first, second] = [alike, alike.toReversed()].map(listed =>
    judge(roleGrants, buildStack({}), buildCatalog(listed)),
  )
  t.same(first, second, 'and a routine may have the OID and the name of a relation')
})

t.test('role-grants judges a large catalog in time slices, with the same result', async t => {
  const tables = Array.from({ length: 2000 }, (_, index) => {
    const rights = rightsOf([wordsOf((1 << 7) - 1)[index % 7] ?? 'SELECT'])
    const acl = [...builtInAcl('tables', 20, 180000), { grantee: 21, grantor: 20, rights }]
    return object(100 + index, 'table', `t${index}`, { acl })
  })
  const [stack, catalog] = [buildStack({}), buildCatalog(tables)]
  const steps = roleGrants.judgeInSteps?.(inputOf(stack, catalog))
  let [count, step] = [1, steps?.next()]
  for (; step && !step.done; count++) step = steps?.next()
  t.ok(count > 20, `${count} steps`)
  t.same(step?.value, judge(roleGrants, stack, catalog))
  t.equal(step?.done && step.value.differences.length, 7)
})

t.test('sliced judging yields to other work, and runs one task after another', async t => {
  let now = 0
  const timeSlices = createTimeSlices({ monotonic: () => now })
  const done: string[] = []
  const work = function* (name: string, steps: number) {
    for (let step = 1; step <= steps; step++) {
      done.push(`${name}${step}`)
      now += 6
      yield
    }
    return name
  }
  const others = (async () => {
    for (let fairQueue = 0; fairQueue < 3; fairQueue++) {
      await new Promise(resolve => setImmediate(resolve))
      done.push('others')
    }
  })()
  const both = [timeSlices(work('a', 5)), timeSlices(work('b', 1))]
  t.same(await Promise.all([...both, others]), ['a', 'b', undefined])
  t.same(
    done.filter(what => what !== 'others'),
    ['a1', 'a2', 'a3', 'a4', 'a5', 'b1'],
  )
  t.ok(done.indexOf('others') < done.indexOf('a3'), 'after two steps of six milliseconds at the latest', { done })
  const failing = timeSlices(
    (function* () {
      yield
      throw new Error('cannot judge')
    })(),
  )
  await t.rejects(failing, { message: 'cannot judge' })
  t.equal(await timeSlices(work('c', 1)), 'c', 'a failure does not stop the others')
})

t.test('role-grants is in sync, with a note, if a name of the policy matches nothing', async t => {
  const grants = { owner: { tables: { 'sync_*': ['SELECT'] as const } } }
  const stack = buildStack({ schemas: { runtime: { owner: 'owner', relations: [], grants, defaults: {} } } } as never)
  t.match(judge(roleGrants, stack, buildCatalog([object(100, 'table', 'accounts')])), {
    status: 'in_sync',
    notes: [/sync_\*/],
  })
})

t.test('the checks apply only if configured', async t => {
  t.ok(roleGrants.appliesTo(buildStack({})))
  t.notOk(roleGrants.appliesTo(buildStack({ roles: {}, schemas: {} })))
  t.notOk(roleGrants.appliesTo({ ...buildStack({}), database: null }))
  t.notOk(schemaCheck.appliesTo(buildStack({})))
})

t.test('schema requires the configured relations', async t => {
  const relations = ['sync_stream_events', 'accounts']
  const stack = buildStack({ schemas: { runtime: { owner: 'owner', relations, grants: {}, defaults: {} } } })
  const finding = judge(schemaCheck, stack, buildCatalog([object(100, 'table', 'accounts')]))
  t.match(finding, { status: 'drifted', summary: 'Relation runtime.sync_stream_events is missing.' })
  t.match(finding.differences, [{ path: 'schemas.runtime.relations.sync_stream_events', kind: 'missing' }])
  t.match(judge(schemaCheck, stack, { ...buildCatalog([]), schemas: new Map() }), {
    status: 'drifted',
    summary: 'Schema runtime is missing.',
  })
  const complete = buildCatalog(relations.map((name, index) => object(100 + index, 'view', name)))
  t.match(judge(schemaCheck, stack, complete), { status: 'in_sync', differences: [] })
})

t.test('schema compares the ledger with the expected versions', async t => {
  const ledger = { table: 'runtime.migrations', versionColumn: 'version', expected: ['1', '2'] }
  const stack = buildStack({ ledger })
  const judgeLedger = (answer: LedgerAnswer) => judge(schemaCheck, stack, buildCatalog([]), answer)
  t.match(judgeLedger({ outcome: 'read', versions: ['2', '1'] }), { status: 'in_sync' })
  t.match(judgeLedger({ outcome: 'read', versions: ['2', '3'] }).differences, [
    { path: 'ledger."1"', kind: 'missing', expected: '1' },
    { path: 'ledger."3"', kind: 'unexpected', actual: '3' },
  ])
  t.match(judgeLedger({ outcome: 'missing' }), {
    status: 'drifted',
    differences: [{ path: 'ledger', kind: 'missing' }],
  })
  const unknownReason = { code: 'PERMISSION_DENIED', message: 'no' } as const
  t.match(judgeLedger({ outcome: 'failed', reason: unknownReason }), {
    status: 'unknown',
    unknownReason,
    differences: [],
  })
})

t.test('isSameDatabase tells whether two connections lead to the same database', async t => {
  const base: DatabaseIdentity = {
    ...{ oid: 16384, name: 'app', systemIdentifier: '7', timeline: 1, startedAt: '1.000001', isReplica: false },
  }
  const cases: [boolean, string, Partial<DatabaseIdentity>, Partial<DatabaseIdentity>?][] = [
    [true, 'one server', {}],
    [false, 'another OID', { oid: 16385 }],
    [false, 'another name', { name: 'App' }],
    [false, 'another server that was started in the same moment', { systemIdentifier: '8' }],
    [false, 'a copy of the server', { startedAt: '2.000000' }],
    [false, 'servers that do not say when they started', { startedAt: null }, { startedAt: null }],
    [true, 'a replica of the server', { startedAt: '2.000000', isReplica: true }],
    [false, 'a replica of another server', { startedAt: '2.000000', isReplica: true, systemIdentifier: '8' }],
    [true, 'one server, which does not say who it is to everybody', { systemIdentifier: null }],
    [false, 'servers that do not say who they are', { systemIdentifier: null, startedAt: '2.000000' }],
    [
      false,
      'what may be a replica of a server that does not say who it is',
      { systemIdentifier: null, startedAt: '2.000000', isReplica: true },
      { systemIdentifier: null },
    ],
  ]
  for (const [same, title, other, one] of cases) {
    t.equal(isSameDatabase({ ...base, ...one }, { ...base, ...other }), same, title)
    t.equal(isSameDatabase({ ...base, ...other }, { ...base, ...one }), same, `${title}, asked the other way`)
  }
})

t.test('hostile names cannot leave the comments of a plan', async t => {
  const hostile = 'its owner x\nDROP TABLE important;\u2028-- is missing'
  const sql = renderPlan({
    steps: [{ comment: hostile, statements: ['SELECT 1'] }],
    impossible: [hostile],
    left: [hostile],
  })
  t.notMatch(sql, /^DROP/m)
  t.notOk(sql.includes('\u2028'))
  t.match(sql, /^SELECT 1;$/m)
})
