import { PassThrough } from 'node:stream'
import t, { type Test } from 'tap'
import { type CloudRun, startCloudRun } from '../../sandbox/cloud-run.ts'
import { loadWorld, type WorldPatch } from '../../sandbox/world.ts'
import { runCli } from '../../src/cli/cli.ts'
import { systemClock } from '../../src/clock.ts'
import { createLog } from '../../src/cloud-log.ts'
import type { Config } from '../../src/config/config.ts'
import { readEnvironment } from '../../src/config/environment.ts'
import { parseConfig } from '../../src/config/load.ts'
import { createMetrics } from '../../src/metrics/metrics.ts'
import { buildReport, type Report } from '../../src/report/report.ts'
import { renderText } from '../../src/report/text.ts'
import { startServer } from '../../src/server.ts'
import { createWatch, type Watch } from '../../src/watch.ts'
import { type AdvancedClock, createAdvancedClock } from '../helpers/clock.ts'
import { type FleetStack, fleetSince, fleetWorld, labelsOf, project, region } from '../helpers/fleet.ts'
import { type GrpcProxy, startGrpcProxy } from '../helpers/grpc-proxy.ts'
import { until } from '../helpers/until.ts'

interface Bench {
  readonly watch: Watch
  readonly clock: AdvancedClock
  readonly emulator: CloudRun
  /** Between Driftwatch and the emulator, with the option `proxied`. */
  readonly proxy: GrpcProxy
  /** The requests to Cloud Run that a cycle makes. */
  cycle(): Promise<Record<string, number>>
  report(): Report
  /** The monitored stacks, with the worst status of each. */
  stacks(): Record<string, string>
  /** Replaces the world of the emulator. */
  become(stacks: readonly FleetStack[], patch?: WorldPatch): void
  log(): Record<string, unknown>[]
}

function buildConfig(override: object = {}): Config {
  const file = { timeout: '5s', discover: [{ projects: [project], regions: [region] }], ...override }
  return parseConfig(JSON.stringify(file), 'test.yaml', {})
}

async function build(
  t: Test,
  stacks: readonly FleetStack[],
  options: { config?: Config; patch?: WorldPatch; maxPageSize?: number; proxied?: boolean } = {},
): Promise<Bench> {
  const { config = buildConfig(), patch = {}, maxPageSize = 100 } = options
  const worldOf = (fleet: readonly FleetStack[], more: WorldPatch) =>
    loadWorld({ ...fleetWorld(fleet), ...more }, fleetSince)
  const emulator = await startCloudRun({ world: worldOf(stacks, patch), maxPageSize })
  const proxy = await startGrpcProxy(() => emulator.host)
  const clock = createAdvancedClock()
  const stream = new PassThrough()
  let text = ''
  stream.on('data', chunk => {
    text += chunk
  })
  const watch = createWatch({
    config,
    environment: readEnvironment({
      CLOUD_RUN_EMULATOR_HOST: options.proxied ? `127.0.0.1:${proxy.port}` : emulator.host,
    }),
    clock,
    log: createLog({ level: 'info', clock, stream }),
  })
  t.teardown(async () => {
    await watch.close()
    await proxy.close()
    await emulator.close()
  })
  const report = () => buildReport(watch.store.snapshot(clock.now()))
  return {
    watch,
    clock,
    emulator,
    proxy,
    report,
    async cycle() {
      emulator.calls.clear()
      await watch.runCycle()
      return emulator.calls.counts()
    },
    stacks: () => Object.fromEntries(report().stacks.map(({ name, status }) => [name, status])),
    become: (fleet, more = {}) => emulator.setWorld(worldOf(fleet, more)),
    log: () => {
      const lines = text.split('\n').filter(line => line !== '')
      return lines.map(line => JSON.parse(line))
    },
  }
}

const statusOf = (report: Report, stack: string, check: string) =>
  report.stacks.find(({ name }) => name === stack)?.checks.find(each => each.check === check)?.status

const problemsOf = ({ discovery }: Report) => (discovery ?? []).flatMap(({ problems }) => problems)

