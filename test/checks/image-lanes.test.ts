import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import t, { type Test } from 'tap'
import { startCloudRun } from '../../sandbox/cloud-run.ts'
import { digestOf, type Image, indexImage, singleImage } from '../../sandbox/images.ts'
import type { JsonObject } from '../../sandbox/merge-patch.ts'
import { type Registry, startRegistry } from '../../sandbox/registry.ts'
import { loadWorld, type WorldPatch } from '../../sandbox/world.ts'
import type { RegistryReader } from '../../src/clients/registry/registry-reader.ts'
import { systemClock } from '../../src/clock.ts'
import { createLog } from '../../src/cloud-log.ts'
import { startDeadline } from '../../src/concurrency/deadline.ts'
import { readEnvironment } from '../../src/config/environment.ts'
import { parseConfig } from '../../src/config/load.ts'
import { createLanesProbe } from '../../src/probes/lanes.ts'
import type { RegistryAnswer, RegistryQuestion } from '../../src/release/registry-answers.ts'
import { buildReport, type ReportedCheck } from '../../src/report/report.ts'
import { createWatch, type Watch } from '../../src/watch.ts'
import { createAdvancedClock } from '../helpers/clock.ts'
import { deleteManifest, noDockerRegistry, pushImage, startDockerRegistry } from '../helpers/docker-registry.ts'

// As in .taprc, for running this file alone.
t.setTimeout(120_000)

const base = 'us-central1-docker.pkg.dev/openagentsgemini/openagents-runtime'
const [legacy, rust] = [`${base}/runtime`, `${base}/runtime-rust`]
const path = (repository: string) => repository.slice(repository.indexOf('/') + 1)

/** The runbook's lanes. */
const lanes = [
  { repository: legacy, tags: ['latest'], required: false, excludes: [rust] },
  { repository: rust, tags: ['latest-rust'] },
]

function buildConfig(override: { lanes?: readonly object[]; names?: readonly string[] } = {}) {
  const stacks = (override.names ?? ['runtime']).map(name => ({
    name,
    project: 'openagentsgemini',
    region: 'us-central1',
    service: { name },
    job: { name: `${name}-migrate`, command: ['runtime-migrate'] },
    lanes: override.lanes ?? lanes,
  }))
  // No stack is observed without caches in between.
  return parseConfig(JSON.stringify({ timeout: '5s', verifyEvery: '30d', stacks }), 'test.yaml', {})
}

interface Setup {
  readonly watch: Watch
  readonly clock: ReturnType<typeof createAdvancedClock>
  observe(): Promise<ReportedCheck>
}

/** Monitors the healthy stack, changed by a patch, with a given registry or that of the world. */
async function build(
  t: Test,
  options: { config?: ReturnType<typeof buildConfig>; patch?: WorldPatch; registry?: string | null } = {},
): Promise<Setup & { readonly registry: Registry | null }> {
  const world = loadWorld(options.patch)
  const emulator = await startCloudRun({ world })
  const registry = options.registry === undefined ? await startRegistry({ world: world.registry }) : null
  const host = registry?.host ?? options.registry
  const clock = createAdvancedClock()
  const watch = createWatch({
    config: options.config ?? buildConfig(),
    environment: readEnvironment({
      CLOUD_RUN_EMULATOR_HOST: emulator.host,
      ...(host && { ARTIFACT_REGISTRY_EMULATOR_HOST: host }),
    }),
    clock,
    log: createLog({ level: 'silent', clock: systemClock }),
    only: ['image-lanes'],
  })
  t.teardown(async () => {
    await watch.close()
    await Promise.all([emulator.close(), registry?.close()])
  })
  return {
    watch,
    clock,
    registry,
    async observe() {
      await watch.runCycle()
      const { stacks } = buildReport(watch.store.snapshot(clock.now()))
      return stacks[0]?.checks[0] as ReportedCheck
    },
  }
}

const holding = (repositories: JsonObject): WorldPatch => ({ registry: { repositories } })

interface Case {
  readonly patch?: WorldPatch
  readonly lanes?: readonly object[]
  readonly finding: object
}

const [dC, dLegacy] = [digestOf('image-c'), digestOf('image-legacy')]

