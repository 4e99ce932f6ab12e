import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import t, { type Test } from 'tap'
import { type CloudRun, startCloudRun } from '../sandbox/cloud-run.ts'
import { buildFleet } from '../sandbox/fleet.ts'
import { startRegistry } from '../sandbox/registry.ts'
import { loadWorld, type WorldPatch } from '../sandbox/world.ts'
import { systemClock } from '../src/clock.ts'
import { createLog } from '../src/cloud-log.ts'
import type { Config } from '../src/config/config.ts'
import { readEnvironment } from '../src/config/environment.ts'
import { parseConfig } from '../src/config/load.ts'
import { createWatch, type Watch, type WatchListeners } from '../src/watch.ts'
import { startPostgres } from './helpers/postgres-server.ts'

const repository = 'us-central1-docker.pkg.dev/openagentsgemini/openagents-runtime/runtime-rust'

function buildConfig(names: readonly string[], timeout = '5s'): Config {
  const stacks = names.map(name => ({
    name,
    project: 'openagentsgemini',
    region: 'us-central1',
    service: { name, repositories: [repository] },
    job: { name: `${name}-migrate`, command: ['runtime-migrate'] },
  }))
  return parseConfig(JSON.stringify({ timeout, stacks }), 'test.yaml', {})
}

interface Bench {
  readonly watch: Watch
  readonly emulator: CloudRun
  /** The requests to Cloud Run that a cycle makes. */
  cycle(): Promise<Record<string, number>>
  statuses(): string[]
}

async function build(
  t: Test,
  options: { config: Config; patch?: WorldPatch; registry?: boolean; listeners?: Partial<WatchListeners> },
): Promise<Bench> {
  const world = loadWorld(options.patch)
  const emulator = await startCloudRun({ world })
  const registry = options.registry ? await startRegistry({ world: world.registry }) : null
  const watch = createWatch({
    config: options.config,
    environment: readEnvironment({
      CLOUD_RUN_EMULATOR_HOST: emulator.host,
      ...(registry && { ARTIFACT_REGISTRY_EMULATOR_HOST: registry.host }),
    }),
    clock: systemClock,
    log: createLog({ level: 'silent', clock: systemClock }),
    ...(options.listeners && { listeners: options.listeners }),
  })
  t.teardown(async () => {
    await watch.close()
    await Promise.all([emulator.close(), registry?.close()])
  })
  return {
    watch,
    emulator,
    async cycle() {
      emulator.calls.clear()
      await watch.runCycle()
      return emulator.calls.counts()
    },
    statuses: () =>
      watch.store.snapshot(systemClock.now()).stacks.flatMap(({ states }) => states.map(({ status }) => status)),
  }
}

t.test('an unchanged stack costs two Cloud Run calls a cycle', async t => {
  const { cycle, statuses } = await build(t, { config: buildConfig(['runtime']) })
  t.strictSame(await cycle(), { GetService: 1, GetJob: 1, GetRevision: 1, GetExecution: 1 }, 'the first cycle')
  t.strictSame(await cycle(), { GetService: 1, GetJob: 1 })
  t.strictSame(await cycle(), { GetService: 1, GetJob: 1 })
  t.strictSame(statuses(), ['in_sync', 'in_sync', 'in_sync'])
})

t.test('a hundred stacks in one region cost two calls a cycle', async t => {
  const { names, patch } = buildFleet(100)
  const { cycle, statuses } = await build(t, { config: buildConfig(names), patch })
  await cycle()
  for (const _ of [1, 2]) {
    const counts = await cycle()
    const sum = Object.values(counts).reduce((total, count) => total + count, 0)
    t.equal(sum, 2, JSON.stringify(counts))
  }
  t.ok(statuses().length === 300 && statuses().every(status => status === 'in_sync'))
})

t.test('a tag shared by two stacks is resolved once a cycle', async t => {
  const requests: string[] = []
  const { names, patch } = buildFleet(2)
  const { cycle, statuses } = await build(t, {
    config: buildConfig(names),
    patch,
    registry: true,
    listeners: { onApiRequest: (api, method, code) => api === 'registry' && requests.push(`${method} ${code}`) },
  })
  await cycle()
  t.strictSame(requests, ['HeadManifest OK'])
  await cycle()
  t.strictSame(requests, ['HeadManifest OK', 'HeadManifest OK'], 'and again in the next, since it may have moved')
  t.ok(statuses().every(status => status === 'in_sync'))
})

t.test('a failure of one stack does not affect the others', async t => {
  const { names, patch } = buildFleet(3)
  const faults = [{ method: 'GetRevision', resource: 'app-1/revisions/*', code: 'PERMISSION_DENIED' }]
  const { cycle, watch } = await build(t, { config: buildConfig(names), patch: { ...patch, faults } })
  await cycle()
  const [first, second, third] = watch.store.snapshot(systemClock.now()).stacks
  t.ok(first?.states.every(({ status }) => status === 'in_sync'))
  t.ok(third?.states.every(({ status }) => status === 'in_sync'))
  t.match(second?.states, [{ status: 'unknown', error: { code: 'PERMISSION_DENIED' } }, {}, {}])
})