t.test('a steady cycle costs the pages of the fleet, and one call for each change', async t => {
  for (const size of [1, 10, 100, 1000]) {
    const fleet = Array.from({ length: size }, (_, index) => ({ name: `app-${index}` }))
    const config = buildConfig({ timeout: '20s' })
    const { cycle, stacks, become } = await build(t, fleet, { config })
    await cycle()
    const pages = Math.ceil(size / 100)
    for (const _ of [1, 2])
      t.strictSame(await cycle(), { ListServices: pages, ListJobs: pages }, `${size} stacks, steady`)
    t.equal(Object.keys(stacks()).length, size)
    t.strictSame([...new Set(Object.values(stacks()))], ['in_sync'])
    const [first, ...rest] = fleet as [FleetStack]
    become([{ ...first, serviceLabels: { ...labelsOf(first.name, 'service'), changed: 'yes' } }, ...rest])
    t.strictSame(await cycle(), { ListServices: pages, ListJobs: pages, GetRevision: 1 }, `${size} stacks, one changed`)
  }
})

t.test('a new stack is judged in the cycle that finds it, and a removed stack leaves nothing behind', async t => {
  const { cycle, stacks, become, report, watch, clock, log } = await build(t, [{ name: 'one' }])
  await cycle()
  t.strictSame(stacks(), { one: 'in_sync' })
  become([{ name: 'one' }, { name: 'two' }])
  await cycle()
  t.strictSame(stacks(), { one: 'in_sync', two: 'in_sync' })
  t.match(report(), {
    status: 'in_sync',
    discovery: [{ project, region, status: 'in_sync', stacks: 2, error: null }],
  })
  const since = report().stacks[0]?.checks[0]?.since

  become([{ name: 'one' }])
  t.strictSame(
    await cycle(),
    { ListServices: 1, ListJobs: 1, GetService: 1, GetJob: 1 },
    'a get confirms that it was deleted',
  )
  t.strictSame(stacks(), { one: 'in_sync' })
  t.equal(report().stacks[0]?.checks[0]?.since, since)
  const metrics = createMetrics({ build: { version: '1', node: 'v24' } })
  metrics.update(watch.store.snapshot(clock.now()))
  const text = metrics.drift().toString()
  t.notMatch(text, 'two')
  t.match(text, `driftwatch_discovered_stacks{project="${project}",region="${region}"} 1\n`)
  t.match(text, `driftwatch_discovery_unknown{project="${project}",region="${region}"} 0\n`)
  t.match(
    log().filter(({ message }) => message === 'discovered stacks changed'),
    [{ found: ['one'] }, { found: ['two'], removed: [] }, { found: [], removed: ['two'] }],
  )
})

t.test('a failed list never removes stacks', async t => {
  const both = [{ name: 'one' }, { name: 'two' }]
  const cases: Record<string, { fault: object; code: string }> = {
    denied: { fault: { method: 'List*', code: 'PERMISSION_DENIED' }, code: 'PERMISSION_DENIED' },
    unreachable: { fault: { method: 'List*', code: 'UNAVAILABLE' }, code: 'UNAVAILABLE' },
    'one of the two lists': { fault: { method: 'ListJobs', code: 'INTERNAL' }, code: 'INTERNAL' },
    'an incomplete list': { fault: { method: 'ListServices', unreachable: [region] }, code: 'UNAVAILABLE' },
    'never-ending pages': { fault: { method: 'ListServices', endless: true }, code: 'MALFORMED_RESPONSE' },
    'a list that does not respond': { fault: { method: 'ListServices', hang: true }, code: 'DEADLINE_EXCEEDED' },
  }
  for (const [title, { fault, code }] of Object.entries(cases)) {
    const config = buildConfig({ timeout: '2s', staleAfter: '5m' })
    const { cycle, stacks, become, report, clock } = await build(t, both, { config })
    await cycle()
    become(both, { faults: [fault] as unknown as WorldPatch })
    await cycle()
    t.strictSame(stacks(), { one: 'in_sync', two: 'in_sync' }, title)
    t.match(report(), { status: 'in_sync', discovery: [{ status: 'in_sync', stacks: 2, error: { code } }] }, title)
    clock.advance(6 * 60_000)
    await cycle()
    t.match(report(), { status: 'unknown', discovery: [{ status: 'unknown', stacks: 2 }] }, `${title}, for too long`)
    t.strictSame(Object.keys(stacks()), ['one', 'two'])
    become(both)
    await cycle()
    t.match(report(), { status: 'in_sync', discovery: [{ status: 'in_sync', error: null }] }, `${title}, and back`)
  }
})