const cases: Record<string, Case> = {
  'is in sync while each tag is in its own lane': {
    finding: {
      status: 'in_sync',
      differences: [],
      error: null,
      fix: null,
      summary:
        'No release lane has an image of another lane (tags runtime:latest, runtime-rust:latest-rust). The registry has every image that the service and the job use.',
    },
  },
  'drifts on a tag that was overwritten with an image of the other lane': {
    patch: holding({ [legacy]: { tags: { latest: 'image-c' }, untagged: ['image-legacy'] } }),
    finding: {
      status: 'drifted',
      summary: 'Tag runtime:latest points to an image of another release lane, runtime-rust.',
      differences: [
        {
          path: 'lane.runtime:latest',
          kind: 'changed',
          expected: `no image of ${rust}`,
          actual: `${rust}@${dC}`,
          via: /audit log/,
        },
      ],
      fix: null,
      advice: /^Decide which image of \S+ tag latest must point to, .* `gcloud artifacts docker images list /,
    },
  },
  'reports when the foreign image was uploaded': {
    patch: holding({
      [legacy]: { tags: { latest: 'image-c' }, uploads: { 'image-c': { uploadTime: '2026-11-03T10:00:00Z' } } },
    }),
    finding: {
      status: 'drifted',
      differences: [
        { via: /^uploaded at 2026-11-03T10:00:00.000Z; the audit log of the registry shows who moved the tag$/ },
      ],
    },
  },
  'drifts on an index that holds an image of the other lane': {
    patch: holding({ [legacy]: { tags: { latest: 'index(image-c,image-x)' } } }),
    finding: { status: 'drifted', differences: [{ path: 'lane.runtime:latest', actual: `${rust}@${dC}` }] },
  },
  'is in sync, with a note, without an optional tag': {
    patch: holding({ [legacy]: { tags: { latest: null } } }),
    finding: { status: 'in_sync', notes: [`Tag ${legacy}:latest does not exist.`] },
  },
  'drifts without a required tag, and the fix tags the image in service': {
    patch: holding({ [rust]: { tags: { 'latest-rust': null } } }),
    finding: {
      status: 'drifted',
      differences: [{ path: 'lane.runtime-rust:latest-rust', kind: 'missing', actual: null }],
      fix: `gcloud artifacts docker tags add ${rust}@${dC} ${rust}:latest-rust`,
    },
  },
  'drifts on each image of a deleted repository': {
    patch: holding({ [rust]: null as never }),
    finding: {
      status: 'drifted',
      differences: [
        { path: 'lane.runtime-rust:latest-rust' },
        { path: 'revision.image' },
        { path: 'service.image' },
        { path: 'job.image' },
      ],
    },
  },
  'drifts on a deleted tag of service and job, and the fix restores the tag': {
    patch: holding({ [rust]: { tags: { '7f2e91c': null } } }),
    finding: {
      status: 'drifted',
      summary:
        /Job runtime-migrate uses runtime-rust:7f2e91c, which the registry does not have: its next execution will fail\./,
      differences: [{ path: 'service.image' }, { path: 'job.image', kind: 'missing', expected: `${rust}:7f2e91c` }],
      fix: `gcloud artifacts docker tags add ${rust}@${dC} ${rust}:7f2e91c`,
    },
  },
  'drifts on a deleted tag of the service only, and the fix restores the tag': {
    patch: {
      ...holding({ [rust]: { tags: { '7f2e91c': null } } }),
      jobs: {
        'runtime-migrate': {
          template: { template: { containers: { 'runtime-migrate-1': { image: `${rust}@${dC}` } } } },
        },
      },
    },
    finding: {
      status: 'drifted',
      differences: [{ path: 'service.image' }],
      fix: `gcloud artifacts docker tags add ${rust}@${dC} ${rust}:7f2e91c`,
    },
  },
  'is unknown with a misspelt excluded repository': {
    lanes: [{ ...lanes[0], excludes: [`${base}/runtime-rsut`] }],
    finding: {
      status: 'unknown',
      differences: [],
      error: {
        code: 'NOT_FOUND',
        message: /has no repository \S+\/runtime-rsut, or the repository has no tags/,
      },
    },
  },
  'is unknown with a misspelt repository of optional tags': {
    lanes: [{ repository: `${base}/runtmie`, tags: ['latest'], required: false }],
    finding: { status: 'unknown', error: { code: 'NOT_FOUND', message: /no repository \S+\/runtmie/ } },
  },
  'drifts despite a misspelt repository': {
    patch: holding({ [legacy]: { tags: { latest: 'image-c' } } }),
    lanes: [{ ...lanes[0], excludes: [`${base}/runtime-rsut`, rust] }],
    finding: { status: 'drifted', differences: [{ path: 'lane.runtime:latest' }], error: { code: 'NOT_FOUND' } },
  },
  'drifts if the digest in service was garbage-collected': {
    patch: holding({ [rust]: { tags: { '7f2e91c': 'image-d', 'latest-rust': 'image-d' } } }),
    finding: {
      status: 'drifted',
      differences: [{ path: 'revision.image', kind: 'missing', expected: `${rust}:7f2e91c@${dC}` }],
      fix: null,
      advice: /^The registry no longer has the image in service, \S+\. Cloud Run keeps its own copy /,
    },
  },
  'is unknown if the registry denies access': {
    patch: { registry: { fault: 'denied' } },
    finding: { status: 'unknown', differences: [], error: { code: 'PERMISSION_DENIED' } },
  },
  'is unknown if the registry is down': {
    patch: { registry: { fault: 'unavailable' } },
    finding: { status: 'unknown', error: { code: 'UNAVAILABLE' } },
  },
  'is unknown if the registry returns bytes of another digest': {
    patch: { registry: { fault: 'lying' } },
    finding: {
      status: 'unknown',
      error: { code: 'MALFORMED_RESPONSE', message: /a manifest that does not match its digest/ },
    },
  },
  'without lanes, only judges whether the images exist': {
    lanes: [],
    patch: holding({ [rust]: { tags: { '7f2e91c': null } } }),
    finding: { status: 'drifted', differences: [{ path: 'service.image' }, { path: 'job.image' }] },
  },
  'is unknown without lanes and without an image': {
    lanes: [],
    patch: { services: { runtime: null as never }, jobs: { 'runtime-migrate': null as never } },
    finding: {
      status: 'unknown',
      summary: /^No image of the service or the job is known/,
      error: { code: 'DEPENDS_ON' },
    },
  },
  'judges the lanes of a missing service': {
    patch: { services: { runtime: null as never } },
    finding: { status: 'in_sync' },
  },
}

for (const [name, { patch, lanes, finding }] of Object.entries(cases)) {
  t.test(name, async t => {
    const context = await build(t, { ...(patch && { patch }), ...(lanes && { config: buildConfig({ lanes }) }) })
    const found = await context.observe()
    const { differences } = finding as { differences?: readonly unknown[] }
    if (differences) t.equal(found.differences.length, differences.length, 'nothing else differs')
    t.match(found, finding)
  })
}

t.test(
  'the original incident on a real registry is found, and is over once the tag is restored',
  { skip: noDockerRegistry },
  async t => {
    const { host, close } = await startDockerRegistry()
    t.teardown(close)
    const push = (repository: string, tag: string, image: Image) => pushImage(host, path(repository), tag, image)
    const [old, image] = [singleImage('image-legacy'), singleImage('image-c')]
    await push(legacy, 'latest', old)
    for (const tag of ['latest-rust', '7f2e91c']) await push(rust, tag, image)
    const { observe } = await build(t, { registry: host })
    t.match(await observe(), { status: 'in_sync' })
    const misspelt = buildConfig({ lanes: [{ ...lanes[0], excludes: [`${base}/runtime-rsut`] }] })
    const strange = await build(t, { registry: host, config: misspelt })
    t.match(await strange.observe(), { status: 'unknown', error: { code: 'NOT_FOUND' } })

    await push(legacy, 'latest', indexImage([image, singleImage('image-arm')]))
    t.match(await observe(), {
      status: 'drifted',
      differences: [{ path: 'lane.runtime:latest', actual: `${rust}@${dC}` }],
    })
    await push(legacy, 'latest', old)
    t.match(await observe(), { status: 'in_sync' })

    await deleteManifest(host, path(rust), dC)
    t.match(await observe(), { status: 'drifted', summary: /its next execution will fail/ })
  },
)

t.test('a fleet that shares its repositories requests each tag once, and repeats only what has drifted', async t => {
  const names = Array.from({ length: 100 }, (_, at) => `runtime-${at}`)
  const healthy = loadWorld()
  const only = (resources: object) => Object.values(resources)[0] as JsonObject
  const service = only(healthy.services)
  const clone = (of: object, kind: string, rename: (name: string) => object) =>
    Object.fromEntries(names.map(name => [`${name}${kind}`, { ...of, ...rename(name) }]))
  const strip = ({ name: _, etag: __, ...rest }: JsonObject) => rest as JsonObject
  const revision = strip(Object.values(healthy.revisions)[0] as JsonObject)
  const patch = {
    services: clone(strip(service), '', name => ({
      latestReadyRevision: `${name}-rev`,
      latestCreatedRevision: `${name}-rev`,
    })),
    revisions: clone(revision, '-rev', name => ({ service: name })),
    jobs: clone(strip(only(healthy.jobs)), '-migrate', () => ({})),
  } as unknown as WorldPatch
  const { registry, watch, clock } = await build(t, { config: buildConfig({ names }), patch })
  const counts = async () => {
    registry?.requests.clear()
    await watch.runCycle()
    return registry?.requests.counts()
  }
  t.strictSame(
    await counts(),
    { 'HEAD manifests': 4, 'GET manifests': 2, 'GET tags': 1 },
    'the first cycle: three tags, one unknown image, and the existence of its repository',
  )
  const { stacks } = buildReport(watch.store.snapshot(clock.now()))
  t.ok(
    stacks.every(({ status }) => status === 'in_sync'),
    stacks[0]?.checks[0]?.summary ?? '',
  )
  t.strictSame(await counts(), { 'HEAD manifests': 3 }, 'then the three tags')
  registry?.put(legacy, 'latest', singleImage('image-new'))
  t.strictSame(await counts(), { 'HEAD manifests': 4, 'GET manifests': 1 }, 'and what changed')
  clock.advance(11 * 60_000)
  t.strictSame(
    await counts(),
    { 'HEAD manifests': 4, 'GET tags': 1 },
    'after ten minutes the cached results are requested again',
  )
})

t.test('is unknown without a registry beside the Cloud Run emulator', async t => {
  const { observe } = await build(t, { registry: null })
  t.match(await observe(), {
    status: 'unknown',
    error: { code: 'EMULATOR_ABSENT', message: /registries are not available/ },
  })
})

t.test('a manifest of 50 MiB is not read to the end', async t => {
  let sent = 0
  const piece = Buffer.alloc(1024 * 1024, ' ')
  const server = await serve(t, (request, response) => {
    const named = request.url?.endsWith('/latest') ?? false
    if (named) response.setHeader('docker-content-digest', dLegacy)
    if (request.method === 'HEAD') return response.writeHead(named ? 200 : 404).end()
    const write = (): unknown => {
      for (; sent < 50; sent++) if (!response.write(piece)) return response.once('drain', write)
      return response.end()
    }
    write()
  })
  const patch = { services: { runtime: null }, jobs: { 'runtime-migrate': null } } as unknown as WorldPatch
  const { observe } = await build(t, { registry: server, patch, config: buildConfig({ lanes: lanes.slice(0, 1) }) })
  t.match(await observe(), { status: 'unknown', error: { code: 'MALFORMED_RESPONSE', message: /larger than 4 MiB/ } })
  t.ok(sent < 50, `${sent} MiB were sent`)
})

t.test('is unknown if the registry does not have the digest of a tag', async t => {
  const server = await serve(t, (request, response) => {
    const named = request.url?.endsWith('/latest') ?? false
    if (named) response.setHeader('docker-content-digest', dLegacy)
    response.writeHead(named || request.url?.includes('/tags/list') ? 200 : 404).end()
  })
  const { observe } = await build(t, { registry: server, config: buildConfig({ lanes: lanes.slice(0, 1) }) })
  t.match(await observe(), { error: { code: 'MALFORMED_RESPONSE', message: /but does not have it/ } })
})

t.test('an index that contains itself is followed once, and an endless one to a limit', async t => {
  const stack = buildConfig({ lanes: lanes.slice(0, 1) }).stacks[0]
  if (!stack) throw new Error('there is a stack')
  const asked: string[] = []
  const digest = (number: number) => `sha256:${String(number).padStart(64, '0')}`
  const observe = (holds: (digest: string) => readonly string[]) => {
    const registry: RegistryReader = {
      async ask(question: RegistryQuestion): Promise<RegistryAnswer> {
        if (question.about === 'tag') return { kind: 'digest', digest: digest(1) }
        if (question.about === 'presence') return { kind: 'absent' }
        if (question.about === 'repository' || question.about === 'absence') return { kind: 'there' }
        asked.push(question.digest)
        return { kind: 'holds', digests: holds(question.digest), amd64: [] }
      },
    }
    const absent = async () => null
    const reader = { service: absent, job: absent, execution: absent, revisions: async () => [] }
    return createLanesProbe(reader, registry).observe(stack, startDeadline(systemClock, 60_000))
  }
  const itself = await observe(held => [held, digest(2)])
  t.match(itself.tags, [{ presences: [{ digest: digest(1) }, { digest: digest(2) }], unknowns: [] }])
  t.strictSame(asked, [digest(1), digest(2)])
  const endless = await observe(held => [digest(Number(held.slice(7)) + 1)])
  t.match(endless.tags, [{ unknowns: [{ code: 'MALFORMED_RESPONSE', message: /more than 64/ }] }])
})

async function serve(t: Test, listener: RequestListener): Promise<string> {
  const server = createServer(listener)
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  return `127.0.0.1:${(server.address() as AddressInfo).port}`
}
