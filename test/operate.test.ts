import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { Ajv } from 'ajv'
import t, { type Test } from 'tap'
import type { Fault } from '../sandbox/cloud-run/faults.ts'
import { type CloudRun, startCloudRun } from '../sandbox/cloud-run.ts'
import { digestOf } from '../sandbox/images.ts'
import { loadWorld, readPatch, type WorldPatch } from '../sandbox/world.ts'
import { runCli } from '../src/cli/cli.ts'
import { clientOptions } from '../src/clients/google-client.ts'
import { systemClock } from '../src/clock.ts'
import type { ReportedCheck } from '../src/drift/report.ts'
import { judgeDatabase, judgeGate } from '../src/operate/gate.ts'
import { type Receipt, receiptSchema } from '../src/operate/receipt.ts'

// As in .taprc, for when this file is run by itself.
t.setTimeout(120_000)

const lane = 'us-central1-docker.pkg.dev/openagentsgemini/openagents-runtime/runtime-rust'
const legacyLane = 'us-central1-docker.pkg.dev/openagentsgemini/openagents-runtime/runtime'
const place = '--region us-central1 --project openagentsgemini'
/** What serves in the healthy world, and what was built after it. */
const [served, built] = ['image-c', 'image-d'].map(name => `${lane}@${digestOf(name)}`)
/** Short, so that the tests are. */
const writes = { jobUpdateMs: 20, rolloutMs: 40, executionMs: 60 }
const writeCalls = ['UpdateJob', 'RunJob', 'UpdateService']

const config = `timeout: 3s
stacks:
  - name: runtime
    project: \${GCP_PROJECT:-openagentsgemini}
    region: us-central1
    service:
      name: \${RUNTIME_SERVICE:-runtime}
      repositories: [${lane}]
      expectedImage: \${EXPECTED_IMAGE:-}
    job: { name: \${MIGRATE_JOB:-runtime-migrate}, command: [runtime-migrate], maxDuration: "\${MAX_DURATION:-30m}" }
    database: { url: "\${DB_URL:-}" }
`

const directory = mkdtempSync(join(tmpdir(), 'driftwatch-operate-'))
const file = join(directory, 'driftwatch.yaml')
writeFileSync(file, config)
t.teardown(() => rmSync(directory, { recursive: true }))