t.test('an unreadable service makes only its own stack unknown, and does not remove it', async t => {
  const both = [{ name: 'one' }, { name: 'two' }]
  const config = buildConfig({ staleAfter: '5m' })
  const { cycle, stacks, report, clock, proxy } = await build(t, both, { config, proxied: true })
  await cycle()
  t.strictSame(stacks(), { one: 'in_sync', two: 'in_sync' })
  proxy.spoil([`projects/${project}/locations/${region}/services/one`])
  clock.advance(6 * 60_000)
  await cycle()
  t.strictSame(stacks(), { one: 'unknown', two: 'in_sync' })
  t.match(report().discovery, [{ stacks: 2, error: { code: 'MALFORMED_RESPONSE', message: /services\/one: / } }])
  proxy.spoil([])
  await cycle()
  t.strictSame(stacks(), { one: 'in_sync', two: 'in_sync' })
  t.match(report().discovery, [{ status: 'in_sync', error: null }])
})

t.test('a place that cannot be listed becomes stale after the same time when the wall clock is set', async t => {
  const both = [{ name: 'one' }, { name: 'two' }]
  for (const ms of [3_600_000, -3_600_000]) {
    const config = buildConfig({ timeout: '2s', staleAfter: '5m' })
    const { cycle, become, report, clock } = await build(t, both, { config })
    await cycle()
    clock.set(ms)
    become(both, { faults: [{ method: 'ListServices', code: 'PERMISSION_DENIED' }] })
    clock.advance(4 * 60_000)
    await cycle()
    t.match(report(), { discovery: [{ status: 'in_sync', error: { code: 'PERMISSION_DENIED' } }] }, `${ms}`)
    clock.advance(2 * 60_000)
    await cycle()
    t.match(report(), { discovery: [{ status: 'unknown', error: { code: 'PERMISSION_DENIED' } }] }, `${ms}, too long`)
  }
})

t.test('an empty list removes nothing: a get decides whether a stack was deleted', async t => {
  const { cycle, stacks, become } = await build(t, [{ name: 'one' }])
  await cycle()
  become([{ name: 'one' }], { faults: [{ method: 'List*', empty: true }] })
  await cycle()
  t.strictSame(stacks(), { one: 'in_sync' })
})

t.test('a place that was never listed is unknown, and the others are still monitored', async t => {
  const config = buildConfig({ timeout: '2s', discover: [{ projects: [project], regions: [region, 'europe-west1'] }] })
  for (const fault of [{ code: 'UNAVAILABLE' as const }, { hang: true }]) {
    const faults = [{ ...fault, resource: '*europe-west1*' }]
    const { cycle, report, stacks, become } = await build(t, [{ name: 'one' }], { config, patch: { faults } })
    await cycle()
    t.strictSame(stacks(), { one: 'in_sync' })
    t.match(report(), {
      status: 'unknown',
      discovery: [
        { region, status: 'in_sync', stacks: 1 },
        {
          region: 'europe-west1',
          status: 'unknown',
          observedAt: null,
          error: { code: /UNAVAILABLE|DEADLINE_EXCEEDED/ },
        },
      ],
    })
    t.match(renderText(report(), { color: false }), /^UNKNOWN {2}.*\n\n\? discovery in openagentsgemini, europe-west1/)
    become([{ name: 'one' }, { name: 'two', region: 'europe-west1' }])
    await cycle()
    t.strictSame(stacks(), { one: 'in_sync', two: 'in_sync' })
    t.equal(report().status, 'in_sync')
  }
})