t.test('a single failed probe keeps the last status and shows the error immediately', async t => {
  const { cycle, watch, emulator, statuses } = await build(t, { config: buildConfig(['runtime']) })
  await cycle()
  emulator.setWorld(loadWorld({ faults: [{ code: 'UNAVAILABLE' }] }))
  await cycle()
  t.strictSame(statuses(), ['in_sync', 'in_sync', 'in_sync'])
  const [stack] = watch.store.snapshot(systemClock.now()).stacks
  t.match(stack?.states, [{ error: { code: 'UNAVAILABLE' } }, { error: { code: 'UNAVAILABLE' } }, {}])
  const later = watch.store.snapshot((stack?.states[0]?.staleAt ?? 0) + 1)
  t.match(
    later.stacks[0]?.states,
    [{ status: 'unknown' }, { status: 'unknown' }, { status: 'unknown' }],
    'until it is stale',
  )
  emulator.setWorld(loadWorld())
  await cycle()
  const [healed] = watch.store.snapshot(systemClock.now()).stacks
  t.match(healed?.states, [{ status: 'in_sync', error: null }, { error: null }, { error: null }])
})

t.test('transitions are reported with their cycle, and first findings are not transitions', async t => {
  const told: string[] = []
  const { cycle, emulator } = await build(t, {
    config: buildConfig(['runtime']),
    listeners: {
      onChange: (_, transitions) =>
        told.push(transitions.map(({ check, from, to }) => `${check} ${from} ${to}`).join()),
    },
  })
  await cycle()
  emulator.setWorld(
    loadWorld({
      jobs: {
        'runtime-migrate': { template: { template: { containers: { 'runtime-migrate-1': { command: ['sh'] } } } } },
      },
    }),
  )
  await cycle()
  t.strictSame(told, ['', 'job-image in_sync drifted'])
})

/** A port that accepts every connection and sends nothing. */
async function listenInSilence(t: Test): Promise<number> {
  const server = createServer(socket => socket.on('error', () => {}).resume())
  const sockets = new Set<{ destroy(): void }>()
  server.on('connection', socket => sockets.add(socket)).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return (server.address() as AddressInfo).port
}

// It waits for its time limit four times.
t.test('databases that hang do not prevent probes of others in the same cycle', { timeout: 120_000 }, async t => {
  const postgres = await startPostgres(18, { options: ['-c', 'max_connections=120'] })
  t.teardown(() => postgres.stop())
  const silent = await listenInSilence(t)
  const good = new URL(postgres.url('postgres', 'postgres'))
  for (const hanging of [30, 70]) {
    const stacks = Array.from({ length: 100 }, (_, index) => {
      const url = new URL(good)
      if (index < hanging) url.port = String(silent)
      // A reader is kept for each URL: these are a hundred databases to it.
      url.searchParams.set('application_name', `app-${index}`)
      return {
        name: `app-${index}`,
        project: 'openagentsgemini',
        region: 'us-central1',
        service: { name: `app-${index}` },
        database: { url: url.href, schemas: { public: { relations: [] } } },
      }
    })
    const watch = createWatch({
      config: parseConfig(JSON.stringify({ timeout: '6s', stacks }), 'test.yaml', {}),
      environment: readEnvironment({ CLOUD_RUN_EMULATOR_HOST: '127.0.0.1:1' }),
      clock: systemClock,
      log: createLog({ level: 'silent', clock: systemClock }),
      only: ['role-grants'],
    })
    t.teardown(() => watch.close())
    for (const cycle of [1, 2]) {
      await watch.runCycle()
      const states = watch.store.snapshot(systemClock.now()).stacks.flatMap(stack => stack.states)
      const errors = states.map(({ error }) => error?.code ?? null)
      t.strictSame(errors.slice(hanging), Array(100 - hanging).fill(null), `${hanging} hang, cycle ${cycle}`)
      t.strictSame(errors.slice(0, hanging), Array(hanging).fill('DEADLINE_EXCEEDED'))
      t.notMatch(JSON.stringify(states), 'no free slot')
    }
    await watch.close()
  }
})

t.test('an abandoned cycle does not count, and no listener is called', async t => {
  let told = 0
  const { watch, emulator } = await build(t, {
    config: buildConfig(['runtime']),
    patch: { faults: [{ hang: true }] },
    listeners: { onChange: () => told++ },
  })
  const cycle = watch.runCycle()
  while (emulator.calls.all.length === 0) await new Promise(resolve => setImmediate(resolve))
  await watch.close()
  await cycle
  t.equal(told, 0)
  t.equal(watch.store.snapshot(watch.clock.now()).cycle, null)
})
