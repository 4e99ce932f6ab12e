import { spawn } from 'node:child_process'
import { chmodSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { googleAuthLibrary, grpc } from 'google-gax'
import t, { type Test } from 'tap'
import { type CloudRun, type CloudRunOptions, startCloudRun } from '../../sandbox/cloud-run.ts'
import { injectIntoSandbox, startControl } from '../../sandbox/control.ts'
import { digestOf } from '../../sandbox/images.ts'
import { readableLogLine, withoutRepeats } from '../../sandbox/log-lines.ts'
import { mergePatch } from '../../sandbox/merge-patch.ts'
import { startServer } from '../../sandbox/postgres/server.ts'
import { runSql } from '../../sandbox/postgres/sql.ts'
import { startPostgres } from '../../sandbox/postgres.ts'
import { nearScenarios, readScenario, scenarioNames } from '../../sandbox/scenarios.ts'
import { loadWorld, type WorldPatch } from '../../sandbox/world.ts'
import { checkKinds } from '../../src/checks/check.ts'

const now = Date.UTC(2026, 10, 23, 12)
const place = 'projects/openagentsgemini/locations/us-central1'
const service = `${place}/services/runtime`
const job = `${place}/jobs/runtime-migrate`
const revision = `${service}/revisions/runtime-00042-kxb`

t.test('a patch merges objects, removes what is null and replaces lists', async t => {
  const target = { a: { b: 1, c: 2 }, list: [1, 2], gone: 1, scalar: 1 }
  const patch = { a: { b: 3 }, list: [9], gone: null, scalar: { fresh: null, kept: 1 } }
  t.strictSame(mergePatch(target, patch), { a: { b: 3, c: 2 }, list: [9], scalar: { kept: 1 } })
  t.strictSame(target.a, { b: 1, c: 2 }, 'the target does not change')
})

t.test('times of a world are relative to now, and those of the healthy world to its start', async t => {
  const patch = { jobs: { 'runtime-migrate': { updateTime: '-1h30m', createTime: '2026-01-01T00:00:00Z' } } }
  const world = loadWorld(patch, now, now - 3_600_000)
  t.match(world.jobs[job], { updateTime: '2026-11-23T10:30:00.000Z', createTime: '2026-01-01T00:00:00Z' })
  t.match(world.revisions[revision], { createTime: '2026-11-22T09:00:00.000Z' })
})

t.test('a patch can write containers and conditions as maps, or replace them with a list', async t => {
  const template = (containers: unknown) =>
    loadWorld({ services: { runtime: { template: { containers } } } } as WorldPatch, now).services[service]?.template
  t.match(template({ proxy: { image: 'proxy:1' } }), { containers: [{ name: 'runtime-1' }, { name: 'proxy' }] })
  t.match(template([{ image: 'only:1' }]), { containers: [{ image: 'only:1' }] })
  t.match(loadWorld({}, now).revisions[revision]?.conditions, [{ type: 'Ready', state: 'CONDITION_SUCCEEDED' }])
})

t.test('a world fills in names, digests and etags as Cloud Run shows them', async t => {
  const { services, revisions } = loadWorld({}, now)
  t.match(services[service], { name: service, latestReadyRevision: revision, etag: /^"[\w-]+"$/ })
  t.match(revisions[revision], { service: 'runtime', containers: [{ image: `@${digestOf('image-c')}` }] })
  t.same(loadWorld({}, now).services[service]?.etag, services[service]?.etag, 'the same content has the same etag')
  const changed = loadWorld({ services: { runtime: { generation: 43 } } }, now)
  t.not(changed.services[service]?.etag, services[service]?.etag, 'other content has another one')
})

t.test('a field that the API does not have is rejected with its path', async t => {
  const wrong = (patch: unknown, message: RegExp) => t.throws(() => loadWorld(patch as WorldPatch, now), { message })
  wrong({ jobs: { 'runtime-migrate': { bogus: 1 } } }, /^jobs\.runtime-migrate\.bogus: .*Job has no such field/)
  wrong(
    { services: { runtime: { terminalCondition: { state: 'NOPE' } } } },
    /state: "NOPE" is not a .*Condition\.State/,
  )
  wrong({ services: { runtime: { traffic: {} } } }, /traffic: expected a list/)
  wrong({ services: { runtime: { template: 'x' } } }, /template: expected a .*RevisionTemplate/)
  wrong({ services: { runtime: { updateTime: 'soon' } } }, /updateTime: "soon" is not a time/)
  wrong({ services: { runtime: { template: { timeout: '5m' } } } }, /timeout: "5m" is not a duration/)
  wrong({ services: { runtime: { generation: {} } } }, /generation: expected a int64/)
  wrong({ executions: { lost: { taskCount: 1 } } }, /^executions\.lost: missing job/)
  wrong({ revisions: { lost: { generation: 1 } } }, /^revisions\.lost: missing service/)
  wrong({ serivces: {} }, /^unknown key serivces/)
})

interface GoogleClients {
  readonly services: Client
  readonly revisions: Client
  readonly jobs: Client
  readonly executions: Client
}
type Message = Record<string, unknown>
type Client = { close(): Promise<void> } & Record<string, (request: Message, options: Message) => Promise<unknown[]>>

/** An emulator and Google's own clients pointed at it. */
async function buildCloudRun(t: Test, options: CloudRunOptions = {}): Promise<GoogleClients & { cloudRun: CloudRun }> {
  const cloudRun = await startCloudRun(options)
  const [apiEndpoint, port] = cloudRun.host.split(':')
  const google = createRequire(import.meta.url)('@google-cloud/run')
  const client = (name: string): Client =>
    new google[name]({
      apiEndpoint,
      port: Number(port),
      sslCreds: grpc.credentials.createInsecure(),
      authClient: new googleAuthLibrary.PassThroughClient(),
      projectId: 'openagentsgemini',
    })
  const clients = {
    services: client('ServicesClient'),
    revisions: client('RevisionsClient'),
    jobs: client('JobsClient'),
    executions: client('ExecutionsClient'),
  }
  t.teardown(async () => {
    await Promise.all(Object.values(clients).map(each => each.close()))
    await cloudRun.close()
  })
  return { ...clients, cloudRun }
}

/** Calls once, without the client's own retries and pages. */
async function call(client: Client, method: string, request: Message, timeout = 20_000): Promise<Message[]> {
  const answer = await client[method]?.(request, { timeout, retry: null, autoPaginate: false })
  return answer as Message[]
}

async function page(client: Client, method: string, request: Message) {
  const [items, , response] = (await call(client, method, request)) as unknown as [Message[], unknown, Message | null]
  return {
    names: items.map(({ name }) => String(name).split('/').at(-1)),
    token: String(response?.nextPageToken ?? ''),
  }
}

t.test('the emulator responds as Cloud Run does', async t => {
  const world = loadWorld({ services: { runtime: { terminalCondition: { state: 99 } } } }, now)
  const { services, revisions, jobs, executions, cloudRun } = await buildCloudRun(t, { world })

  const [found] = await call(services, 'getService', { name: service })
  t.match(found, { name: service, generation: '42', terminalCondition: { type: 'Ready', state: 99 } })
  t.match(found?.updateTime, { seconds: String((now - 26 * 3_600_000) / 1000), nanos: 0 })
  const [theJob] = await call(jobs, 'getJob', { name: job })
  t.match(theJob, { latestCreatedExecution: { name: 'runtime-migrate-h8k4p' } })
  t.match(await call(revisions, 'getRevision', { name: revision }), [{ service: 'runtime' }])
  const execution = `${job}/executions/runtime-migrate-h8k4p`
  t.match(await call(executions, 'getExecution', { name: execution }), [{ succeededCount: 1, job: 'runtime-migrate' }])

  t.strictSame(cloudRun.calls.counts(), { GetService: 1, GetJob: 1, GetRevision: 1, GetExecution: 1 })
  t.match(cloudRun.calls.all[0], { method: 'GetService', resource: service, code: 'OK' })
  cloudRun.calls.clear()
  t.strictSame(cloudRun.calls.counts(), {})
})

t.test('the emulator rejects what Cloud Run rejects', async t => {
  const { services, revisions, jobs, executions, cloudRun } = await buildCloudRun(t)
  const { NOT_FOUND, INVALID_ARGUMENT, UNIMPLEMENTED } = grpc.status
  const refuses = async (client: Client, method: string, request: Message, code: number, details: RegExp) =>
    t.rejects(call(client, method, request), { code, details }, `${method} ${JSON.stringify(request)}`)

  const absent =
    /^Resource 'nope' of kind 'SERVICE' in region 'us-central1' in project 'openagentsgemini' does not exist\.$/
  await refuses(services, 'getService', { name: `${place}/services/nope` }, NOT_FOUND, absent)
  await refuses(jobs, 'getJob', { name: `${place}/jobs/nope` }, NOT_FOUND, /of kind 'JOB'/)
  await refuses(revisions, 'getRevision', { name: `${service}/revisions/nope` }, NOT_FOUND, /of kind 'REVISION'/)
  await refuses(executions, 'getExecution', { name: `${job}/executions/nope` }, NOT_FOUND, /of kind 'EXECUTION'/)
  await refuses(services, 'getService', { name: 'runtime' }, INVALID_ARGUMENT, /malformed name/)
  await refuses(services, 'getService', { name: job }, INVALID_ARGUMENT, /malformed name/)
  const everywhere = 'projects/openagentsgemini/locations/-'
  await refuses(services, 'listServices', { parent: everywhere }, INVALID_ARGUMENT, /malformed parent/)
  await refuses(jobs, 'listJobs', { parent: everywhere }, INVALID_ARGUMENT, /malformed parent/)
  await refuses(jobs, 'listJobs', { parent: place, pageSize: -1 }, INVALID_ARGUMENT, /negative page_size/)
  await refuses(jobs, 'listJobs', { parent: place, pageToken: 'forged' }, INVALID_ARGUMENT, /invalid page_token/)
  await refuses(jobs, 'deleteJob', { name: job }, UNIMPLEMENTED, /DeleteJob/)
  t.match(cloudRun.calls.all[0], { code: 'NOT_FOUND' })
})

t.test('lists have pages, newest first, and a page token is valid only for its request', async t => {
  const { revisions, executions, jobs, services } = await buildCloudRun(t, { maxPageSize: 3 })
  const all = `${place}/services/-`
  const first = await page(revisions, 'listRevisions', { parent: all, pageSize: 100 })
  t.strictSame(first.names, ['runtime-00042-kxb', 'runtime-00041-wpz', 'runtime-00040-dqs'], 'the server caps the page')
  const second = await page(revisions, 'listRevisions', { parent: all, pageSize: 100, pageToken: first.token })
  t.strictSame(second, { names: ['runtime-00039-hfm'], token: '' })

  const { INVALID_ARGUMENT: code } = grpc.status
  const reuse = (request: Message) => call(revisions, 'listRevisions', { pageToken: first.token, ...request })
  await t.rejects(reuse({ parent: all, pageSize: 2 }), { code }, 'not for another size')
  await t.rejects(reuse({ parent: service, pageSize: 100 }), { code }, 'not for another parent')

  const ofAllJobs = await page(executions, 'listExecutions', { parent: `${place}/jobs/-` })
  t.strictSame(ofAllJobs, await page(executions, 'listExecutions', { parent: job }))
  t.strictSame(await page(executions, 'listExecutions', { parent: `${place}/jobs/other` }), { names: [], token: '' })
  t.strictSame((await page(jobs, 'listJobs', { parent: place })).names, ['runtime-migrate'])
  const elsewhere = 'projects/openagentsgemini/locations/europe-west1'
  t.strictSame((await page(services, 'listServices', { parent: elsewhere })).names, [])
})

t.test('lists can be unsorted, and omit deleted resources', async t => {
  const world = loadWorld({ revisions: { 'runtime-00039-hfm': { deleteTime: '-1h' } } }, now)
  const { revisions } = await buildCloudRun(t, { world, order: 'shuffled' })
  const { names } = await page(revisions, 'listRevisions', { parent: service })
  t.not(names.join(), names.toSorted().reverse().join(), 'not the newest first')
  t.strictSame(names.toSorted(), ['runtime-00040-dqs', 'runtime-00041-wpz', 'runtime-00042-kxb'])
  t.equal((await page(revisions, 'listRevisions', { parent: service, showDeleted: true })).names.length, 4)
})

t.test('a fault applies to matching calls, as often as configured', async t => {
  const { services, jobs, cloudRun } = await buildCloudRun(t)
  const getService = (timeout?: number) => call(services, 'getService', { name: service }, timeout)
  const befall = (...faults: Message[]) => cloudRun.setWorld(loadWorld({ faults } as unknown as WorldPatch, now))
  const { PERMISSION_DENIED, UNAVAILABLE, DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED } = grpc.status

  befall({ method: 'Get*', resource: 'services/runtime', code: 'PERMISSION_DENIED' })
  await t.rejects(getService(), {
    code: PERMISSION_DENIED,
    details: /^Permission 'run\.services\.get' denied on resource/,
  })
  await t.resolves(call(jobs, 'getJob', { name: job }), 'another method and resource')
  befall({ resource: 'time', code: 'INTERNAL' })
  await t.resolves(getService(), 'a name is matched by whole segments')

  befall({ code: 'UNAVAILABLE', times: 1 }, { code: 'RESOURCE_EXHAUSTED', times: 1, message: 'slow down' })
  await t.rejects(getService(), { code: UNAVAILABLE })
  await t.rejects(getService(), { code: RESOURCE_EXHAUSTED, details: 'slow down' })
  await t.resolves(getService(), 'then they are used up')

  befall({ empty: true })
  t.match(await getService(), [{ name: '', template: null }])
  befall({ hang: true })
  await t.rejects(getService(100), { code: DEADLINE_EXCEEDED })
  befall({ latencyMs: 60_000 })
  await t.rejects(getService(100), { code: DEADLINE_EXCEEDED })
  befall({ latencyMs: 1 })
  t.match(await getService(), [{ name: service }], 'late, and right')
})

t.test('closing ends the calls in progress, and a port in use is an error', async t => {
  const { services, cloudRun } = await buildCloudRun(t, { world: loadWorld({ faults: [{ hang: true }] }, now) })
  const hanging = t.rejects(call(services, 'getService', { name: service }), { code: grpc.status.CANCELLED })
  while (cloudRun.calls.all.length === 0) await new Promise(resolve => setImmediate(resolve))
  await t.rejects(startCloudRun({ port: Number(cloudRun.host.split(':')[1]) }), { message: /EADDRINUSE|bind/ })
  await cloudRun.close()
  await hanging
})

const checks = [...checkKinds].sort()
const statuses = ['in_sync', 'pending', 'drifted', 'unknown']

t.test('every scenario has a file, a valid world and an expected status of every check', async t => {
  const files = readdirSync(new URL('../../sandbox/scenarios', import.meta.url)).map(file => file.replace('.yaml', ''))
  t.strictSame(files.toSorted(), scenarioNames.toSorted())
  for (const name of scenarioNames) {
    const { description, expect, error, patch } = readScenario(name)
    t.doesNotThrow(() => loadWorld(patch, now), name)
    t.match(description, /^.{10,95}[^.]$/, `${name} has a description of one clause`)
    t.strictSame(Object.keys(expect).sort(), checks, `${name} covers every check`)
    t.ok(
      Object.values(expect).every(status => statuses.includes(status)),
      `${name} expects statuses`,
    )
    t.equal(Object.values(expect).includes('unknown'), error !== null, `${name} has an error if a check is unknown`)
  }
})

t.test('no scenario changes immutable resources: it adds new ones', async t => {
  const seen = new Map<string, string>()
  for (const name of scenarioNames) {
    const { revisions, executions } = loadWorld(readScenario(name).patch, now)
    for (const [resource, { containers, template, createTime }] of Object.entries({ ...revisions, ...executions })) {
      const content = JSON.stringify({ containers, template, createTime })
      t.equal(content, seen.get(resource) ?? content, `${name}: ${resource}`)
      seen.set(resource, content)
    }
  }
})

t.test('a mistyped scenario name brings suggestions', async t => {
  t.strictSame(nearScenarios('helthy'), ['healthy'])
  t.ok(nearScenarios('job-left').includes('job-left-behind'))
  t.strictSame(nearScenarios('xyzzy'), [])
})

const ownRoles = "SELECT rolname FROM pg_roles WHERE rolname LIKE 'oa\\_%' OR rolname = 'driftwatch' ORDER BY 1"
const databases = 'SELECT datname FROM pg_database WHERE NOT datistemplate ORDER BY 1'

t.test('a database on an existing server is created, reset and removed', async t => {
  const server = await startServer()
  t.teardown(() => server.stop())
  const root = server.url('postgres', 'postgres', server.password)
  const postgres = await startPostgres({ server: root })
  t.equal(postgres.superuser, 'postgres')
  const rights = await runSql(
    postgres.url,
    "SELECT has_schema_privilege('runtime', 'USAGE'), rolsuper FROM pg_roles WHERE rolname = current_user",
  )
  t.strictSame(rights, [[false, false]], 'Driftwatch has no privileges')

  const granted = "SELECT has_table_privilege('reporting', 'runtime.runs', 'SELECT')"
  await postgres.reset({ sql: 'GRANT SELECT ON runtime.runs TO reporting; DROP TABLE control.api_keys' })
  t.strictSame(await runSql(postgres.adminUrl, granted), [[true]])
  await runSql(
    postgres.adminUrl,
    'GRANT oa_runtime_rw TO contractors WITH ADMIN OPTION; SET ROLE contractors; GRANT oa_runtime_rw TO reporting',
  )
  await postgres.reset()
  t.strictSame(await runSql(postgres.adminUrl, granted), [[false]])
  t.strictSame(await runSql(postgres.adminUrl, "SELECT to_regclass('control.api_keys') IS NULL"), [[false]])
  t.strictSame(
    await runSql(root, "SELECT count(*)::int FROM pg_auth_members WHERE roleid = 'oa_runtime_rw'::regrole"),
    [[0]],
  )

  await postgres.reset({ down: true })
  await t.rejects(runSql(postgres.url, 'SELECT 1'), { code: '55000' })
  await postgres.close()
  t.strictSame(await runSql(root, ownRoles), [])
  t.strictSame(await runSql(root, databases), [['postgres']])

  await runSql(root, 'CREATE ROLE oa_runtime_rw')
  await t.rejects(startPostgres({ server: root }), { message: /a role oa_runtime_rw that the sandbox did not create/ })
  t.strictSame(await runSql(root, ownRoles), [['oa_runtime_rw']], 'the existing role is not dropped')
})

t.test('a broken template is recreated, and the first start reports progress', async t => {
  const temporary = mkdtempSync(join(tmpdir(), 'driftwatch-test-'))
  chmodSync(temporary, 0o755)
  const { TMPDIR: before } = process.env
  process.env.TMPDIR = temporary
  t.teardown(() => {
    if (before === undefined) delete process.env.TMPDIR
    else process.env.TMPDIR = before
    rmSync(temporary, { recursive: true, force: true })
  })
  const progress: string[] = []
  const start = async () => {
    const server = await startServer({ onProgress: line => progress.push(line) })
    await server.stop()
  }
  await start()
  t.match(progress, [/^Preparing PostgreSQL 18/])
  await start()
  t.equal(progress.length, 1, 'the second start has nothing to prepare')
  const [cache = ''] = readdirSync(temporary)
  const [version = ''] = readdirSync(join(temporary, cache))
  rmSync(join(temporary, cache, version, 'data', 'global', 'pg_control'))
  await start()
  t.equal(progress.length, 2)
  t.strictSame(readdirSync(temporary), [cache], 'servers leave nothing behind')
  if (process.getuid) {
    chmodSync(join(temporary, cache), 0o777)
    await t.rejects(
      start(),
      { message: /is writable by other users/ },
      'programs that others may have written are not run',
    )
  }
})

async function runScenario(tmpdir: string, ...args: string[]) {
  const child = spawn(process.execPath, ['sandbox/scenario.ts', ...args], {
    env: { ...process.env, PORT: '8080', TMPDIR: tmpdir },
  })
  const exited = new Promise(resolve => child.once('close', resolve))
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)])
  return { code: await exited, stdout, stderr }
}