t.test('a stack whose service was deleted stays while its job exists', async t => {
  const { cycle, report, become } = await build(t, [{ name: 'one' }])
  await cycle()
  become([{ name: 'one', hasService: false }])
  await cycle()
  t.equal(statusOf(report(), 'one', 'service-image'), 'drifted')
  t.equal(report().status, 'drifted')
  t.match(problemsOf(report()), [{ stack: 'one', message: /job one-migrate has this label, but no service has it/ }])
  become([])
  await cycle()
  t.match(report(), { status: 'unknown', error: { code: 'NOTHING_WATCHED' }, stacks: [] })
})

t.test('no labels, or too few, are unknown with a code: nothing watched is not healthy', async t => {
  const atLeast = (count: number) => ({ discover: [{ projects: [project], regions: [region], atLeast: count }] })
  const one = [{ name: 'one' }]
  const cases = {
    'nothing is labelled': { stacks: [], config: buildConfig(), code: 'NOTHING_WATCHED' },
    'nothing is labelled, and one is required': { stacks: [], config: buildConfig(atLeast(1)), code: 'TOO_FEW_STACKS' },
    'one of two': { stacks: one, config: buildConfig(atLeast(2)), code: 'TOO_FEW_STACKS' },
    'one of one': { stacks: one, config: buildConfig(atLeast(1)), code: null },
    'one listed, none labelled': {
      stacks: [{ name: 'one', serviceLabels: null, jobLabels: null }],
      config: buildConfig({ ...atLeast(1), stacks: [{ name: 'mine', project, region, service: { name: 'one' } }] }),
      code: 'TOO_FEW_STACKS',
    },
    'one listed and labelled': {
      stacks: one,
      config: buildConfig({ ...atLeast(1), stacks: [{ name: 'mine', project, region, service: { name: 'one' } }] }),
      code: null,
    },
  }
  for (const [title, { stacks, config, code }] of Object.entries(cases)) {
    const { cycle, report } = await build(t, stacks, { config })
    await cycle()
    const { status, error } = report()
    t.strictSame([status, error?.code ?? null], [code === null ? 'in_sync' : 'unknown', code], title)
    const text = renderText(report(), { color: false })
    if (code !== null) t.match(text, `Error: ${code}: `, title)
  }
})

t.test('without a labelled stack the gate returns 503 and check exits with 1', async t => {
  const { emulator, clock } = await build(t, [])
  const config = { ...buildConfig(), host: '127.0.0.1' }
  const environment = readEnvironment({ CLOUD_RUN_EMULATOR_HOST: emulator.host, PORT: '0' })
  const log = createLog({ level: 'silent', clock })
  const server = await startServer({ config, environment, clock, log, nodeVersion: process.version })
  t.teardown(() => server.close())
  const get = (path: string) => fetch(`http://127.0.0.1:${server.port}${path}`)
  await until(async () => (await get('/health/ready')).ok)
  const gate = await get('/drift/gate')
  t.equal(gate.status, 503)
  t.match(await gate.json(), { status: 'unknown', error: { code: 'NOTHING_WATCHED' } })
  t.match(await (await get('/drift?check=schema')).json(), { status: 'unknown' })
})

