import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { Fault } from '../../../sandbox/cloud-run/faults.ts'
import { digestOf } from '../../../sandbox/images.ts'
import { startRegistry } from '../../../sandbox/registry.ts'
import { loadWorld, type WorldPatch } from '../../../sandbox/world.ts'
import { tailOf } from '../../../src/operate/rollout/execution-progress.ts'
import type { Condition, Execution } from '../../../src/release/cloud-run.ts'
import {
  bench,
  cancelExecution,
  jobsClient,
  lane,
  otherMigration,
  place,
  readJob,
  readReceipt,
  scenario,
  served,
  writes,
} from '../../helpers/operate-bench.ts'
import { until } from '../../helpers/until.ts'

// Longer than in .taprc: every command takes a cycle or two.
t.setTimeout(300_000)

t.test('migrate fixes the original incident: it locks, executes, follows and checks again', async t => {
  const { run, writes: made } = await bench(t, scenario('job-left-behind'))
  t.match(await run(['check']), { code: 2, stdout: 'driftwatch migrate --stack runtime' })
  const receipt = join(t.testdir(), 'kept', 'receipt.json')
  const { code, stdout, stderr } = await run(['migrate', '--stack', 'runtime', '--yes', '--receipt', receipt])
  t.match({ code, stderr }, { code: 0 })
  t.match(stdout, /^✓ runtime \/ job-image +in sync/m)
  t.match(stdout, /^✓ runtime \/ migration-execution +in sync/m)
  t.match(stderr, `lock: job runtime-migrate is pinned to ${served} with the command runtime-migrate`)
  t.match(stderr, /migrate: execution runtime-migrate-\w+ is running/)
  t.match(stderr, 'Started succeeded: Started deployed execution in 0s.', 'messages of Cloud Run are printed')
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
  t.match(kept.stacks[0]?.before, { job: { image: { reference: `${lane}:41c3d0a` } } })
  t.match(kept.stacks[0]?.after, {
    service: { serving: [{ revision: 'runtime-00042-kxb', image: { digest: digestOf('image-c') } }] },
    job: { image: { digest: digestOf('image-c') }, command: ['runtime-migrate'] },
    execution: { result: 'succeeded', image: { digest: digestOf('image-c') } },
  })
  t.match(await run(['check']), { code: 0 })
})