t.test('npm run scenario lists and injects scenarios, and explains errors', async t => {
  const tmpdir = t.testdir()
  const list = await runScenario(tmpdir)
  t.equal(list.code, 0)
  for (const name of scenarioNames) t.match(list.stdout, `  ${name} `)
  t.strictSame(await runScenario(tmpdir, 'helthy'), {
    code: 1,
    stdout: '',
    stderr: 'Unknown scenario "helthy". Did you mean healthy?\n',
  })
  t.match(await runScenario(tmpdir, 'a', 'b'), { code: 1, stderr: /^Expected one scenario, got 2/ })
  t.match(await runScenario(tmpdir, 'healthy'), { code: 1, stderr: /^No sandbox is running on port 8080/ })

  const before = process.env.TMPDIR
  process.env.TMPDIR = tmpdir
  t.teardown(() => {
    if (before === undefined) delete process.env.TMPDIR
    else process.env.TMPDIR = before
  })
  const injected: string[] = []
  const control = await startControl('http://127.0.0.1:8080', name => injected.push(name))
  t.teardown(() => control.close())
  const done = await runScenario(tmpdir, 'job-left-behind')
  t.match(done, { code: 0, stderr: '', stdout: /job-image +drifted/ })
  t.match(done.stdout, "curl 'http://127.0.0.1:8080/drift?format=text'")
  t.match(await runScenario(tmpdir, 'api-down'), { code: 0, stdout: /UNAVAILABLE/ })
  t.strictSame(injected, ['job-left-behind', 'api-down'])
  await control.close()
  t.equal(await injectIntoSandbox('healthy', '8080'), null, 'a sandbox that ended is not found')
})

t.test("the service's log is readable, and repeated lines are omitted", async t => {
  const line = (time: string, ms: number) =>
    JSON.stringify({ severity: 'WARNING', time, message: 'probe failed', code: 'UNAVAILABLE', ms })
  t.equal(readableLogLine(line('2026-11-23T12:34:56.789Z', 7)), '12:34:56 WARNING probe failed code=UNAVAILABLE ms=7')
  t.equal(readableLogLine('plain words'), 'plain words')

  const shown: string[] = []
  const log = withoutRepeats(each => shown.push(each))
  log.take(line('2026-11-23T12:34:56.789Z', 7))
  log.take(line('2026-11-23T12:34:58.789Z', 11))
  log.take('plain words')
  t.equal(shown.length, 2)
  log.forget()
  log.take('plain words')
  t.equal(shown.length, 3)
})
