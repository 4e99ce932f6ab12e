import t from 'tap'
import type { CloudRunReader } from '../../src/clients/cloud-run/cloud-run-reader.ts'
import type { Stack } from '../../src/config/config.ts'
import { parseConfig } from '../../src/config/load.ts'
import { DriftwatchError } from '../../src/errors.ts'
import { createStackReaders } from '../../src/probes/stack-reader.ts'
import type { Container, Execution, Job, Revision, Service } from '../../src/release/cloud-run.ts'

const image = 'us-central1-docker.pkg.dev/acme/app/runtime'

function buildStack(container?: string): Stack {
  const service = { name: 'runtime', ...(container && { container }) }
  const stack = { name: 'runtime', project: 'acme', region: 'us-central1', service, job: { name: 'migrate' } }
  return parseConfig(JSON.stringify({ stacks: [stack] }), 'test.yaml', {}).stacks[0] as Stack
}

const container = (tag: string): Container => ({
  name: 'main',
  image: `${image}:${tag}`,
  command: [],
  args: [],
  hasPorts: true,
})
const authorship = { updateTime: 1000, lastModifier: null, client: null }
const settled = { labels: {}, etag: 'e', reconciling: false, terminalCondition: null }

const service: Service = {
  ...authorship,
  ...settled,
  name: 'runtime',
  containers: [container('v2')],
  templateRevision: null,
  scalingMode: 'automatic',
  manualInstanceCount: null,
  traffic: [],
  trafficStatuses: [],
  latestReadyRevision: 'r2',
  latestCreatedRevision: 'r2',
}

const revision = (name: string, createTime: number): Revision => ({
  name,
  createTime,
  containers: [container(name)],
  conditions: [],
})

const job: Job = {
  ...authorship,
  ...settled,
  name: 'migrate',
  createTime: 0,
  containers: [container('v1')],
  executionCount: 1,
  latestCreatedExecution: { name: 'e1', createTime: 1500, completionStatus: 'succeeded' },
}

const execution: Execution = {
  name: 'e1',
  job: 'migrate',
  createTime: 1500,
  completionTime: 1600,
  creator: null,
  containers: [container('v1')],
  conditions: [],
  taskCount: 1,
  succeededCount: 1,
  failedCount: 0,
  cancelledCount: 0,
  retriedCount: 0,
}

const serving = revision('r2', 2000)

/** Answers from the objects above, and records each call. */
function buildReader(override: Partial<CloudRunReader> = {}) {
  const calls: string[] = []
  const answer = <T>(call: string, value: T) => {
    calls.push(call)
    return Promise.resolve(value)
  }
  const reader: CloudRunReader = {
    services: () => answer('services', new Map()),
    jobs: () => answer('jobs', new Map()),
    service: () => answer('service', service),
    revision: () => answer('revision', serving),
    job: () => answer('job', job),
    execution: () => answer('execution', execution),
    newestRevisionAt: () => answer('newestRevisionAt', revision('r1', 1000)),
    revisions: () => answer('revisions', [serving]),
    ...override,
  }
  return { reader, calls }
}

t.test('each resource is read once a cycle, however many probes need it', async t => {
  const { reader, calls } = buildReader()
  const readers = createStackReaders()
  const stack = buildStack()
  const cycle = readers.open(reader)
  for (const _ of [1, 2]) await Promise.all([cycle.execution(stack), cycle.service(stack), cycle.job(stack)])
  const once = ['execution', 'job', 'newestRevisionAt', 'revision', 'service']
  t.strictSame(calls.toSorted(), once)
  await readers.open(reader).execution(stack)
  t.strictSame(calls.toSorted(), [...once, ...once].toSorted(), 'the next cycle reads them again')
})

t.test('an unchanged service is the same observation in every cycle, with the same release', async t => {
  const readers = createStackReaders()
  const stack = buildStack()
  const read = (override?: Partial<CloudRunReader>, of = stack) =>
    readers.open(buildReader(override).reader).service(of)
  const first = await read()
  t.match(first, { service, release: { serving: [{ name: 'r2' }] } })
  t.equal(await read(), first)
  const changed = await read({ revision: async () => null })
  t.not(changed, first, 'another revision')
  t.match(changed?.release.serving, [{ revision: null }])
  t.not(await read({ service: async () => ({ ...service }) }), first, 'another service')
  const before = await read()
  t.not(await read({}, buildStack('main')), before, 'another container in the configuration')
})

t.test('the revision at the time of an execution is read only if it can matter', async t => {
  const stack = buildStack()
  const read = async (override: Partial<CloudRunReader>) => {
    const { reader, calls } = buildReader(override)
    const observed = await createStackReaders().open(reader).execution(stack)
    return { observed, asked: calls.includes('newestRevisionAt') }
  }
  t.match(await read({}), { asked: true, observed: { execution, revisionThen: { name: 'r1' } } })
  const young = { ...execution, createTime: 2500 }
  t.match(await read({ execution: async () => young }), { asked: false, observed: { revisionThen: null } })
  const pinned = { ...execution, containers: [{ ...container('v1'), image: `${image}@sha256:${'a'.repeat(64)}` }] }
  t.match(await read({ execution: async () => pinned }), { asked: false, observed: { revisionThen: null } })
  const failing = (code: 'PERMISSION_DENIED' | 'UNAVAILABLE') => async () => {
    throw new DriftwatchError(code, 'no')
  }
  t.match(await read({ service: failing('UNAVAILABLE') }), { asked: false, observed: { execution } })
  t.match(await read({ newestRevisionAt: failing('PERMISSION_DENIED') }), { observed: { revisionThen: null } })
  await t.rejects(read({ newestRevisionAt: failing('UNAVAILABLE') }), { code: 'UNAVAILABLE' })
})
