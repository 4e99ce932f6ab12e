import { readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { digestOf } from '../../../sandbox/images.ts'
import { startMonitoring } from '../../../sandbox/monitoring.ts'
import { startRegistry } from '../../../sandbox/registry.ts'
import { loadWorld, type WorldPatch } from '../../../sandbox/world.ts'
import { judgeDatabase, judgeGate } from '../../../src/operate/rollout/gate.ts'
import type { ReportedCheck } from '../../../src/report/report.ts'
import {
  bench,
  built,
  lane,
  legacyLane,
  operateConfig,
  otherMigration,
  place,
  readReceipt,
  readService,
  scenario,
  served,
  type TrafficOfVendor,
  writes,
} from '../../helpers/operate-bench.ts'

// Longer than in .taprc: every command takes a cycle or two.
t.setTimeout(300_000)

t.test(
  'the gate of a deploy has the worst status, and accepts the expected state after a deploy without traffic',
  async t => {
    const check = (status: ReportedCheck['status'], path: string | null = null, name = 'job-image'): ReportedCheck => ({
      check: name as ReportedCheck['check'],
      status,
      since: '2026-11-23T03:00:00.000Z',
      observedAt: null,
      staleAt: null,
      summary: `it is ${status}`,
      differences: path === null ? [] : [{ path, kind: 'changed', expected: 'a', actual: 'b', via: null }],
      notes: [],
      fix: 'run the fix',
      advice: null,
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
    const early: ReportedCheck = {
      ...check('pending', null, 'after-rollout'),
      error: { code: 'TOO_SOON', message: 'a minute old', at: '2026-11-23T03:00:00.000Z' },
    }
    t.match(judgeGate([check('in_sync'), early], { noTraffic }), {
      kind: 'open',
      lines: [],
      tooSoon: [/^after-rollout is/],
    })
    t.equal(judgeGate([check('pending', 'job.image'), early], { noTraffic }).kind, 'pending')
    t.equal(judgeDatabase([check('drifted')]), null)
    t.match(judgeDatabase([check('drifted', 'x', 'role-grants'), check('unknown')]), {
      kind: 'drifted',
      lines: ['it is drifted', 'fix: run the fix'],
    })
    t.match(judgeDatabase([check('in_sync', null, 'role-grants')]), { kind: 'open' })
  },
)

t.test('deploy creates a revision, migrates with its digest, checks, and writes a receipt', async t => {
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
  t.match(stderr, /ready: revision runtime-00043-\w+ is ready and receives all traffic/)
  t.match(stderr, `lock: job runtime-migrate is pinned to ${built}`)
  t.match(stderr, 'role grants: skipped: the configuration has no database')
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

t.test('a pending check does not close the gate, and --wait waits for it', async t => {
  const { run, file } = await bench(t)
  const world = loadWorld()
  const monitoring = await startMonitoring({ telemetry: world.telemetry, now: Date.now })
  t.teardown(() => monitoring.close())
  const watched = join(t.testdir(), 'watched.yaml')
  writeFileSync(watched, readFileSync(file, 'utf8').replace(/^ {4}database:/m, '    afterRollout: {}\n    database:'))
  const variables = { MONITORING_EMULATOR_HOST: monitoring.host }
  const argv = ['deploy', '--image', `${lane}:c5a11fe`, '--yes']
  const early = await run(argv, { config: watched, variables })
  t.match(early, { code: 0, stdout: /~ runtime \/ after-rollout/ })
  t.match(
    early.stderr,
    /gate: open: every check that can be judged now is in sync; after-rollout is pending: .*; to check later: driftwatch check --stack runtime --wait 10m/,
  )
  const waited = await run([...argv, '--wait', '1s'], { config: watched, variables })
  t.match(
    waited,
    { code: 3, stderr: /check: waiting at most .* for runtime \/ after-rollout \(pending, TOO_SOON\)/ },
    'still pending',
  )
  t.match(await run([...argv, '--wait', 'soon'], { config: watched, variables }), {
    code: 1,
    stderr: /invalid --wait "soon"/,
  })
})

t.test('the same tag creates a new revision, and a revision name in the template is removed', async t => {
  const { run, cloudRun } = await bench(t, { services: { runtime: { template: { revision: 'runtime-00042-kxb' } } } })
  const { code, stderr } = await run(['deploy', '--image', `${lane}:7f2e91c`, '--yes'])
  t.match({ code, stderr }, { code: 0 })
  t.match(stderr, /revision runtime-00043-\w+ is ready/)
  cloudRun.calls.clear()
  const again = await run(['deploy', '--image', `${lane}:7f2e91c`, '--yes'])
  t.match(again, { code: 0, stderr: /revision runtime-00044-\w+ is ready/ })
  t.equal(cloudRun.calls.counts().UpdateService, 1)
})

t.test('a deploy whose response is lost is recognised, and not repeated', async t => {
  const { run, writes: made } = await bench(t, {
    faults: [{ method: 'UpdateService', code: 'UNAVAILABLE', times: 1, afterwards: true }],
  })
  const { code, stderr } = await run(['deploy', '--image', built ?? '', '--yes'])
  t.match({ code, stderr }, { code: 0 })
  t.match(stderr, /revision runtime-00043-\w+ is ready/)
  t.strictSame(made(), { UpdateService: 1, UpdateJob: 1, RunJob: 1 })
})

t.test('a new revision without a digest is not migrated, and the rollback command is printed', async t => {
  const { run, writes: made } = await bench(t, { writes: { ...writes, showsDigest: false } })
  const receipt = join(t.testdir(), 'receipt.json')
  const { code, stderr } = await run(['deploy', '--image', `${lane}:c5a11fe`, '--yes', '--receipt', receipt])
  t.equal(code, 2)
  t.match(readReceipt(t, receipt), { outcome: 'failed', error: { code: 'STEP_FAILED' } }, 'something was changed')
  t.match(stderr, /current state: revision runtime-00043-\w+ receives all traffic; nothing was migrated/)
  t.match(stderr, /revision runtime-00043-\w+ has the image .*:c5a11fe without a digest/)
  t.match(stderr, 'to roll back: gcloud run services update-traffic runtime --to-revisions runtime-00042-kxb=100')
  t.strictSame(made(), { UpdateService: 1 })
})

t.test('a stack without a job is deployed, and the skipped migration is reported', async t => {
  const { run, writes: made } = await bench(t)
  const alone = join(t.testdir({ 'alone.yaml': operateConfig.replace(/^ {4}job: .*\n/m, '') }), 'alone.yaml')
  t.match(await run(['migrate', '--yes'], { config: alone }), {
    code: 1,
    stderr: /stack runtime has no `job` in the configuration/,
  })
  const { code, stderr } = await run(['deploy', '--image', `${lane}:c5a11fe`, '--yes'], { config: alone })
  t.match({ code, stderr }, { code: 0 })
  t.match(stderr, 'migrate: skipped: the configuration has no job')
  t.strictSame(made(), { UpdateService: 1 })
})

t.test('deploy without traffic locks the job to the new revision, and does not change traffic', async t => {
  for (const [flags, variables] of [[['--no-traffic'], {}] as const, [[], { DEPLOY_NO_TRAFFIC: '1' }] as const]) {
    const { run, writes: made } = await bench(t)
    const receipt = join(t.testdir(), 'receipt.json')
    const { code, stderr } = await run(['deploy', '--yes', '--receipt', receipt, ...flags], {
      variables: { IMAGE: `${lane}:c5a11fe`, ...variables },
    })
    t.match({ code, stderr }, { code: 0 })
    t.match(
      stderr,
      /revision runtime-00043-\w+ is ready and receives no traffic; traffic is now pinned to runtime-00042-kxb \(100 %\), until you send it to the latest revision: gcloud run services update-traffic runtime --to-latest/,
    )
    t.match(stderr, `lock: job runtime-migrate is pinned to ${built}`)
    t.match(
      stderr,
      /gate: open; the job is ahead of the service until you send traffic to the latest revision: gcloud run services update-traffic runtime --to-latest/,
    )
    t.strictSame(made(), { UpdateService: 1, UpdateJob: 1, RunJob: 1 })
    const { asked, stacks, standing } = readReceipt(t, receipt)
    t.equal(asked.noTraffic, true)
    t.match(standing, {
      said: /^revision runtime-00043-\w+ receives no traffic; traffic is now pinned to runtime-00042-kxb \(100 %\); execution/,
      back: `gcloud run services update runtime --image ${served} ${place} && gcloud run services update-traffic runtime --to-latest ${place} && gcloud run jobs update runtime-migrate --image ${served} ${place}`,
    })
    t.match(stacks[0]?.before, { service: { followsLatest: true, serving: [{ percent: 100 }] } })
    t.match(stacks[0]?.after, {
      service: { followsLatest: false, serving: [{ revision: 'runtime-00042-kxb', percent: 100 }] },
      job: { image: { digest: digestOf('image-d') } },
      execution: { image: { digest: digestOf('image-d') }, result: 'succeeded' },
    })
    const again = await run(['deploy', '--image', `${lane}:c5a11fe`, '--yes'])
    t.match(again, {
      code: 1,
      stderr: /traffic is pinned to runtime-00042-kxb \(100 %\), so a new revision would receive none/,
    })
  }
})

t.test(
  'a deploy without traffic pins traffic to the current revisions by name, and moves none between revisions of one image',
  async t => {
    const { runtime } = { runtime: 'runtime-00042-two' }
    const split: WorldPatch = {
      services: {
        runtime: {
          traffic: [
            { type: 'TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST', percent: 70, tag: 'next' },
            { type: 'TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION', revision: runtime, percent: 30 },
          ],
          trafficStatuses: [
            { type: 'TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST', percent: 70, tag: 'next' },
            { type: 'TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION', revision: runtime, percent: 30 },
          ],
        },
      },
      revisions: {
        [runtime]: {
          service: 'runtime',
          createTime: '-25h',
          containers: { 'runtime-1': { image: served ?? '', ports: [{ containerPort: 8080 }] } },
          conditions: { Ready: { state: 'CONDITION_SUCCEEDED' } },
        },
      },
    }
    const { run, cloudRun } = await bench(t, split)
    const { code, stderr } = await run(['deploy', '--image', `${lane}:c5a11fe`, '--no-traffic', '--yes'])
    t.match({ code, stderr }, { code: 0 })
    t.match(stderr, 'traffic is now pinned to runtime-00042-kxb (70 %) and runtime-00042-two (30 %)')
    const pinned = (await readService(cloudRun)).traffic.map(({ type, revision, percent, tag }: TrafficOfVendor) => ({
      type,
      revision,
      percent,
      tag,
    }))
    const [revisionType, latestType] = ['REVISION', 'LATEST'].map(each => `TRAFFIC_TARGET_ALLOCATION_TYPE_${each}`)
    t.strictSame(pinned, [
      { type: revisionType, revision: 'runtime-00042-kxb', percent: 70, tag: '' },
      { type: revisionType, revision: runtime, percent: 30, tag: '' },
      { type: latestType, revision: '', percent: 0, tag: 'next' },
    ])
    const again = await run(['deploy', '--image', `${lane}:7f2e91c`, '--no-traffic', '--yes'])
    t.match(again.stderr, 'traffic is still pinned to runtime-00042-kxb (70 %) and runtime-00042-two (30 %)')
    const released = await run(['deploy', '--image', `${lane}:7f2e91c`, '--yes'])
    t.match(released, {
      code: 1,
      stderr: /a new revision would receive none.*\n.*update-traffic runtime --to-latest/,
    })
  },
)

t.test(
  'if a revision does not become ready, the older one keeps traffic, nothing is migrated, and the rollback command is printed',
  async t => {
    const { run, writes: made } = await bench(t, { writes: { ...writes, rollout: 'fails' } })
    const { code, stderr } = await run(['deploy', '--image', `${lane}:c5a11fe`, '--yes'])
    t.equal(code, 2)
    t.match(
      stderr,
      /revision runtime-00043-\w+ did not become ready: REVISION_FAILED: .*failed to start and listen on the port/,
    )
    t.match(
      stderr,
      `current state: service runtime is set to ${lane}:c5a11fe; traffic still goes to runtime-00042-kxb (100 %); nothing was migrated`,
    )
    t.match(stderr, /to inspect: {3}gcloud logging read '.*revision_name="runtime-00043-\w+"/)
    t.match(stderr, `to roll back: gcloud run services update runtime --image ${served} ${place}`)
    t.strictSame(made(), { UpdateService: 1 })
  },
)

t.test('an image that does not exist gets no traffic, and the rollback command is printed', async t => {
  const { run, writes: made } = await bench(t)
  const { code, stderr } = await run(['deploy', '--image', `${lane}:never-built`, '--no-traffic', '--yes'])
  t.equal(code, 2)
  t.match(
    stderr,
    /revision runtime-00043-\w+ did not become ready: REVISION_FAILED: .*Image '.*:never-built' not found/,
  )
  t.match(stderr, /current state: .*traffic is now pinned to runtime-00042-kxb \(100 %\); nothing was migrated/)
  t.match(
    stderr,
    `to roll back: gcloud run services update runtime --image ${served} ${place} && gcloud run services update-traffic runtime --to-latest ${place}`,
  )
  t.strictSame(made(), { UpdateService: 1 })
})

t.test(
  'of several containers the one that receives requests is deployed, and a job of several tasks migrates',
  async t => {
    const sidecar = { image: `${legacyLane}:latest` }
    const { run, cloudRun } = await bench(t, {
      services: {
        runtime: {
          template: {
            containers: {
              'runtime-1': { image: `${lane}:7f2e91c`, ports: [{ containerPort: 8080 }] },
              proxy: sidecar,
            },
          },
        },
      },
      revisions: { 'runtime-00042-kxb': { containers: { proxy: sidecar } } },
      jobs: { 'runtime-migrate': { template: { taskCount: 3 } } },
    })
    const { code, stderr } = await run(['deploy', '--image', `${lane}:c5a11fe`, '--yes'])
    t.match({ code, stderr }, { code: 0, stderr: /3 of 3 tasks succeeded/ })
    const { containers } = (await readService(cloudRun)).template
    t.strictSame(
      containers.map((each: { image: string }) => each.image),
      [`${lane}:c5a11fe`, `${legacyLane}:latest`],
    )
  },
)

t.test('after a failed migration the command to roll back the deploy is printed', async t => {
  const { run } = await bench(t, { writes: { ...writes, execution: 'fails' } })
  const { code, stderr } = await run(['deploy', '--image', `${lane}:c5a11fe`, '--yes'])
  t.equal(code, 2)
  t.match(stderr, /execution runtime-migrate-\w+ failed/)
  t.match(
    stderr,
    `to roll back: gcloud run services update-traffic runtime --to-revisions runtime-00042-kxb=100 ${place} && gcloud run jobs update runtime-migrate --image ${served} ${place}`,
  )
  t.notMatch(stderr, 'gate:', 'it stops at the first step that fails')
})

t.test('Ctrl-C in the middle of a rollout reports what still runs', async t => {
  const { run, writes: made } = await bench(t, { writes: { ...writes, rollout: 'never-ends' } })
  const gone = new AbortController()
  const { code, stderr } = await run(['deploy', '--image', `${lane}:c5a11fe`, '--yes'], {
    signal: gone.signal,
    onStderr: text => text.includes('deploy: service runtime is set to') && gone.abort(),
  })
  t.equal(code, 1)
  t.match(stderr, /interrupted: the rollout of .*:c5a11fe continues in Cloud Run; nothing was migrated/)
  t.match(stderr, /to roll back: gcloud run services update-traffic runtime --to-revisions runtime-00042-kxb=100/)
  t.match(stderr, `gcloud run services describe runtime ${place}`)
  t.strictSame(made(), { UpdateService: 1 })
})

t.test('deploy refuses an image that would drift or could not be migrated, before any change', async t => {
  const cases: [string, string[], WorldPatch, Record<string, string>, RegExp][] = [
    [
      'another lane',
      [`${legacyLane}:latest`],
      {},
      {},
      /images of .*\/runtime are not allowed: service\.repositories allows .*runtime-rust/,
    ],
    ['no image', ['Not An Image'], {}, {}, /invalid image "Not An Image"/],
    [
      'against the config',
      [`${lane}:c5a11fe`],
      {},
      { EXPECTED_IMAGE: `${lane}:7f2e91c` },
      /the configuration expects .*:7f2e91c/,
    ],
    [
      'no service',
      [`${lane}:c5a11fe`],
      { services: { runtime: null } },
      {},
      /has no service runtime .* Create it first, with its own deployment\.\n {2}current state/,
    ],
    ['no job', [`${lane}:c5a11fe`], { jobs: { 'runtime-migrate': null } }, {}, /has no job runtime-migrate/],
    ['a rollout', [`${lane}:c5a11fe`], { services: { runtime: { reconciling: true } } }, {}, /is reconciling/],
    ['a migration', [`${lane}:c5a11fe`], otherMigration(), {}, /execution runtime-migrate-other is running/],
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

t.test('the fix for an expected image that is not in service is deploy, which also migrates', async t => {
  const { run, cloudRun } = await bench(t)
  const registry = await startRegistry({ world: loadWorld().registry })
  t.teardown(() => registry.close())
  const variables = { EXPECTED_IMAGE: built ?? '', ARTIFACT_REGISTRY_EMULATOR_HOST: registry.host }
  const check = () => run(['check', '--only', 'service-image'], { variables })
  t.match(await check(), { code: 2, stdout: `driftwatch deploy --stack runtime --image ${built}` })
  cloudRun.setWorld(loadWorld(scenario('traffic-rolled-back')))
  t.match(
    await check(),
    { code: 2, stdout: /To do: Traffic is pinned to runtime-00041-wpz by name\. Decide whether the pin stays/ },
    'traffic is pinned',
  )
})

t.test('the variables of the runbook have the same meaning, or are rejected with a reason', async t => {
  const { run, writes: made } = await bench(t)
  const image = `${lane}:c5a11fe`
  const cases: [string[], Record<string, string>, RegExp][] = [
    [
      ['deploy', '--image', image],
      { RUNTIME_DEPLOY_EXTRA_ARGS: '--cpu 2' },
      /RUNTIME_DEPLOY_EXTRA_ARGS is not supported: this command does not call gcloud/,
    ],
    [
      ['migrate'],
      { MIGRATION_EVAL: 'App.migrate()' },
      /MIGRATION_EVAL is not supported: a migration runs job\.command/,
    ],
    [
      ['migrate'],
      { GCP_REGION: 'europe-west1' },
      /GCP_REGION is europe-west1, but stack runtime is configured with us-central1/,
    ],
    [['migrate'], { DRY_RUN: 'yes' }, /invalid DRY_RUN "yes": expected 1 or 0/],
    [
      ['migrate'],
      { IMAGE: image },
      /IMAGE is .*:c5a11fe, but revision runtime-00042-kxb runs .*\. A migration runs the image in service/,
    ],
    [['deploy'], {}, /deploy: --image is missing/],
    [['deploy', '--image', image], { IMAGE: `${lane}:41c3d0a` }, /Pass only one of them/],
    [['migrate', '--stack', 'missing'], {}, /stack "missing" not found: the known stacks are "runtime"/],
    [['migrate', '--receipt', tmpdir()], {}, /cannot write the receipt .*: it is a directory/],
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
    stderr: /no service runtime in project elsewhere/,
  })
  t.strictSame(made(), {})

  const served = { GCP_PROJECT: 'openagentsgemini', MIGRATE_JOB: 'runtime-migrate', IMAGE: `${lane}:7f2e91c` }
  t.match(await run(['migrate', '--yes'], { variables: served }), { code: 0 })
  const ungated = await run(['deploy', '--image', image, '--yes'], { variables: { VERIFY_IMAGE_ALIGNMENT: '0' } })
  t.match(ungated, { code: 0, stderr: /gate: skipped: VERIFY_IMAGE_ALIGNMENT is 0/ })
})
