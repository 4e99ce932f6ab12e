import t, { type Test } from 'tap'
import { startCloudRun } from '../../sandbox/cloud-run.ts'
import { startRegistry } from '../../sandbox/registry.ts'
import { loadWorld, type WorldPatch } from '../../sandbox/world.ts'
import type { CheckKind } from '../../src/checks/check.ts'
import { systemClock } from '../../src/clock.ts'
import { createLog } from '../../src/cloud-log.ts'
import { readEnvironment } from '../../src/config/environment.ts'
import { parseConfig } from '../../src/config/load.ts'
import { createWatch } from '../../src/watch.ts'

const repository = 'us-central1-docker.pkg.dev/openagentsgemini/openagents-runtime/runtime-rust'
const minute = 60_000

/** A watch of the emulators whose clock can be moved. */
async function build(t: Test, patch: WorldPatch = {}) {
  const world = loadWorld(patch)
  const cloudRun = await startCloudRun({ world })
  const registry = await startRegistry({ world: world.registry })
  const stack = {
    name: 'runtime',
    project: 'openagentsgemini',
    region: 'us-central1',
    service: { name: 'runtime', repositories: [repository] },
    job: { name: 'runtime-migrate', command: ['runtime-migrate'] },
  }
  let passedMs = 0
  const clock = { ...systemClock, now: () => systemClock.now() + passedMs }
  const watch = createWatch({
    config: parseConfig(JSON.stringify({ timeout: '5s', staleAfter: '1d', stacks: [stack] }), 'test.yaml', {}),
    environment: readEnvironment({
      CLOUD_RUN_EMULATOR_HOST: cloudRun.host,
      ARTIFACT_REGISTRY_EMULATOR_HOST: registry.host,
    }),
    clock,
    log: createLog({ level: 'silent', clock: systemClock }),
  })
  t.teardown(async () => {
    await watch.close()
    await Promise.all([cloudRun.close(), registry.close()])
  })
  return {
    cloudRun,
    registry,
    pass(minutes: number) {
      passedMs += minutes * minute
    },
    /** The status of a check after a cycle. */
    async cycle(kind: CheckKind) {
      cloudRun.calls.clear()
      registry.requests.clear()
      await watch.runCycle()
      const states = watch.store.snapshot(clock.now()).stacks.flatMap(({ states }) => states)
      return states.find(({ check }) => check === kind)?.status
    },
  }
}

function jobImage(image: string): WorldPatch {
  const containers = { 'runtime-migrate-1': { image } }
  return { jobs: { 'runtime-migrate': { template: { template: { containers } } } } }
}

t.test('what a registry said about a digest stays valid while it does not answer', async t => {
  const patch = {
    ...jobImage(`${repository}@index(image-c,image-c-arm64)`),
    registry: { repositories: { [repository]: { untagged: ['index(image-c,image-c-arm64)'] } } },
  }
  const { registry, cycle } = await build(t, patch)
  t.equal(await cycle('job-image'), 'in_sync')
  for (const kind of ['denied', 'unavailable', 'down'] as const) {
    registry.setFault(kind)
    t.equal(await cycle('job-image'), 'in_sync', kind)
  }
})

t.test('a digest stays unresolved until the registry answers', async t => {
  const patch = {
    ...jobImage(`${repository}@index(image-c,image-c-arm64)`),
    registry: { fault: 'denied', repositories: { [repository]: { untagged: ['index(image-c,image-c-arm64)'] } } },
  }
  const { cloudRun, registry, cycle } = await build(t, patch)
  t.equal(await cycle('job-image'), 'unknown')
  t.equal(cloudRun.calls.counts().ListRevisions, 1, 'the older revisions are read')
  t.equal(await cycle('job-image'), 'unknown')
  t.equal(cloudRun.calls.counts().ListRevisions, undefined, 'once while the service is unchanged')
  registry.setFault(null)
  t.equal(await cycle('job-image'), 'in_sync')
})

t.test('a tag of the job that disappears is drift until it is back', async t => {
  const { registry, cycle } = await build(t)
  t.equal(await cycle('job-image'), 'in_sync')
  t.strictSame(registry.requests.counts(), { 'HEAD manifests': 1 }, 'a tag that exists is asked for once')
  const [image] = registry.requests.all
  registry.remove(repository, image?.reference ?? '')
  t.equal(await cycle('job-image'), 'drifted')
  registry.setFault('hidden')
  t.equal(await cycle('job-image'), 'in_sync', 'a 404 that proves nothing: the tags are equal')
  registry.setFault(null)
  t.equal(await cycle('job-image'), 'drifted')
  registry.setWorld(loadWorld().registry)
  t.equal(await cycle('job-image'), 'in_sync')
})

t.test('a new job is pending until it has had the time for its first execution', async t => {
  const patch = {
    jobs: { 'runtime-migrate': { createTime: '-2m', executionCount: null, latestCreatedExecution: null } },
    executions: null,
  }
  const { cycle, pass } = await build(t, patch)
  t.equal(await cycle('migration-execution'), 'pending')
  pass(12)
  t.equal(await cycle('migration-execution'), 'pending')
  pass(2)
  t.equal(await cycle('migration-execution'), 'drifted')
})