t.test('migrate sets the command and args of the config, and does not change the rest of the job', async t => {
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
    t.match(migrated.stdout, `1. lock     pin job runtime-migrate to ${served}`)
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

t.test('migrate asks for confirmation, and refuses without a terminal', async t => {
  const { run, writes: made } = await bench(t)
  for (const typed of ['n\n', '\n', '', 'yesterday\n']) {
    const declined = await run(['migrate'], { typed })
    t.match(declined, { code: 1, stdout: '', stderr: /Continue\? \[y\/N\] / }, JSON.stringify(typed))
    t.match(declined.stderr, 'not confirmed: nothing was changed')
  }
  const piped = await run(['migrate'])
  t.match(piped, { code: 1, stdout: '' })
  t.match(piped.stderr, /needs confirmation\. Nothing was changed\. Pass --yes/)
  t.match(await run(['deploy', '--image', `${lane}:c5a11fe`]), { code: 1, stderr: /Pass --yes/ })
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

t.test('migrate refuses, with the reason, if it would do harm', async t => {
  const tagOnly = { 'runtime-00042-kxb': { containers: { 'runtime-1': { image: `${lane}:7f2e91c` } } } }
  const cases: [string, WorldPatch, RegExp][] = [
    [
      'traffic is split',
      scenario('traffic-split'),
      /traffic is split between .* and .*, which run different images\. .*\n.*--to-revisions runtime-\S+=100 .*\n.*--to-revisions runtime-\S+=100 /,
    ],
    [
      'the service reconciles',
      { services: { runtime: { reconciling: true } } },
      /service runtime is reconciling\. Wait until the rollout is complete\./,
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
      /Cloud Run has no job runtime-migrate .* Create it first, with its own deployment\.\n {2}current state/,
    ],
    [
      'the revision has no digest',
      { revisions: tagOnly },
      /cannot pin the job: revision runtime-00042-kxb has the image .*:7f2e91c without a digest/,
    ],
    [
      'another migration runs',
      otherMigration(),
      /execution runtime-migrate-other is running since .* with another image or command.*\n.*executions cancel runtime-migrate-other/,
    ],
    [
      'no revision receives traffic',
      { services: { runtime: { latestReadyRevision: null, trafficStatuses: [] } } },
      /no revision of service runtime receives traffic/,
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

t.test('a running migration is followed, and not started again', async t => {
  const { run, cloudRun, writes: made } = await bench(t, { writes: { ...writes, execution: 'never-ends' } })
  const gone = new AbortController()
  const first = await run(['migrate', '--yes'], {
    signal: gone.signal,
    onStderr: text => text.includes('is running') && gone.abort(),
  })
  t.match(first, { code: 1, stderr: /interrupted: execution runtime-migrate-\w+ is still running in Cloud Run/ })
  const [, name] = /execution (runtime-migrate-\w+) is still running/.exec(first.stderr) ?? []
  for (const line of [
    `to inspect:   gcloud run jobs executions describe ${name} ${place}`,
    `to cancel:    gcloud run jobs executions cancel ${name} ${place}`,
    'driftwatch check --stack runtime --wait 30m',
  ])
    t.match(first.stderr, line)

  const second = await run(['migrate', '--yes'], { variables: { MAX_DURATION: '1s' } })
  t.match(second, { code: 2, stderr: `follow execution ${name}, which already runs that image` })
  t.match(second.stderr, `execution ${name} is still running after 1 s, the limit of job.maxDuration`)
  t.match(second.stderr, `executions cancel ${name}`)
  t.strictSame(made(), { UpdateJob: 1, RunJob: 1 }, 'started once by both')
  t.ok(cloudRun.calls.counts().GetExecution ?? 0)
})

t.test('nothing is started while an execution may still run', async t => {
  const unended = (completed: WorldPatch, more: WorldPatch = {}): WorldPatch => {
    const world = otherMigration(served, 'runtime-migrate-odd') as { executions: Record<string, WorldPatch> }
    const odd = { ...world.executions['runtime-migrate-odd'], conditions: { Completed: completed }, ...more }
    return { ...world, executions: { 'runtime-migrate-odd': odd } } as WorldPatch
  }
  const cases: [string, WorldPatch, RegExp][] = [
    [
      'it is being cancelled',
      unended({ state: 'CONDITION_FAILED', executionReason: 'CANCELLING' }),
      /execution runtime-migrate-odd is being cancelled\. Wait until it has ended\.\n.*executions describe runtime-migrate-odd/,
    ],
    [
      'it is being cancelled and counts as running',
      unended({ state: 'CONDITION_RECONCILING', executionReason: 'CANCELLING' }),
      /execution runtime-migrate-odd is being cancelled/,
    ],
    [
      'an unrecognized state',
      unended({ state: 99 }),
      /cannot determine whether execution runtime-migrate-odd has ended: this version of Driftwatch does not know its state/,
    ],
    [
      'the job names an execution that does not exist',
      { jobs: (otherMigration() as { jobs: WorldPatch }).jobs },
      /cannot determine whether execution runtime-migrate-other has ended: it is the latest execution of the job, but/,
    ],
  ]
  const { run, cloudRun, writes: made } = await bench(t)
  for (const [name, patch, message] of cases) {
    cloudRun.setWorld(loadWorld({ writes, ...patch }))
    for (const argv of [['migrate'], ['deploy', '--image', `${lane}:c5a11fe`]]) {
      const { code, stderr } = await run([...argv, '--yes'])
      t.equal(code, 1, name)
      t.match(stderr, message, `${argv[0]}: ${name}`)
      t.match(stderr, 'current state: nothing was changed')
    }
  }
  t.strictSame(made(), {})
  const ended = unended({ state: 'CONDITION_FAILED', executionReason: 'CANCELLED' }, { completionTime: '-30s' })
  cloudRun.setWorld(loadWorld({ writes, ...ended }))
  t.match(await run(['migrate', '--yes']), { code: 0 }, 'a cancelled execution has ended')
})

t.test('a followed execution that is being cancelled has not ended yet', async t => {
  const { run, cloudRun } = await bench(t, { writes: { ...writes, execution: 'never-ends' } })
  const { host } = cloudRun
  let cancelled = false
  const followed = await run(['migrate', '--yes'], {
    onStderr(text) {
      const [, name] = /execution (runtime-migrate-\w+) is running/.exec(text) ?? []
      if (!name || cancelled) return
      cancelled = true
      void cancelExecution(host, name)
    },
  })
  t.match(followed, {
    code: 2,
    stderr: /CANCELLING.*[\s\S]*driftwatch: STEP_FAILED: execution runtime-migrate-\w+ was cancelled/,
  })
})

t.test('a failed execution is reported with its last message, and exit code 2', async t => {
  const { run } = await bench(t, { writes: { ...writes, execution: 'fails' } })
  const receipt = join(t.testdir(), 'receipt.json')
  const { code, stderr } = await run(['migrate', '--yes', '--receipt', receipt])
  t.equal(code, 2)
  t.match(stderr, /driftwatch: STEP_FAILED: execution runtime-migrate-\w+ failed\n/)
  t.match(
    stderr,
    /Completed failed: NON_ZERO_EXIT_CODE: Task runtime-migrate-\w+-task0 failed with message: The container exited with an error\.\n/,
  )
  t.match(
    stderr,
    /current state: execution runtime-migrate-\w+ failed with .*\n {2}to inspect: {3}gcloud run jobs executions describe/,
  )
  t.match(
    stderr,
    /to continue: {2}driftwatch migrate --stack runtime --config \S+\n {2}to roll back: gcloud run jobs update runtime-migrate/,
  )
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

t.test('a job that cannot run the image is not executed, and the rollback command is printed', async t => {
  const { run, writes: made } = await bench(t, {
    registry: { repositories: { [lane]: { tags: { '7f2e91c': null, 'latest-rust': null } } } },
  })
  const { code, stderr } = await run(['migrate', '--yes'])
  t.equal(code, 2)
  t.match(stderr, /job runtime-migrate cannot run .*: CONTAINER_MISSING: Image '.*' not found\./)
  t.match(stderr, `to roll back: gcloud run jobs update runtime-migrate --image ${lane}:7f2e91c ${place}`)
  t.strictSame(made(), { UpdateJob: 1 })
})

t.test('a full quota of executions is reported with the message of Cloud Run, and not retried', async t => {
  const { run, writes: made } = await bench(t, { writes: { ...writes, executionLimit: 0 } })
  const { code, stderr } = await run(['migrate', '--yes'])
  t.match({ code, stderr }, { code: 1, stderr: /RunJob .*: Quota exceeded for running executions/ })
  t.strictSame(made(), { UpdateJob: 1, RunJob: 1 })
})

t.test('a lost response is verified: nothing is done twice', async t => {
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
  t.strictSame(made(), { UpdateJob: 2, RunJob: 1 }, 'the etag was unchanged: written again')
  t.match(await tryWith(lost('UpdateJob', { afterwards: true })), { code: 0 })
  t.strictSame(made(), { UpdateJob: 1, RunJob: 1 }, 'it was written: not again')
  t.match(await tryWith(lost('RunJob', { afterwards: true })), { code: 0 })
  t.strictSame(made(), { UpdateJob: 1, RunJob: 1 }, 'it was started: not again')
  const uncertain = await tryWith(lost('RunJob'))
  t.match(uncertain, {
    code: 1,
    stderr: /may or may not have been applied.*\. Check the current state before you try again\./,
  })
  t.strictSame(made(), { UpdateJob: 1, RunJob: 1 }, 'it may have been started: not again')
  const denied = await tryWith(lost('UpdateJob', { code: 'PERMISSION_DENIED' }))
  t.match(denied, { code: 1, stderr: /Permission 'run\.jobs\.update' denied/ })
  t.strictSame(made(), { UpdateJob: 1 })
  const lastly = await tryWith(lost('GetExecution', { times: 3 }))
  t.match(lastly, { code: 0 }, 'a transient read failure ends nothing')
})

t.test('migrate works without the permission to list executions', async t => {
  const { run } = await bench(t, { faults: [{ method: 'ListExecutions', code: 'PERMISSION_DENIED' }] })
  t.match(await run(['migrate', '--yes']), { code: 0 })
})

t.test('a concurrent change of the job or the service is not overwritten', async t => {
  const { run, cloudRun, writes: made } = await bench(t)
  const between = (patch: WorldPatch) => (text: string) => {
    if (text.endsWith('] ')) cloudRun.setWorld(loadWorld({ writes, ...patch }))
  }
  const job = { 'runtime-migrate': { labels: { team: 'billing' } } }
  const migrated = await run(['migrate'], { typed: 'y\n', onStderr: between({ jobs: job }) })
  t.match(migrated, {
    code: 1,
    stderr: /jobs\/runtime-migrate was changed by another client in the meantime\. Nothing was overwritten/,
  })
  const service = { runtime: { labels: { team: 'billing' } } }
  const argv = ['deploy', '--image', `${lane}:c5a11fe`]
  const deployed = await run(argv, { typed: 'y\n', onStderr: between({ services: service }) })
  t.match(deployed, { code: 1, stderr: /services\/runtime was changed by another client in the meantime/ })
  t.strictSame(made(), {})
})

t.test('the image in service is read again before the migration starts', async t => {
  const { run, cloudRun, writes: made } = await bench(t)
  const locked = { template: { template: { containers: { 'runtime-migrate-1': { image: served ?? '' } } } } }
  const movedAway = scenario('traffic-rolled-back')
  let moved = false
  const { code, stderr } = await run(['migrate', '--yes'], {
    onStderr(text) {
      if (moved || !text.includes('lock: job runtime-migrate is pinned')) return
      moved = true
      cloudRun.setWorld(loadWorld({ writes, ...movedAway, jobs: { 'runtime-migrate': locked } }))
    },
  })
  t.equal(code, 1)
  t.match(
    stderr,
    /the service was changed concurrently, and the job was not executed\. Revision runtime-00041-wpz now runs .*, but the job was pinned to /,
  )
  t.match(stderr, `current state: job runtime-migrate is set to ${served}, but was not executed`)
  t.match(stderr, `to roll back: gcloud run jobs update runtime-migrate --image ${lane}:7f2e91c ${place}`)
  t.strictSame(made(), { UpdateJob: 1 }, 'nothing was executed')
})

t.test('Ctrl-C at any moment of migrate reports what was done, what still runs, and how to continue', async t => {
  const moments: [string, Fault[], RegExp, object][] = [
    ['driftwatch migrate: stack', [], /interrupted: nothing was changed\n$/, {}],
    [
      'lock: job runtime-migrate is pinned',
      [],
      /interrupted: job runtime-migrate is set to .*, but was not executed\n {2}to continue: {2}driftwatch migrate --stack runtime --config \S+\n {2}to roll back: gcloud run jobs update/,
      { UpdateJob: 1 },
    ],
    [
      'is running',
      [],
      /interrupted: execution runtime-migrate-\w+ is still running in Cloud Run\n {2}to inspect: .*\n {2}to cancel: .*cancel .*\n {2}to continue: {2}driftwatch check --stack runtime --wait 30m/,
      { UpdateJob: 1, RunJob: 1 },
    ],
  ]
  for (const [moment, faults, message, expected] of moments) {
    const { run, writes: made } = await bench(t, {
      writes: { ...writes, execution: 'never-ends' },
      faults: faults as unknown as WorldPatch[],
    })
    const gone = new AbortController()
    const { code, stderr } = await run(['migrate', '--yes'], {
      signal: gone.signal,
      onStderr: text => text.includes(moment) && gone.abort(),
    })
    t.equal(code, 1, moment)
    t.match(stderr, message)
    t.strictSame(made(), expected)
  }
})

t.test('Ctrl-C during the last read before the start starts nothing', async t => {
  const { run, cloudRun, writes: made } = await bench(t)
  const gone = new AbortController()
  let looks = 0
  const stop = cloudRun.calls.onCall(({ method }) => {
    if (method === 'UpdateJob') looks = 1
    // The lists before the start come after the lock.
    if (looks > 0 && method === 'ListExecutions') gone.abort()
  })
  t.teardown(stop)
  const { code, stderr } = await run(['migrate', '--yes'], { signal: gone.signal })
  t.match({ code, stderr }, { code: 1, stderr: /interrupted: job runtime-migrate is set to .*, but was not executed/ })
  t.strictSame(made(), { UpdateJob: 1 })
})

t.test('Ctrl-C during the request to start reports what was started', async t => {
  const { run, cloudRun, writes: made } = await bench(t, { writes: { ...writes, execution: 'never-ends' } })
  const gone = new AbortController()
  t.teardown(
    cloudRun.calls.onCall(({ method }) => {
      if (method === 'RunJob') gone.abort()
    }),
  )
  const { code, stderr } = await run(['migrate', '--yes'], { signal: gone.signal })
  t.match(
    { code, stderr },
    { code: 1, stderr: /interrupted: execution runtime-migrate-\w+ is still running in Cloud Run/ },
  )
  t.strictSame(made(), { UpdateJob: 1, RunJob: 1 })
})

t.test('the prompt names the stack, its place, and the resources to write', async t => {
  const { run } = await bench(t)
  const migrated = await run(['migrate'], { typed: 'n\n' })
  t.match(migrated.stderr, /^driftwatch migrate: stack runtime, project openagentsgemini, region us-central1:\n/)
  t.match(migrated.stderr, '\n  writes to: job runtime-migrate, an execution of job runtime-migrate\nContinue?')
  const deployed = await run(['deploy', '--image', `${lane}:c5a11fe`], { typed: 'n\n' })
  t.match(deployed.stderr, '\n  writes to: service runtime, job runtime-migrate, an execution of job runtime-migrate\n')
})

t.test('an unwritable receipt is reported before any change, or with the outcome', async t => {
  const { run, writes: made } = await bench(t)
  const folder = t.testdir({ taken: 'a file' })
  for (const file of [folder, join(folder, 'taken', 'receipt.json'), join(folder, 'x'.repeat(300))])
    t.match(await run(['migrate', '--yes', '--receipt', file]), { code: 1, stderr: /cannot write the receipt/ }, file)
  t.strictSame(made(), {})

  const kept = join(folder, 'kept')
  const vanishing = (argv: string[], moment: string) =>
    run([...argv, '--receipt', join(kept, 'receipt.json')], {
      onStderr: text => text.includes(moment) && rmSync(kept, { recursive: true, force: true }),
    })
  const migrated = await vanishing(['migrate', '--yes'], 'succeeded with')
  t.match(migrated, { code: 1, stdout: /^IN SYNC/ }, 'the outcome is still reported')
  t.match(migrated.stderr, /check: stack runtime is in sync[\s\S]*cannot write the receipt .*: ENOENT/)
  const failing = await bench(t, { writes: { ...writes, execution: 'fails' } })
  const failed = await failing.run(['migrate', '--yes', '--receipt', join(kept, 'receipt.json')], {
    onStderr: text => text.includes('is running') && rmSync(kept, { recursive: true, force: true }),
  })
  t.match(failed, { code: 2, stderr: /failed[\s\S]*current state:[\s\S]*cannot write the receipt/ })
})

t.test('the emulator rejects an old etag as Google does', async t => {
  const {
    run,
    cloudRun,
    writes: made,
  } = await bench(t, {
    faults: [{ method: 'RunJob', code: 'ABORTED', message: 'Conflict for resource', times: 1 }],
  })
  t.match(await run(['migrate', '--yes']), { code: 0 }, 'nothing was started and the job is unchanged: again')
  t.strictSame(made(), { UpdateJob: 1, RunJob: 2 })
  cloudRun.setWorld(loadWorld({ writes, faults: [{ method: 'RunJob', code: 'ABORTED' }] }))
  t.match(
    await run(['migrate', '--yes']),
    { code: 1, stderr: /changed by another client/ },
    'a limited number of times',
  )
})

t.test('Ctrl-C ends the process in the middle of migrate, and reports what still runs', async t => {
  const { cloudRun, file } = await bench(t, { writes: { ...writes, execution: 'never-ends' } })
  const child = spawn(process.execPath, ['src/main.ts', 'migrate', '--yes', '--config', file], {
    cwd: new URL('../../..', import.meta.url),
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
    /driftwatch: INTERRUPTED: interrupted: execution runtime-migrate-\w+ is still running in Cloud Run\n {2}to inspect: {3}gcloud run jobs executions describe/,
  )
})

t.test('a second Ctrl-C ends the process at once, with a report of possible changes and a receipt', async t => {
  const { cloudRun, file } = await bench(t, { faults: [{ method: 'RunJob', hang: true }] })
  const receipt = join(t.testdir({}), 'receipt.json')
  const child = spawn(process.execPath, ['src/main.ts', 'migrate', '--yes', '--config', file, '--receipt', receipt], {
    cwd: new URL('../../..', import.meta.url),
    env: { ...process.env, CLOUD_RUN_EMULATOR_HOST: cloudRun.host },
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  t.teardown(() => child.kill('SIGKILL'))
  t.teardown(cloudRun.calls.onCall(({ method }) => method === 'RunJob' && child.kill('SIGINT')))
  let stderr = ''
  child.stderr.on('data', chunk => {
    stderr += chunk
  })
  const exit = once(child, 'exit')
  // One key press may arrive twice, also from npm: only a later one counts.
  await until(() => {
    if (stderr.includes('press Ctrl-C again to exit immediately')) child.kill('SIGINT')
    return child.signalCode !== null || child.exitCode !== null
  })
  t.strictSame(await exit, [null, 'SIGINT'], stderr)
  t.match(
    stderr,
    /press Ctrl-C again to exit immediately\ndriftwatch: INTERRUPTED: interrupted: an execution of job runtime-migrate may have been started with .*\n {2}to inspect: {3}gcloud run jobs executions list/,
  )
  t.match(readReceipt(t, receipt), { outcome: 'interrupted', standing: { said: /may have been started/ } })
})

t.test('migrate adds little to the duration of an execution', async t => {
  const executionMs = 2000
  const { run } = await bench(t, { writes: { ...writes, executionMs } })
  const begin = performance.now()
  t.match(await run(['migrate', '--yes']), { code: 0 })
  const added = performance.now() - begin - executionMs
  t.comment(
    `added ${Math.round(added)} ms to ${executionMs} ms, ${(1 + added / executionMs).toFixed(2)} times its own time`,
  )
})

t.test('IMAGE of migrate is the image in service, by digest or by the deployed tag', async t => {
  const { run, cloudRun, writes: made } = await bench(t)
  const rolledBack = loadWorld({ writes, ...scenario('traffic-rolled-back') })
  cloudRun.setWorld(rolledBack)
  const template = await run(['migrate', '--yes'], { variables: { IMAGE: `${lane}:7f2e91c` } })
  t.match(template, {
    code: 1,
    stderr: /IMAGE is .*:7f2e91c, but revision runtime-00041-wpz runs .*\. A migration runs the image in service/,
  })
  const unclear = await run(['migrate', '--yes'], { variables: { IMAGE: `${lane}:41c3d0a` } })
  t.match(
    unclear,
    { code: 1, stderr: /which may be another image\. Pass the digest that the revision runs/ },
    'no registry can be asked',
  )
  t.match(await run(['migrate', '--yes'], { variables: { IMAGE: 'Not An Image' } }), {
    code: 1,
    stderr: /is not a valid image/,
  })
  t.strictSame(made(), {})

  const moved = loadWorld(scenario('tag-moved'))
  const registry = await startRegistry({ world: moved.registry })
  t.teardown(() => registry.close())
  cloudRun.setWorld(loadWorld({ writes, ...scenario('tag-moved') }))
  const asked = { ARTIFACT_REGISTRY_EMULATOR_HOST: registry.host }
  const tag = await run(['migrate', '--yes'], { variables: { ...asked, IMAGE: `${lane}:7f2e91c` } })
  t.match(tag, { code: 1, stderr: /IMAGE is .*:7f2e91c, but revision runtime-00042-kxb runs .*\. A migration/ })
  const digest = await run(['migrate', '--yes'], { variables: { ...asked, IMAGE: served ?? '' } })
  t.notMatch(digest.stderr, 'IMAGE is')
  t.strictSame(made(), { UpdateJob: 1, RunJob: 1 })
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

t.test('an image that its registry does not have is refused before anything is changed', async t => {
  const { run, writes: made } = await bench(t)
  const { registry: world } = loadWorld({
    registry: { repositories: { [lane]: { tags: { '7f2e91c': null, 'latest-rust': null } } } },
  })
  const registry = await startRegistry({ world })
  t.teardown(() => registry.close())
  const variables = { ARTIFACT_REGISTRY_EMULATOR_HOST: registry.host }
  const migrated = await run(['migrate', '--yes'], { variables })
  t.match(migrated, { code: 1, stderr: `image ${served} does not exist in its registry` })
  t.match(migrated.stderr, `gcloud artifacts docker images list ${lane}`)
  t.match(migrated.stderr, 'current state: nothing was changed')
  for (const image of [`${lane}:7f2e91c`, `${served}`]) {
    const deployed = await run(['deploy', '--image', image, '--yes'], { variables })
    t.match(deployed, { code: 1, stderr: `image ${image} does not exist in its registry` })
  }
  t.strictSame(made(), {})
  t.match(await run(['deploy', '--image', `${lane}:c5a11fe`, '--dry-run'], { variables }), { code: 0 })

  const unasked = await run(['migrate', '--dry-run'])
  t.match(unasked, { code: 0, stdout: 'whether the image exists was not verified: no registry is configured' })
  await registry.close()
  const unreachable = await run(['migrate', '--yes'], { variables })
  t.match(unreachable, { code: 0, stderr: 'whether the image exists was not verified: ' })
})

t.test('a state that this version does not know is not printed as a bare number', async t => {
  const condition: Condition = {
    type: 'Started',
    state: { unrecognized: '99' },
    message: 'No.',
    reason: null,
    since: null,
  }
  const execution = { conditions: [condition] } as unknown as Execution
  t.strictSame(tailOf(execution), ['Started state 99 (unknown to this version of Driftwatch): No.'])
})