interface Ran {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

interface Bench {
  readonly cloudRun: CloudRun
  /** Runs a command against the emulator. */
  run(argv: readonly string[], options?: RunOptions): Promise<Ran>
  /** How often each writing method was called. */
  writes(): Record<string, number>
}

interface RunOptions {
  readonly variables?: Record<string, string>
  readonly config?: string
  /** What somebody types at a terminal; left out: there is none. */
  readonly typed?: string
  readonly signal?: AbortSignal
  /** Told of everything on stderr so far, whenever there is more. */
  readonly onStderr?: (text: string) => void
}

async function bench(t: Test, patch: WorldPatch = {}): Promise<Bench> {
  const cloudRun = await startCloudRun({ world: loadWorld({ writes, ...patch }) })
  t.teardown(() => cloudRun.close())
  return {
    cloudRun,
    async run(
      argv,
      { variables = {}, config = file, typed, signal = new AbortController().signal, onStderr = () => {} } = {},
    ) {
      const out = { stdout: '', stderr: '' }
      const stream = (name: keyof typeof out) => ({
        write(text: string) {
          out[name] += text
          if (name === 'stderr') onStderr(out.stderr)
        },
      })
      const stdin = Object.assign(new PassThrough(), { isTTY: typed !== undefined })
      if (typed !== undefined) stdin.end(typed)
      const code = await runCli([...argv, '--config', config], {
        stdin,
        stdout: stream('stdout'),
        stderr: stream('stderr'),
        variables: { CLOUD_RUN_EMULATOR_HOST: cloudRun.host, ...variables },
        clock: systemClock,
        nodeVersion: process.version,
        signal,
      })
      return { code, ...out }
    },
    writes: () =>
      Object.fromEntries(Object.entries(cloudRun.calls.counts()).filter(([name]) => writeCalls.includes(name))),
  }
}

function scenario(name: string): WorldPatch {
  const { patch } = readPatch(new URL(`../sandbox/scenarios/${name}.yaml`, import.meta.url))
  return patch as WorldPatch
}

const validateReceipt = new Ajv({ allErrors: true, allowUnionTypes: true, formats: { 'date-time': true } }).compile(
  receiptSchema,
)

function readReceipt(t: Test, path: string): Receipt {
  const receipt: unknown = JSON.parse(readFileSync(path, 'utf8'))
  t.ok(validateReceipt(receipt), JSON.stringify(validateReceipt.errors))
  return receipt as Receipt
}

t.test('migrate mends the founding incident: it locks, executes, follows and checks again', async t => {
  const { run, writes: made } = await bench(t, scenario('job-left-behind'))
  t.match(await run(['check']), { code: 2, stdout: 'driftwatch migrate --stack runtime' })
  const receipt = join(t.testdir(), 'kept', 'receipt.json')
  const { code, stdout, stderr } = await run(['migrate', '--stack', 'runtime', '--yes', '--receipt', receipt])
  t.match({ code, stderr }, { code: 0 })
  t.match(stdout, /IN SYNC +runtime +job-image/)
  t.match(stdout, /IN SYNC +runtime +migration-execution/)
  t.match(stderr, `lock: job runtime-migrate runs ${built} with the command runtime-migrate`)
  t.match(stderr, /migrate: execution runtime-migrate-\w+ is under way/)
  t.match(stderr, 'Started succeeded: Started deployed execution in 0s.', 'it says what Cloud Run says')
  t.match(stderr, /migrate: execution runtime-migrate-\w+ succeeded/)
  t.strictSame(made(), { UpdateJob: 1, RunJob: 1 })

  const kept = readReceipt(t, receipt)
  t.match(kept, {
    command: 'migrate',
    outcome: 'done',
    exitCode: 0,
    asked: { stacks: ['runtime'], image: null },
    error: null,
    steps: [
      { name: 'lock', status: 'done' },
      { name: 'migrate', status: 'done' },
      { name: 'check', status: 'done' },
    ],
    report: { before: { status: 'drifted' }, after: { status: 'in_sync' } },
  })
  t.match(kept.stacks[0]?.before, { job: { image: { reference: `${lane}:7f2e91c` } } })
  t.match(kept.stacks[0]?.after, {
    service: { serving: [{ revision: 'runtime-00043-jlb', image: { digest: digestOf('image-d') } }] },
    job: { image: { digest: digestOf('image-d') }, command: ['runtime-migrate'] },
    execution: { result: 'succeeded', image: { digest: digestOf('image-d') } },
  })
  t.match(await run(['check']), { code: 0 })
})

t.test('migrate sets the command and args of the config, and leaves the rest of the job as it is', async t => {
  const { run, cloudRun } = await bench(t, scenario('job-command-changed'))
  t.match(await run(['migrate', '--yes']), { code: 0 })
  const receipt = join(t.testdir(), 'receipt.json')
  await run(['check', '--receipt', receipt])
  t.match(readReceipt(t, receipt), {
    command: 'check',
    outcome: 'done',
    steps: [],
    stacks: [{ name: 'runtime', before: null, after: { job: { command: ['runtime-migrate'], args: [] } } }],
    report: { before: null, after: { status: 'in_sync' } },
  })
  const { template } = await readJob(cloudRun)
  t.match(template, {
    taskCount: 1,
    template: { maxRetries: 3, timeout: { seconds: '600' }, executionEnvironment: 'EXECUTION_ENVIRONMENT_GEN2' },
  })
  t.match(template.template.containers[0].resources.limits, { cpu: '1000m', memory: '512Mi' })
})

t.test('a dry run prints each step and changes nothing', async t => {
  const { run, writes: made } = await bench(t)
  for (const options of [{}, { variables: { DRY_RUN: '1' } }]) {
    const flags = 'variables' in options ? [] : ['--dry-run']
    const migrated = await run(['migrate', '--stack', 'runtime', ...flags], options)
    t.match(migrated, { code: 0, stderr: '' })
    t.match(migrated.stdout, `1. lock     set job runtime-migrate to ${served}`)
    t.match(migrated.stdout, /2\. migrate {2}execute job runtime-migrate/)
    t.match(migrated.stdout, '3. check')
    const deployed = await run(['deploy', '--stack', 'runtime', '--image', `${lane}:c5a11fe`, ...flags], options)
    t.match(deployed, { code: 0, stderr: '' })
    for (const step of ['deploy', 'ready', 'lock', 'migrate', 'check', 'role grants', 'gate'])
      t.match(deployed.stdout, step)
  }
  t.strictSame(made(), {})
  const receipt = join(t.testdir(), 'receipt.json')
  await run(['migrate', '--dry-run'], { variables: { RECEIPT_PATH: receipt } })
  t.match(readReceipt(t, receipt), { outcome: 'dry_run', exitCode: 0, report: { after: null } })
})

t.test('it asks before it writes, and a pipe that nobody answers is refused', async t => {
  const { run, writes: made } = await bench(t)
  for (const typed of ['n\n', '\n', '', 'yesterday\n']) {
    const declined = await run(['migrate'], { typed })
    t.match(declined, { code: 1, stdout: '', stderr: /Go on\? \[y\/N\] / }, JSON.stringify(typed))
    t.match(declined.stderr, 'not agreed: nothing was changed')
  }
  const piped = await run(['migrate'])
  t.match(piped, { code: 1, stdout: '' })
  t.match(piped.stderr, /there is no terminal to ask at: nothing was changed; pass --yes/)
  t.match(await run(['deploy', '--image', `${lane}:c5a11fe`]), { code: 1, stderr: /pass --yes/ })
  const leaving = new AbortController()
  const left = await run(['migrate'], {
    typed: '',
    signal: leaving.signal,
    onStderr: text => text.endsWith('] ') && leaving.abort(),
  })
  t.match(left, { code: 1, stderr: /nothing was changed/ })
  t.strictSame(made(), {})
  t.match(await run(['migrate'], { typed: 'y\n' }), { code: 0 })
  t.strictSame(made(), { UpdateJob: 1, RunJob: 1 })
})

t.test('migrate refuses with one sentence while it would do harm', async t => {
  const tagOnly = { 'runtime-00042-kxb': { containers: { 'runtime-1': { image: `${lane}:7f2e91c` } } } }
  const cases: [string, WorldPatch, RegExp][] = [
    [
      'traffic is split',
      scenario('traffic-split'),
      /traffic is split between .* and .*, which run different images.*\n.*update-traffic runtime --to-latest/,
    ],
    [
      'the service reconciles',
      { services: { runtime: { reconciling: true } } },
      /service runtime is reconciling: a rollout is under way/,
    ],
    [
      'the job reconciles',
      { jobs: { 'runtime-migrate': { reconciling: true } } },
      /job runtime-migrate is reconciling/,
    ],
    ['the service is missing', { services: { runtime: null } }, /Cloud Run has no service runtime/],
    [
      'the job is missing',
      { jobs: { 'runtime-migrate': null } },
      /Cloud Run has no job runtime-migrate .*\n.*gcloud run jobs create runtime-migrate --image .*@sha256:/,
    ],
    [
      'the digest does not show',
      { revisions: tagOnly },
      /runtime-00042-kxb shows its image only as .*:7f2e91c: without a digest/,
    ],
    [
      'another migration runs',
      otherMigration(),
      /execution runtime-migrate-other is under way since .* with another image or command.*\n.*executions cancel runtime-migrate-other/,
    ],
    [
      'nobody serves',
      { services: { runtime: { latestReadyRevision: null, trafficStatuses: [] } } },
      /no revision of service runtime takes traffic/,
    ],
  ]
  const { run, cloudRun, writes: made } = await bench(t)
  for (const [name, patch, message] of cases) {
    cloudRun.setWorld(loadWorld({ writes, ...patch }))
    const { code, stdout, stderr } = await run(['migrate', '--yes'])
    t.strictSame({ code, stdout }, { code: 1, stdout: '' }, name)
    t.match(stderr, message, name)
  }
  t.strictSame(made(), {})
})

/** A migration with the image before that runs for a minute already. */
function otherMigration(image = `${lane}:41c3d0a`, name = 'runtime-migrate-other'): WorldPatch {
  const createTime = '-1m'
  return {
    jobs: {
      'runtime-migrate': {
        latestCreatedExecution: { name, createTime, completionTime: null, completionStatus: 'EXECUTION_RUNNING' },
      },
    },
    executions: {
      [name]: {
        job: 'runtime-migrate',
        createTime,
        taskCount: 1,
        runningCount: 1,
        template: { containers: { 'runtime-migrate-1': { image, command: ['runtime-migrate'] } } },
        conditions: { Completed: { state: 'CONDITION_RECONCILING', message: 'Waiting for execution to complete.' } },
      },
    },
  }
}

t.test('a migration that runs already is followed, and not started a second time', async t => {
  const { run, cloudRun, writes: made } = await bench(t, { writes: { ...writes, execution: 'never-ends' } })
  const gone = new AbortController()
  const first = await run(['migrate', '--yes'], {
    signal: gone.signal,
    onStderr: text => text.includes('is under way') && gone.abort(),
  })
  t.match(first, { code: 1, stderr: /interrupted: execution runtime-migrate-\w+ runs on in Cloud Run/ })
  const [, name] = /execution (runtime-migrate-\w+) runs on/.exec(first.stderr) ?? []
  for (const line of [
    `to see it:  gcloud run jobs executions describe ${name} ${place}`,
    `to stop it: gcloud run jobs executions cancel ${name} ${place}`,
    'driftwatch check --stack runtime --wait 30m',
  ])
    t.match(first.stderr, line)

  const second = await run(['migrate', '--yes'], { variables: { MAX_DURATION: '1s' } })
  t.match(second, { code: 2, stderr: `follow ${name}, which runs that image already` })
  t.match(second.stderr, `execution ${name} has not ended within the 1s that are allowed (job.maxDuration)`)
  t.match(second.stderr, `executions cancel ${name}`)
  t.strictSame(made(), { UpdateJob: 1, RunJob: 1 }, 'started once by the two of them')
  t.ok(cloudRun.calls.counts().GetExecution ?? 0)
})

t.test('an execution that fails says why, with the last of its messages, and exits with 2', async t => {
  const { run } = await bench(t, { writes: { ...writes, execution: 'fails' } })
  const receipt = join(t.testdir(), 'receipt.json')
  const { code, stderr } = await run(['migrate', '--yes', '--receipt', receipt])
  t.equal(code, 2)
  t.match(stderr, /driftwatch: execution runtime-migrate-\w+ failed\n/)
  t.match(
    stderr,
    /Completed failed: NON_ZERO_EXIT_CODE: Task runtime-migrate-\w+-task0 failed with message: The container exited with an error\.\n/,
  )
  t.match(stderr, /to see it: gcloud run jobs executions describe runtime-migrate-\w+/)
  t.match(readReceipt(t, receipt), {
    outcome: 'failed',
    exitCode: 2,
    error: { code: 'STEP_FAILED' },
    steps: [
      { name: 'lock', status: 'done' },
      { name: 'migrate', status: 'failed' },
    ],
    stacks: [{ after: { execution: { result: 'failed' } } }],
  })
})

t.test('a job that cannot run the image is not executed, and the way back is said', async t => {
  const { run, writes: made } = await bench(t, {
    registry: { repositories: { [lane]: { tags: { '7f2e91c': null, 'latest-rust': null } } } },
  })
  const { code, stderr } = await run(['migrate', '--yes'])
  t.equal(code, 2)
  t.match(stderr, /job runtime-migrate cannot run .*: CONTAINER_MISSING: Image '.*' not found\./)
  t.match(stderr, `to go back: gcloud run jobs update runtime-migrate --image ${lane}:7f2e91c ${place}`)
  t.strictSame(made(), { UpdateJob: 1 })
})

t.test('a full quota of executions is said in the words of Cloud Run, and nothing is tried again', async t => {
  const { run, writes: made } = await bench(t, { writes: { ...writes, executionLimit: 0 } })
  const { code, stderr } = await run(['migrate', '--yes'])
  t.match({ code, stderr }, { code: 1, stderr: /RunJob .*: Quota exceeded for running executions/ })
  t.strictSame(made(), { UpdateJob: 1, RunJob: 1 })
})

t.test('an answer that is lost is looked after: what was made is not made twice', async t => {
  const lost = (method: string, more: Partial<Fault> = {}): Fault => ({
    method,
    code: 'UNAVAILABLE',
    times: 1,
    ...more,
  })
  const { run, cloudRun, writes: made } = await bench(t)
  const tryWith = async (...faults: Fault[]) => {
    cloudRun.setWorld(loadWorld({ writes, faults: faults as unknown as WorldPatch[] }))
    cloudRun.calls.clear()
    return run(['migrate', '--yes'])
  }
  t.match(await tryWith(lost('UpdateJob')), { code: 0 })
  t.strictSame(made(), { UpdateJob: 2, RunJob: 1 }, 'the etag still stood: it was written again')
  t.match(await tryWith(lost('UpdateJob', { afterwards: true })), { code: 0 })
  t.strictSame(made(), { UpdateJob: 1, RunJob: 1 }, 'it was made: not again')
  t.match(await tryWith(lost('RunJob', { afterwards: true })), { code: 0 })
  t.strictSame(made(), { UpdateJob: 1, RunJob: 1 }, 'it was started: not again')
  const uncertain = await tryWith(lost('RunJob'))
  t.match(uncertain, { code: 1, stderr: /it could not be told whether it was made.*: look before you try again/ })
  t.strictSame(made(), { UpdateJob: 1, RunJob: 1 }, 'it may have been started: not again')
  const denied = await tryWith(lost('UpdateJob', { code: 'PERMISSION_DENIED' }))
  t.match(denied, { code: 1, stderr: /Permission 'run\.jobs\.update' denied/ })
  t.strictSame(made(), { UpdateJob: 1 })
  const lastly = await tryWith(lost('GetExecution', { times: 3 }))
  t.match(lastly, { code: 0 }, 'a look that fails for a moment ends nothing')
})

t.test('who may not list executions may still migrate', async t => {
  const { run } = await bench(t, { faults: [{ method: 'ListExecutions', code: 'PERMISSION_DENIED' }] })
  t.match(await run(['migrate', '--yes']), { code: 0 })
})

t.test('the gate of a deploy takes the worst, and lets through what a deploy without traffic leaves', async t => {
  const check = (status: ReportedCheck['status'], path: string | null = null, name = 'job-image'): ReportedCheck => ({
    check: name as ReportedCheck['check'],
    status,
    since: '2026-11-23T03:00:00.000Z',
    observedAt: null,
    staleAt: null,
    summary: `it is ${status}`,
    differences: path === null ? [] : [{ path, kind: 'changed', expected: 'a', actual: 'b', via: null }],
    notes: [],
    fix: 'mend it',
    error: null,
  })
  const noTraffic = false
  t.match(judgeGate([check('in_sync')], { noTraffic }), { kind: 'open', lines: [] })
  t.match(judgeGate([check('pending', 'job.image')], { noTraffic }), {
    kind: 'pending',
    lines: ['job-image is pending: it is pending'],
  })
  t.equal(judgeGate([check('pending'), check('unknown')], { noTraffic }).kind, 'unknown')
  t.equal(judgeGate([check('unknown'), check('drifted', 'job.image')], { noTraffic }).kind, 'drifted')
  t.equal(judgeGate([check('drifted', 'job.image')], { noTraffic: true }).kind, 'open')
  t.equal(judgeGate([check('drifted', 'job.command')], { noTraffic: true }).kind, 'drifted')
  t.equal(judgeGate([check('unknown')], { noTraffic: true }).kind, 'unknown')
  t.equal(judgeDatabase([check('drifted')]), null)
  t.match(judgeDatabase([check('drifted', 'x', 'role-grants'), check('unknown')]), {
    kind: 'drifted',
    lines: ['it is drifted', 'to mend it: mend it'],
  })
  t.match(judgeDatabase([check('in_sync', null, 'role-grants')]), { kind: 'open' })
})

t.test('whoever changes the job or the service in between is not overwritten', async t => {
  const { run, cloudRun, writes: made } = await bench(t)
  const between = (patch: WorldPatch) => (text: string) => {
    if (text.endsWith('] ')) cloudRun.setWorld(loadWorld({ writes, ...patch }))
  }
  const job = { 'runtime-migrate': { labels: { team: 'billing' } } }
  const migrated = await run(['migrate'], { typed: 'y\n', onStderr: between({ jobs: job }) })
  t.match(migrated, {
    code: 1,
    stderr: /jobs\/runtime-migrate was changed by somebody else in between: nothing was overwritten/,
  })
  const service = { runtime: { labels: { team: 'billing' } } }
  const argv = ['deploy', '--image', `${lane}:c5a11fe`]
  const deployed = await run(argv, { typed: 'y\n', onStderr: between({ services: service }) })
  t.match(deployed, { code: 1, stderr: /services\/runtime was changed by somebody else in between/ })
  t.strictSame(made(), {})
})

t.test('an old etag is refused as Google refuses it', async t => {
  const {
    run,
    cloudRun,
    writes: made,
  } = await bench(t, {
    faults: [{ method: 'RunJob', code: 'ABORTED', message: 'Conflict for resource', times: 1 }],
  })
  t.match(await run(['migrate', '--yes']), { code: 0 }, 'nothing was started, the job is as it was verified: again')
  t.strictSame(made(), { UpdateJob: 1, RunJob: 2 })
  cloudRun.setWorld(loadWorld({ writes, faults: [{ method: 'RunJob', code: 'ABORTED' }] }))
  t.match(await run(['migrate', '--yes']), { code: 1, stderr: /changed by somebody else/ }, 'and not for ever')
})

t.test('deploy makes a revision, migrates with its digest, judges, and keeps a receipt', async t => {
  const { run, writes: made } = await bench(t)
  const receipt = join(t.testdir(), 'receipt.json')
  const image = `${lane}:c5a11fe`
  const { code, stdout, stderr } = await run([
    'deploy',
    '--stack',
    'runtime',
    '--image',
    image,
    '--yes',
    '--receipt',
    receipt,
  ])
  t.match({ code, stderr }, { code: 0 })
  t.match(stderr, /ready: revision runtime-00043-\w+ is ready, and takes all traffic/)
  t.match(stderr, `lock: job runtime-migrate runs ${built}`)
  t.match(stderr, 'role grants: left out: the config has no database part')
  t.match(stderr, 'gate: open: every check is in sync')
  t.match(stdout, /^IN SYNC/)
  t.strictSame(made(), { UpdateService: 1, UpdateJob: 1, RunJob: 1 })
  t.match(readReceipt(t, receipt), {
    command: 'deploy',
    outcome: 'done',
    asked: { image, noTraffic: false },
    steps: ['deploy', 'ready', 'lock', 'migrate', 'check', 'role grants', 'gate'].map(name => ({ name })),
    stacks: [
      {
        before: { service: { serving: [{ revision: 'runtime-00042-kxb', image: { digest: digestOf('image-c') } }] } },
        after: {
          service: { serving: [{ image: { digest: digestOf('image-d') } }] },
          execution: { result: 'succeeded' },
        },
      },
    ],
  })
})

t.test('the same tag again makes a new revision, and a name that the template asks for is taken out', async t => {
  const { run, cloudRun } = await bench(t, { services: { runtime: { template: { revision: 'runtime-00042-kxb' } } } })
  const { code, stderr } = await run(['deploy', '--image', `${lane}:7f2e91c`, '--yes'])
  t.match({ code, stderr }, { code: 0 })
  t.match(stderr, /revision runtime-00043-\w+ is ready/)
  cloudRun.calls.clear()
  const again = await run(['deploy', '--image', `${lane}:7f2e91c`, '--yes'])
  t.match(again, { code: 0, stderr: /revision runtime-00044-\w+ is ready/ })
  t.equal(cloudRun.calls.counts().UpdateService, 1)
})

t.test('a deploy whose answer is lost is recognised, and not made twice', async t => {
  const { run, writes: made } = await bench(t, {
    faults: [{ method: 'UpdateService', code: 'UNAVAILABLE', times: 1, afterwards: true }],
  })
  const { code, stderr } = await run(['deploy', '--image', built ?? '', '--yes'])
  t.match({ code, stderr }, { code: 0 })
  t.match(stderr, /revision runtime-00043-\w+ is ready/)
  t.strictSame(made(), { UpdateService: 1, UpdateJob: 1, RunJob: 1 })
})

t.test('a new revision that shows only a tag is not migrated to, and the way back is said', async t => {
  const { run, writes: made } = await bench(t, { writes: { ...writes, showsDigest: false } })
  const { code, stderr } = await run(['deploy', '--image', `${lane}:c5a11fe`, '--yes'])
  t.equal(code, 1)
  t.match(stderr, /revision runtime-00043-\w+ shows its image only as .*:c5a11fe: without a digest/)
  t.match(stderr, 'to go back: gcloud run services update-traffic runtime --to-revisions runtime-00042-kxb=100')
  t.strictSame(made(), { UpdateService: 1 })
})

t.test('a stack without a job is deployed, and says that nothing was migrated', async t => {
  const { run, writes: made } = await bench(t)
  const alone = join(t.testdir({ 'alone.yaml': config.replace(/^ {4}job: .*\n/m, '') }), 'alone.yaml')
  t.match(await run(['migrate', '--yes'], { config: alone }), {
    code: 1,
    stderr: /stack runtime has no job in the config/,
  })
  const { code, stderr } = await run(['deploy', '--image', `${lane}:c5a11fe`, '--yes'], { config: alone })
  t.match({ code, stderr }, { code: 0 })
  t.match(stderr, 'migrate: left out: the config has no job')
  t.strictSame(made(), { UpdateService: 1 })
})

t.test("the emulator's operations end as the vendor's client expects them to", async t => {
  const { cloudRun } = await bench(t)
  const client = await jobsClient(cloudRun)
  const name = 'projects/openagentsgemini/locations/us-central1/jobs/runtime-migrate'
  const [operation] = await client.runJob({ name })
  const [execution] = await operation.promise()
  t.match(execution, { job: 'runtime-migrate', succeededCount: 1, runningCount: 0 })
  const [job] = await client.getJob({ name })
  await t.rejects(client.runJob({ name, etag: '"old"' }), {
    code: 10,
    details: /Conflict for resource 'runtime-migrate'/,
  })
  await t.rejects(client.updateJob({ job: { ...job, template: null } }), { code: 3 })
  await t.rejects(client.runJob({ name: 'runtime-migrate' }), { code: 3 })
  await client.close()
})

t.test('deploy without traffic locks the job to the new revision, and leaves traffic where it is', async t => {
  for (const [flags, variables] of [[['--no-traffic'], {}] as const, [[], { DEPLOY_NO_TRAFFIC: '1' }] as const]) {
    const { run, writes: made } = await bench(t)
    const receipt = join(t.testdir(), 'receipt.json')
    const { code, stderr } = await run(['deploy', '--yes', '--receipt', receipt, ...flags], {
      variables: { IMAGE: `${lane}:c5a11fe`, ...variables },
    })
    t.match({ code, stderr }, { code: 0 })
    t.match(stderr, /revision runtime-00043-\w+ is ready, and runtime-00042-kxb still takes all traffic/)
    t.match(stderr, `lock: job runtime-migrate runs ${built}`)
    t.match(
      stderr,
      /gate: open: the job is ahead of what serves until traffic is moved: gcloud run services update-traffic runtime --to-latest/,
    )
    t.strictSame(made(), { UpdateService: 1, UpdateJob: 1, RunJob: 1 })
    const { asked, stacks } = readReceipt(t, receipt)
    t.equal(asked.noTraffic, true)
    t.match(stacks[0]?.after, {
      service: { serving: [{ revision: 'runtime-00042-kxb' }] },
      job: { image: { digest: digestOf('image-d') } },
      execution: { image: { digest: digestOf('image-d') }, result: 'succeeded' },
    })
    const again = await run(['deploy', '--image', `${lane}:c5a11fe`, '--yes'])
    t.match(again, {
      code: 1,
      stderr: /traffic is pinned to runtime-00042-kxb \(100 %\): a new revision would get none of it/,
    })
  }
})

t.test(
  'a revision that does not become ready: the older one serves, nothing is migrated, the way back is said',
  async t => {
    const { run, writes: made } = await bench(t, { writes: { ...writes, rollout: 'fails' } })
    const { code, stderr } = await run(['deploy', '--image', `${lane}:c5a11fe`, '--yes'])
    t.equal(code, 2)
    t.match(
      stderr,
      /revision runtime-00043-\w+ did not become ready: REVISION_FAILED: .*failed to start and listen on the port/,
    )
    t.match(stderr, 'runtime-00042-kxb still serves, and nothing was migrated')
    t.match(stderr, `to go back: gcloud run services update runtime --image ${served} ${place}`)
    t.strictSame(made(), { UpdateService: 1 })
  },
)

t.test('a migration that fails after a deploy says how to go back to the revision before', async t => {
  const { run } = await bench(t, { writes: { ...writes, execution: 'fails' } })
  const { code, stderr } = await run(['deploy', '--image', `${lane}:c5a11fe`, '--yes'])
  t.equal(code, 2)
  t.match(stderr, /execution runtime-migrate-\w+ failed/)
  t.match(
    stderr,
    `to go back: gcloud run services update-traffic runtime --to-revisions runtime-00042-kxb=100 ${place} && gcloud run jobs update runtime-migrate --image ${served} ${place}`,
  )
  t.notMatch(stderr, 'gate:', 'it stops at the first step that fails')
})

t.test('Ctrl-C in the middle of a rollout says what runs on', async t => {
  const { run, writes: made } = await bench(t, { writes: { ...writes, rollout: 'never-ends' } })
  const gone = new AbortController()
  const { code, stderr } = await run(['deploy', '--image', `${lane}:c5a11fe`, '--yes'], {
    signal: gone.signal,
    onStderr: text => text.includes('deploy: service runtime is to run') && gone.abort(),
  })
  t.equal(code, 1)
  t.match(stderr, /interrupted: the rollout of .*:c5a11fe runs on in Cloud Run, and nothing was migrated/)
  t.match(stderr, `gcloud run services describe runtime ${place}`)
  t.strictSame(made(), { UpdateService: 1 })
})

t.test('deploy refuses what would drift or could not be migrated, before anything is changed', async t => {
  const cases: [string, string[], WorldPatch, Record<string, string>, RegExp][] = [
    [
      'another lane',
      [`${legacyLane}:latest`],
      {},
      {},
      /images of .*\/runtime may not serve: the config allows .*runtime-rust/,
    ],
    ['no image', ['Not An Image'], {}, {}, /"Not An Image" is no image/],
    [
      'against the config',
      [`${lane}:c5a11fe`],
      {},
      { EXPECTED_IMAGE: `${lane}:7f2e91c` },
      /the config expects .*:7f2e91c/,
    ],
    [
      'no service',
      [`${lane}:c5a11fe`],
      { services: { runtime: null } },
      {},
      /has no service runtime .*\n.*gcloud run deploy runtime --image/,
    ],
    ['no job', [`${lane}:c5a11fe`], { jobs: { 'runtime-migrate': null } }, {}, /has no job runtime-migrate/],
    ['a rollout', [`${lane}:c5a11fe`], { services: { runtime: { reconciling: true } } }, {}, /is reconciling/],
    ['a migration', [`${lane}:c5a11fe`], otherMigration(), {}, /execution runtime-migrate-other is under way/],
    ['a split', [`${lane}:c5a11fe`], scenario('traffic-split'), {}, /traffic is split/],
    ['a rollback', [`${lane}:c5a11fe`], scenario('traffic-rolled-back'), {}, /traffic is pinned to runtime-/],
  ]
  const { run, cloudRun, writes: made } = await bench(t)
  for (const [name, [image = ''], patch, variables, message] of cases) {
    cloudRun.setWorld(loadWorld({ writes, ...patch }))
    const { code, stderr } = await run(['deploy', '--image', image, '--yes'], { variables })
    t.equal(code, 1, name)
    t.match(stderr, message, name)
  }
  t.strictSame(made(), {})
})

t.test('the variables of the runbook mean what they mean there, or are refused with a sentence', async t => {
  const { run, writes: made } = await bench(t)
  const image = `${lane}:c5a11fe`
  const cases: [string[], Record<string, string>, RegExp][] = [
    [
      ['deploy', '--image', image],
      { RUNTIME_DEPLOY_EXTRA_ARGS: '--cpu 2' },
      /RUNTIME_DEPLOY_EXTRA_ARGS cannot be honoured: its words are arguments of gcloud/,
    ],
    [
      ['migrate'],
      { MIGRATION_EVAL: 'App.migrate()' },
      /MIGRATION_EVAL cannot be honoured: what a migration runs is job\.command/,
    ],
    [
      ['migrate'],
      { GCP_REGION: 'europe-west1' },
      /GCP_REGION is europe-west1, and stack runtime of the config has us-central1/,
    ],
    [['migrate'], { DRY_RUN: 'yes' }, /DRY_RUN is 1 or 0, not "yes"/],
    [
      ['migrate'],
      { IMAGE: image },
      /IMAGE is .*:c5a11fe, and runtime-00042-kxb serves .*: a migration runs the image that serves/,
    ],
    [['deploy'], {}, /deploy: --image is missing/],
    [['deploy', '--image', image], { IMAGE: `${lane}:41c3d0a` }, /which one is meant\?/],
    [['migrate', '--stack', 'nobody'], {}, /the config has no stack "nobody": it has runtime/],
    [['migrate', '--receipt', directory], {}, /cannot write the receipt .*: it is a directory/],
  ]
  for (const [argv, variables, message] of cases) {
    const { code, stderr } = await run([...argv, '--yes'], { variables })
    t.equal(code, 1, argv.join(' '))
    t.match(stderr, message)
  }
  const secret = await run(['migrate', '--yes'], {
    variables: { DB_URL: 'postgres://a:hunter2@127.0.0.1/x', GCP_REGION: 'x' },
  })
  t.notMatch(secret.stderr, 'hunter2')
  t.match(await run(['migrate', '--yes'], { variables: { GCP_PROJECT: 'elsewhere' } }), {
    stderr: /no service runtime in .* of project elsewhere/,
  })
  t.strictSame(made(), {})

  const served = { GCP_PROJECT: 'openagentsgemini', MIGRATE_JOB: 'runtime-migrate', IMAGE: `${lane}:7f2e91c` }
  t.match(await run(['migrate', '--yes'], { variables: served }), { code: 0 })
  const ungated = await run(['deploy', '--image', image, '--yes'], { variables: { VERIFY_IMAGE_ALIGNMENT: '0' } })
  t.match(ungated, { code: 0, stderr: /gate: left out: VERIFY_IMAGE_ALIGNMENT is 0/ })
})

t.test('Ctrl-C ends a process in the middle of migrate with what runs on', async t => {
  const { cloudRun } = await bench(t, { writes: { ...writes, execution: 'never-ends' } })
  const child = spawn(process.execPath, ['src/main.ts', 'migrate', '--yes', '--config', file], {
    cwd: new URL('..', import.meta.url),
    env: { ...process.env, CLOUD_RUN_EMULATOR_HOST: cloudRun.host },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  t.teardown(() => child.kill('SIGKILL'))
  let stderr = ''
  let pressed = false
  child.stderr.on('data', chunk => {
    stderr += chunk
    if (pressed || !stderr.includes('Waiting for execution to complete.')) return
    pressed = true
    child.kill('SIGINT')
  })
  const [code, signal] = await once(child, 'exit')
  t.strictSame({ code, signal }, { code: 1, signal: null }, stderr)
  t.match(
    stderr,
    /driftwatch: interrupted: execution runtime-migrate-\w+ runs on in Cloud Run\n {2}to see it: {2}gcloud run jobs executions describe/,
  )
})

t.test('migrate adds little to the time that an execution takes', async t => {
  const executionMs = 2000
  const { run } = await bench(t, { writes: { ...writes, executionMs } })
  const begin = performance.now()
  t.match(await run(['migrate', '--yes']), { code: 0 })
  const added = performance.now() - begin - executionMs
  t.comment(
    `added ${Math.round(added)} ms to ${executionMs} ms, ${(1 + added / executionMs).toFixed(2)} times its own time`,
  )
})

async function jobsClient({ host }: CloudRun) {
  const { JobsClient } = await import('@google-cloud/run/build/src/v2/jobs_client.js')
  return new JobsClient(clientOptions(host, 1024 * 1024, null))
}

/** The job as the API shows it, to see what our own shapes leave out. */
async function readJob(cloudRun: CloudRun) {
  const client = await jobsClient(cloudRun)
  const [job] = await client.getJob({ name: 'projects/openagentsgemini/locations/us-central1/jobs/runtime-migrate' })
  await client.close()
  // biome-ignore lint/suspicious/noExplicitAny: a vendor's message, compared as it is
  return job as any
}