t.test('ambiguous labels are reported, nothing is guessed, and known stacks stay', async t => {
  const labelled = (name: string, stack: string): FleetStack => ({
    name,
    serviceLabels: labelsOf(stack, 'service'),
    jobLabels: labelsOf(stack, 'migrate'),
  })
  const cases: Record<string, { stacks: FleetStack[]; problem: RegExp; watched: string[]; known?: boolean }> = {
    'two services with one label': {
      stacks: [labelled('one', 'one'), { ...labelled('two', 'one'), hasJob: false }],
      problem: /^driftwatch-stack=one: services one and two have this label; only one is allowed$/,
      watched: [],
      known: true,
    },
    'two jobs with one label': {
      stacks: [labelled('one', 'one'), { ...labelled('two', 'one'), hasService: false }],
      problem: /^driftwatch-stack=one: jobs one-migrate and two-migrate have this label; only one is allowed$/,
      watched: ['one'],
      known: true,
    },
    'a service without its job': {
      stacks: [{ name: 'one', hasJob: false }],
      problem: /^driftwatch-stack=one: service one has this label, but no job has it$/,
      watched: ['one'],
    },
    'a job without its service': {
      stacks: [{ name: 'one', hasService: false }],
      problem: /^driftwatch-stack=one: job one-migrate has this label, but no service has it$/,
      watched: [],
    },
    'a reserved name': {
      stacks: [labelled('one', 'gate')],
      problem: /^(service one|job one-migrate) has the label driftwatch-stack=gate, which is not a valid stack name/,
      watched: [],
    },
    'a name with invalid characters': {
      stacks: [labelled('one', '1_st')],
      problem: /has the label driftwatch-stack=1_st, which is not a valid stack name/,
      watched: [],
    },
    'no role': {
      stacks: [{ name: 'one', serviceLabels: { 'driftwatch-stack': 'one' }, hasJob: false }],
      problem:
        /^service one has the label driftwatch-stack=one but no driftwatch-role: a service needs driftwatch-role=service$/,
      watched: [],
    },
    'a role of another kind': {
      stacks: [{ name: 'one', jobLabels: labelsOf('one', 'service') }],
      problem: /^job one-migrate has the labels .* and driftwatch-role=service: a job needs driftwatch-role=migrate$/,
      watched: ['one'],
    },
  }
  const other = { name: 'other' }
  for (const [title, { stacks: labels, problem, watched, known }] of Object.entries(cases)) {
    const { cycle, stacks, report, become } = await build(t, [other, ...labels])
    await cycle()
    t.match(report(), { status: 'unknown', discovery: [{ status: 'unknown', error: null }] }, title)
    t.match(problemsOf(report())[0]?.message, problem, title)
    t.strictSame(Object.keys(stacks()).toSorted(), ['other', ...watched].toSorted(), title)
    t.equal(stacks().other, 'in_sync', `${title}: the other stacks are monitored`)
    become([other])
    await cycle()
    t.match(report(), { status: 'in_sync', discovery: [{ problems: [] }] }, `${title}, and fixed`)
    if (!known) continue
    become([other, labelled('one', 'one')])
    await cycle()
    become([other, ...labels])
    await cycle()
    t.match(report().status, 'unknown')
    t.match(report().stacks.find(({ name }) => name === 'one')?.checks.length, 3, `${title}: its state does not change`)
  }
})

t.test('if jobs are optional, a service without a job is complete', async t => {
  const config = buildConfig({ discover: [{ projects: [project], regions: [region], jobs: 'optional' }] })
  const { cycle, report, become } = await build(t, [{ name: 'one', hasJob: false }], { config })
  await cycle()
  t.match(report(), { status: 'in_sync', discovery: [{ problems: [] }] })
  t.strictSame(
    report().stacks[0]?.checks.map(({ check }) => check),
    ['service-image'],
  )
  const since = report().stacks[0]?.checks[0]?.since
  become([{ name: 'one' }])
  await cycle()
  t.equal(report().stacks[0]?.checks.length, 3, 'a new job is monitored')
  t.equal(report().stacks[0]?.checks[0]?.since, since, 'and the state of the service is kept')
  become([{ name: 'one', hasJob: false }])
  await cycle()
  t.equal(report().stacks[0]?.checks.length, 1)
})

t.test('two stacks with one name: neither of two new ones is monitored, and the known one stays', async t => {
  const config = buildConfig({ discover: [{ projects: [project], regions: [region, 'europe-west1'] }] })
  const there = { name: 'same', region: 'europe-west1' }
  const both = [{ name: 'same' }, there]
  const { cycle, stacks, report, become } = await build(t, both, { config })
  await cycle()
  t.strictSame(stacks(), {})
  t.match(report(), { status: 'unknown', discovery: [{ status: 'unknown' }, { status: 'unknown' }] })
  t.match(problemsOf(report())[0]?.message, /a stack with this name is also labelled in openagentsgemini, europe-west1/)
  become([there])
  await cycle()
  t.match(report(), { status: 'in_sync', stacks: [{ name: 'same', region: 'europe-west1' }] })
  become(both)
  await cycle()
  t.match(report(), { status: 'unknown', stacks: [{ name: 'same', region: 'europe-west1', status: 'unknown' }] })
  t.strictSame([...new Set(report().stacks[0]?.checks.map(({ status }) => status))], ['in_sync'])
})

t.test('a listed stack is completed from the labels of its service, and its own keys take precedence', async t => {
  const listed = (parts: object) => ({ name: 'mine', project, region, service: { name: 'one' }, ...parts })
  const seen = async (stack: object, fleet: FleetStack[]) => {
    const context = await build(t, fleet, {
      config: buildConfig({ stacks: [stack], defaults: { job: { maxDuration: '1m' } } }),
    })
    await context.cycle()
    return { ...context, stacks: context.watch.stacks() }
  }
  const team = { ...labelsOf('one', 'service'), team: 'core', tier: 'a' }
  const filled = await seen(listed({ labels: { tier: 'b' } }), [{ name: 'one', serviceLabels: team }])
  t.match(filled.stacks, [
    { name: 'mine', labels: { team: 'core', tier: 'b' }, job: { name: 'one-migrate', maxDurationMs: 60_000 } },
  ])
  t.equal(filled.report().status, 'in_sync')
  const own = await seen(listed({ job: { name: 'other-migrate' } }), [{ name: 'one' }, { name: 'other' }])
  t.match(
    own.stacks.map(({ name, job }) => [name, job?.name]),
    [
      ['mine', 'other-migrate'],
      ['other', 'other-migrate'],
    ],
  )
  const byJob = await seen(listed({}), [{ name: 'one', serviceLabels: null, jobLabels: labelsOf('mine', 'migrate') }])
  t.equal(byJob.stacks[0]?.job?.name, 'one-migrate', 'matched by name only')
  const taken = await seen(listed({ job: { name: 'one-migrate' } }), [
    { name: 'one', serviceLabels: null, jobLabels: null },
    { name: 'two', serviceLabels: labelsOf('mine', 'service'), jobLabels: labelsOf('mine', 'migrate') },
  ])
  t.match(taken.stacks, [{ name: 'mine', service: { name: 'one' } }])
  t.match(taken.report().status, 'unknown')
  t.match(
    problemsOf(taken.report())[0]?.message,
    /the configuration lists another stack with this name \(service one in/,
  )
})

t.test('the commands find a stack by its labels', async t => {
  const { emulator } = await build(t, [{ name: 'one' }, { name: 'two', hasJob: false }])
  const file = `${t.testdir({
    'driftwatch.yaml': JSON.stringify({ discover: [{ projects: [project], regions: [region] }] }),
  })}/driftwatch.yaml`
  const run = async (...argv: string[]) => {
    const [stdout, stderr] = [[] as string[], [] as string[]]
    const code = await runCli([...argv, '--config', file], {
      stdout: { write: (text: string) => stdout.push(text) },
      stderr: { write: (text: string) => stderr.push(text) },
      variables: { CLOUD_RUN_EMULATOR_HOST: emulator.host },
      clock: systemClock,
      nodeVersion: process.version,
      signal: new AbortController().signal,
    })
    return { code, stdout: stdout.join(''), stderr: stderr.join('') }
  }
  t.match(await run('check', '--stack', 'one'), { code: 0, stdout: /^IN SYNC/ })
  t.match(await run('check', '--stack', 'one', '--only', 'schema'), {
    code: 1,
    stdout: /^UNKNOWN[\s\S]*NOTHING_WATCHED/,
  })
  t.match(await run('check', '--stack', 'two'), { code: 1, stdout: /service two has this label, but no job has it/ })
  t.match(await run('check'), { code: 1, stdout: /^UNKNOWN[\s\S]*one \/ service-image/ })
  t.match(await run('check', '--stack', 'three'), {
    code: 1,
    stderr: /stack "three" not found: no labels match this name/,
  })
  t.match(await run('config'), { code: 0, stdout: /^discover:\n {2}- projects: \[openagentsgemini\]/m })
  t.match(await run('migrate', '--dry-run', '--stack', 'one'), { code: 0, stdout: /one-migrate/ })
  t.match(await run('migrate', '--dry-run'), { code: 1, stderr: /--stack is required\. Known stacks: "one", "two"\./ })
  t.match(await run('migrate', '--dry-run', '--stack', 'three'), {
    code: 1,
    stderr: /stack "three" not found: the known stacks are "one", "two"/,
  })
})

t.test('over HTTP each problem is reported and closes only the gates that it concerns', async t => {
  const [here, there, closed, endless] = [region, 'europe-west1', 'asia-east1', 'europe-north1'] as const
  const fleet: FleetStack[] = [
    { name: 'fine' },
    { name: 'alone', hasJob: false },
    { name: 'one', serviceLabels: labelsOf('twice', 'service'), jobLabels: labelsOf('twice', 'migrate') },
    { name: 'other', serviceLabels: labelsOf('twice', 'service'), hasJob: false },
    { name: 'same' },
    { name: 'same', region: there },
    { name: 'abroad', region: there },
  ]
  const faults = [
    { code: 'UNAVAILABLE', resource: `*${closed}*` },
    { method: 'ListServices', endless: true, resource: `*${endless}*` },
  ]
  const emulator = await startCloudRun({ world: loadWorld({ ...fleetWorld(fleet), faults }, fleetSince) })
  const yearly = { schedule: '0 0 1 1 *', staleAfter: '400d', timeout: '20s', host: '127.0.0.1' }
  const service = await startServer({
    config: buildConfig({ ...yearly, discover: [{ projects: [project], regions: [here, there, closed, endless] }] }),
    environment: readEnvironment({ CLOUD_RUN_EMULATOR_HOST: emulator.host, PORT: '0' }),
    clock: systemClock,
    log: createLog({ level: 'silent', clock: systemClock }),
    nodeVersion: process.version,
  })
  t.teardown(async () => {
    await service.close()
    await emulator.close()
  })
  const get = (path: string) => fetch(`http://127.0.0.1:${service.port}${path}`)
  const report = await until(async () => {
    const now = (await (await get('/drift')).json()) as Report
    return now.cycle !== null && now
  })
  t.equal(report.status, 'unknown')
  t.strictSame(Object.fromEntries(report.stacks.map(({ name, status }) => [name, status])), {
    fine: 'in_sync',
    abroad: 'in_sync',
    alone: 'unknown',
  })
  const places = Object.fromEntries((report.discovery ?? []).map(place => [place.region, place]))
  t.match(places[closed], { status: 'unknown', observedAt: null, error: { code: 'UNAVAILABLE' } })
  t.match(places[endless], { status: 'unknown', observedAt: null, error: { code: 'MALFORMED_RESPONSE' } })
  t.match(places[there], { status: 'unknown', error: null, problems: [{ stack: 'same' }] })
  const problems = Object.fromEntries((places[here]?.problems ?? []).map(({ stack, message }) => [stack, message]))
  t.match(problems, {
    alone: /service alone has this label, but no job has it/,
    twice: /services one and other have this label; only one is allowed/,
    same: /a stack with this name is also labelled in openagentsgemini, europe-west1/,
  })

  const gates = { '': 503, fine: 200, abroad: 200, alone: 503, twice: 404, same: 404 }
  for (const [stack, code] of Object.entries(gates)) {
    const answer = await get(stack === '' ? '/drift/gate' : `/drift/${stack}/gate`)
    t.equal(answer.status, code, `the gate of ${stack || 'all'}`)
    await answer.body?.cancel()
  }
  t.match(await (await get('/drift/alone?format=text')).text(), /^UNKNOWN[^\n]*\n {2}Problem: .*no\s+job\s+has/)
  const text = await (await get('/drift?format=text')).text()
  for (const [place, word] of [
    [here, 'Problem'],
    [there, 'Problem'],
    [closed, 'UNAVAILABLE'],
    [endless, 'MALFORMED'],
  ])
    t.match(text, new RegExp(`\\? discovery in ${project}, ${place} [^]*${word}`))
  const browser = { headers: { accept: 'text/html' } }
  const page = await (await fetch(`http://127.0.0.1:${service.port}/`, browser)).text()
  t.match(page, `discovery in ${project}, ${endless}<br>MALFORMED_RESPONSE`)

  const metrics = await (await get('/metrics')).text()
  const at = (place: string) => `{project="${project}",region="${place}"}`
  for (const place of [here, there, closed, endless]) t.match(metrics, `driftwatch_discovery_unknown${at(place)} 1\n`)
  t.match(metrics, `driftwatch_discovery_problems${at(here)} 3\n`)
  t.match(metrics, `driftwatch_discovered_stacks${at(here)} 2\n`)
  t.match(metrics, 'driftwatch_config_reload_failed 0\n')
})

t.test('a stack that loses its labels while its service exists', async t => {
  const hour = 3_600_000
  const unlabelled = [{ name: 'other' }, { name: 'one', serviceLabels: null, jobLabels: null }]
  const labelled = [{ name: 'other' }, { name: 'one' }]
  const off = { 'driftwatch-role': 'off' }
  const failing = buildConfig({ defaults: { service: { repositories: ['us-docker.pkg.dev/acme/apps/another'] } } })
  const start = async (t: Test, config = failing) => {
    const bench = await build(t, labelled, { config })
    await bench.cycle()
    bench.become(unlabelled)
    await bench.cycle()
    const one = () => bench.report().stacks.find(({ name }) => name === 'one')
    return { ...bench, one }
  }

  t.test('and was drifted stays unknown for a day', async t => {
    const { one, clock, cycle, become, watch } = await start(t)
    const routed = () => watch.stacks().some(({ name }) => name === 'one')
    t.ok(routed(), 'alert routes keep it')
    t.match(one(), { status: 'unknown', checks: [{ status: 'unknown', error: { code: 'LABEL_REMOVED' } }, {}, {}] })
    t.strictSame([...new Set(one()?.checks.map(({ error }) => error?.code))], ['LABEL_REMOVED'])
    clock.advance(23 * hour)
    await cycle()
    t.match(one(), { status: 'unknown', checks: [{ error: { code: 'LABEL_REMOVED' } }, {}, {}] })
    become(unlabelled, { faults: [{ method: 'List*', code: 'UNAVAILABLE' }] as unknown as WorldPatch })
    await cycle()
    t.match(one(), { status: 'unknown' }, 'a failed list changes nothing')
    become(unlabelled)
    clock.advance(2 * hour)
    await cycle()
    t.equal(one(), undefined)
    t.notOk(routed())
  })

  t.test('and was in sync leaves with a note of a day', async t => {
    const { one, clock, cycle, report } = await start(t, buildConfig())
    t.equal(one(), undefined)
    t.match(report(), { status: 'in_sync', notes: [/^Stack one is no longer watched/] })
    t.match(renderText(report(), { color: false }), 'Note: Stack one is no longer watched')
    clock.advance(25 * hour)
    await cycle()
    t.strictSame(report().notes, [])
  })

  t.test('and gets them back is judged again', async t => {
    const { one, cycle, become } = await start(t)
    become(labelled)
    await cycle()
    t.match(one(), { status: 'drifted', checks: [{ status: 'drifted', error: null }, {}, {}] })
  })

  const ends: Record<string, readonly FleetStack[]> = {
    'the role off on the service': [{ name: 'other' }, { name: 'one', serviceLabels: off, jobLabels: null }],
    'the role off on the service, with a labelled job': [{ name: 'other' }, { name: 'one', serviceLabels: off }],
    'a deleted service': [{ name: 'other' }],
  }
  for (const [title, stacks] of Object.entries(ends)) {
    t.test(`and leaves at once with ${title}`, async t => {
      const { one, cycle, become, report } = await start(t)
      become(stacks)
      await cycle()
      t.equal(one(), undefined)
      t.strictSame(report().notes, [])
      t.strictSame(problemsOf(report()), [])
    })
  }

  t.test('and leaves at once with its place', async t => {
    const { one, cycle, watch } = await start(t)
    watch.use(buildConfig({ discover: [{ projects: [project], regions: ['europe-west1'] }] }))
    await cycle()
    t.equal(one(), undefined)
  })
})
