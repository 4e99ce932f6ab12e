import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { setTimeout as delay } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { type CloudRun, startCloudRun } from '../../sandbox/cloud-run.ts'
import { readScenario } from '../../sandbox/scenarios.ts'
import { loadWorld, type WorldPatch } from '../../sandbox/world.ts'
import { runCli } from '../../src/cli/cli.ts'
import { systemClock } from '../../src/clock.ts'
import { version } from '../../src/version.ts'

const config = `timeout: 3s
stacks:
  - name: runtime
    project: openagentsgemini
    region: us-central1
    service: { name: runtime }
    job: { name: runtime-migrate, command: [runtime-migrate] }
    database: { url: "\${DB_URL:-}" }
  - name: web
    project: openagentsgemini
    region: us-central1
    service: { name: web }
`

const behind: WorldPatch = {
  jobs: {
    'runtime-migrate': {
      template: {
        template: {
          containers: {
            'runtime-migrate-1': {
              image: 'us-central1-docker.pkg.dev/openagentsgemini/openagents-runtime/runtime-rust:41c3d0a',
            },
          },
        },
      },
    },
  },
}

const directory = mkdtempSync(join(tmpdir(), 'driftwatch-cli-'))
const file = join(directory, 'driftwatch.yaml')
writeFileSync(file, config)
t.teardown(() => rmSync(directory, { recursive: true }))

interface Ran {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

async function run(
  argv: readonly string[],
  options: {
    variables?: Record<string, string>
    tty?: boolean
    signal?: AbortSignal
    onStderr?: (chunk: string) => void
  } = {},
): Promise<Ran> {
  const out = { stdout: '', stderr: '' }
  const stream = (name: keyof typeof out, isTTY: boolean) => ({
    isTTY,
    write(chunk: string) {
      out[name] += chunk
      if (name === 'stderr') options.onStderr?.(chunk)
    },
  })
  const code = await runCli(argv, {
    stdout: stream('stdout', options.tty ?? false),
    stderr: stream('stderr', false),
    variables: { DRIFTWATCH_CONFIG: file, ...options.variables },
    clock: systemClock,
    nodeVersion: process.version,
    signal: options.signal ?? new AbortController().signal,
  })
  return { code, ...out }
}

async function emulator(
  t: Test,
  patch: WorldPatch = {},
): Promise<{ cloudRun: CloudRun; variables: Record<string, string> }> {
  const cloudRun = await startCloudRun({ world: loadWorld(patch) })
  t.teardown(() => cloudRun.close())
  return { cloudRun, variables: { CLOUD_RUN_EMULATOR_HOST: cloudRun.host } }
}

t.test('help lists every command and option', async t => {
  const { code, stdout } = await run(['--help'])
  t.equal(code, 0)
  for (const command of ['serve', 'check', 'migrate', 'deploy', 'config']) {
    t.match(stdout, command)
    const help = await run([command, '--help'])
    t.match(help, { code: 0, stderr: '' })
    t.match(help.stdout, `driftwatch ${command}`)
  }
  const { stdout: ofCheck } = await run(['check', '-h'])
  for (const word of ['--stack', '--only', '--format', '--wait', 'in sync', 'drifted', 'pending', 'unknown'])
    t.match(ofCheck, word)
  t.strictSame(await run(['--version']), { code: 0, stdout: `${version}\n`, stderr: '' })
})

t.test('an invalid command line prints one error after its code on stderr, and exits with 1', async t => {
  const cases: [string[], RegExp][] = [
    [
      ['chekc'],
      /^driftwatch: USAGE: unknown command "chekc": expected one of serve, .*, alerts\. Did you mean "check"\? Run/,
    ],
    [
      ['grants', 'paln'],
      /unknown command "grants paln": expected one of plan, apply, snapshot\. Did you mean "plan"\?/,
    ],
    [['quux'], /unknown command "quux": expected one of .*, alerts\. Run "driftwatch --help" for more\.\n$/],
    [['toString'], /^driftwatch: USAGE: unknown command "toString"/],
    [
      ['check', '--stak', 'x'],
      /^driftwatch: USAGE: check: unknown option "--stak"\. Did you mean "--stack"\? Run "driftwatch check --help" for the options\./,
    ],
    [['check', '--zzz'], /^driftwatch: USAGE: check: unknown option "--zzz"\. Run "driftwatch check --help"/],
    [['check', '--stack', 'runtme'], /the configured stacks are "runtime", "web"\. Did you mean "runtime"\?\n$/],
    [['check', '--only', 'job-imgae'], /expected one of service-image, .*\. Did you mean "job-image"\?\n$/],
    [['check', '--format', 'jsno'], /expected text or json\. Did you mean "json"\?\n$/],
    [['migrate', '--stack', 'wbe'], /stack "wbe" not found: .*\. Did you mean "web"\?\n$/],
    [['check', '--stack'], /^driftwatch: USAGE: check: /],
    [['check', 'runtime'], /^driftwatch: USAGE: check: /],
    [
      ['check', '--stack', 'missing'],
      /^driftwatch: STACK_NOT_FOUND: stack "missing" not found: the configured stacks are "runtime", "web"/,
    ],
    [
      ['check', '--only', 'job'],
      /^driftwatch: CHECK_NOT_FOUND: unknown check "job": expected one of service-image, job-image, migration-execution/,
    ],
    [
      ['check', '--stack', 'web', '--only', 'job-image'],
      /^driftwatch: CHECK_NOT_FOUND: no stack in the configuration defines job-image/,
    ],
    [['check', '--format', 'xml'], /^driftwatch: USAGE: invalid --format "xml": expected text or json/],
    [['check', '--wait', 'long'], /^driftwatch: USAGE: invalid --wait "long": expected a duration such as 90s or 10m/],
    [
      ['check', '--config', '/nowhere/d.yaml'],
      /^driftwatch: CONFIG_UNREADABLE: cannot read the configuration file \/nowhere\/d.yaml: no such file/,
    ],
  ]
  for (const [argv, message] of cases) {
    const { code, stdout, stderr } = await run(argv)
    t.strictSame({ code, stdout }, { code: 1, stdout: '' }, argv.join(' '))
    t.match(stderr, message)
    t.notMatch(stderr, /\n\s+at /, 'no stack trace')
  }
  const url = 'postgres://admin:s3cret@db/name'
  for (const argv of [
    [url],
    ['check', url],
    ['check', '--stack', url],
    ['check', '--only', url],
    ['check', '--wait', url],
    ['check', '--format', url],
    ['check', '--config', url],
    ['grants', url],
    ['grants', 'apply', '--admin-url-file', url],
    ['grants', 'plan', '--stack', url],
    ['deploy', '--image', url],
    ['deploy', '--image', 'x', '--receipt', url],
  ]) {
    const { code, stderr } = await run(argv)
    t.equal(code, 1)
    t.notMatch(stderr, 's3cret', 'a URL in the wrong place is printed without its password')
  }
  const bad = await run(['check'], { variables: { PORT: 'http' } })
  t.match(bad, { code: 1, stderr: /invalid PORT .*: expected a number/ })
})

t.test('check prints the report and exits with the code of its status', async t => {
  const { variables, cloudRun } = await emulator(t)
  const healthy = await run(['check', '--stack', 'runtime'], { variables })
  t.equal(healthy.code, 0)
  t.match(healthy.stdout, /^✓ runtime \/ job-image +in sync/m)
  t.match(healthy.stderr, /^runtime: .*database/, 'a note says why the database is not checked')

  const missing = await run(['check', '--stack', 'web', '--format', 'json'], { variables })
  t.equal(missing.code, 2)
  t.match(JSON.parse(missing.stdout), {
    status: 'drifted',
    stacks: [{ name: 'web', checks: [{ differences: [{ path: 'service', kind: 'missing' }] }] }],
  })

  cloudRun.setWorld(loadWorld(behind))
  const drifted = await run(['check', '--stack', 'runtime'], { variables })
  t.equal(drifted.code, 2)
  t.match(drifted.stdout, /Fix: gcloud run jobs update runtime-migrate /)
  const only = await run(['check', '--stack', 'runtime', '--only', 'service-image', '--format', 'json'], { variables })
  t.equal(only.code, 0, 'other checks do not count')
  t.strictSame(
    JSON.parse(only.stdout).stacks[0].checks.map(({ check }: { check: string }) => check),
    ['service-image'],
  )

  cloudRun.setWorld(loadWorld({ faults: [{ code: 'PERMISSION_DENIED' }] }))
  t.match(await run(['check', '--stack', 'runtime'], { variables }), { code: 1, stdout: /UNKNOWN/ })
})

t.test('no fix pins the job to an image that the service may not run', async t => {
  const { cloudRun, variables } = await emulator(t, readScenario('foreign-repository').patch)
  const lane = join(directory, 'lane.yaml')
  const allowed = 'us-central1-docker.pkg.dev/openagentsgemini/openagents-runtime/runtime-rust'
  writeFileSync(lane, config.replace('{ name: runtime }', `{ name: runtime, repositories: [${allowed}] }`))
  const { code, stdout } = await run(['check', '--config', lane, '--stack', 'runtime', '--format', 'json'], {
    variables,
  })
  t.equal(code, 2)
  const [service, job, execution] = JSON.parse(stdout).stacks[0].checks
  t.match(service.differences, [{ path: 'service.repository' }])
  t.match([job.status, job.fix], ['drifted', null])
  t.match([execution.status, execution.fix], ['drifted', null])

  const refused = await run(['migrate', '--yes', '--config', lane, '--stack', 'runtime'], { variables })
  t.match(refused, { code: 1, stderr: /which service\.repositories does not allow\. Fix the service first/ })
  t.notOk(cloudRun.calls.counts().UpdateJob)
})

t.test('the report has colors only on a terminal, and none if NO_COLOR is set', async t => {
  const { variables } = await emulator(t)
  const ansi = '\u001b['
  const argv = ['check', '--stack', 'runtime']
  t.ok((await run(argv, { variables, tty: true })).stdout.includes(ansi))
  t.notOk((await run(argv, { variables })).stdout.includes(ansi))
  t.notOk((await run(argv, { variables: { ...variables, NO_COLOR: '1' }, tty: true })).stdout.includes(ansi))
})

t.test('--wait ends at once if waiting cannot change the result, and names the reason', async t => {
  const { variables, cloudRun } = await emulator(t)
  const argv = ['check', '--stack', 'runtime', '--format', 'json', '--wait', '1d']
  for (const code of ['PERMISSION_DENIED', 'UNAUTHENTICATED', 'INVALID_ARGUMENT', 'UNIMPLEMENTED'] as const) {
    cloudRun.setWorld(loadWorld({ faults: [{ method: 'GetJob', code }] }))
    const { code: exitCode, stdout, stderr } = await run(argv, { variables })
    t.equal(exitCode, 1, code)
    t.equal(JSON.parse(stdout).cycle.id, 1, code)
    t.match(stderr, `wait ended: waiting does not change runtime / job-image (unknown, ${code})`)
  }
  // Another check is pending, but the result stays unknown.
  cloudRun.setWorld(
    loadWorld({
      services: { runtime: { reconciling: true, updateTime: '-1m' } },
      faults: [{ method: 'GetJob', code: 'PERMISSION_DENIED' }],
    }),
  )
  t.match(await run(argv, { variables }), { code: 1, stderr: /^wait ended: [^\n]*PERMISSION_DENIED\)\n$/m })
  t.notMatch((await run(argv, { variables })).stderr, 'waiting at most')
})

t.test('--wait continues after an error that may pass, and prints what it waits for when that changes', async t => {
  const { variables, cloudRun } = await emulator(t, { faults: [{ method: 'GetJob', code: 'UNAVAILABLE' }] })
  const argv = ['check', '--stack', 'runtime', '--only', 'job-image', '--wait', '10m']
  const ran = run(argv, { variables, onStderr: chunk => chunk.startsWith('waiting') && cloudRun.setWorld(loadWorld()) })
  t.match(await ran, {
    code: 0,
    stderr: /^waiting at most (10 min|9 min 5\d s) for runtime \/ job-image \(unknown, UNAVAILABLE\)\n$/m,
  })
})

t.test('--wait repeats the checks while the result is pending or unknown, but not if it is drifted', async t => {
  const { variables, cloudRun } = await emulator(t, { services: { runtime: { reconciling: true, updateTime: '-1m' } } })
  const argv = ['check', '--stack', 'runtime', '--format', 'json']
  t.equal((await run(argv, { variables })).code, 3)
  const waited = run([...argv, '--wait', '1m'], { variables })
  cloudRun.setWorld(loadWorld())
  const { code, stdout } = await waited
  t.equal(code, 0)
  t.ok(JSON.parse(stdout).cycle.id >= 1)

  cloudRun.setWorld(loadWorld(behind))
  const drifted = await run([...argv, '--wait', '10m'], { variables })
  t.match([drifted.code, JSON.parse(drifted.stdout).cycle.id], [2, 1])

  cloudRun.setWorld(loadWorld({ faults: [{ code: 'PERMISSION_DENIED' }] }))
  const interrupted = await run([...argv, '--wait', '10m'], { variables, signal: AbortSignal.abort() })
  t.equal(interrupted.code, 1, 'a signal ends the wait with the current report')
})

t.test('config prints the resolved configuration', async t => {
  const url = 'postgres://monitor:hunter2@127.0.0.1/app'
  const { code, stdout, stderr } = await run(['config'], { variables: { DB_URL: url } })
  t.strictSame({ code, stderr }, { code: 0, stderr: '' })
  t.match(stdout, /rolloutGrace: 15m/)
  t.notMatch(stdout, 'hunter2')
})

t.test('the process of serve exits with 0 on SIGTERM and prints nothing on stdout', async t => {
  const { variables } = await emulator(t)
  const child = start(['serve', '--config', file], { ...variables, PORT: '0' })
  const stdout = text(child.stdout)
  let stderr = ''
  const completed = new Promise<void>(resolve => {
    child.stderr.on('data', chunk => {
      stderr += chunk
      if (stderr.includes('cycle completed')) resolve()
    })
  })
  await Promise.race([completed, child.ended])
  child.kill('SIGTERM')
  t.equal(await child.ended, 0, stderr)
  t.equal(await stdout, '')
  for (const line of stderr.trim().split('\n')) t.type(JSON.parse(line).severity, 'string')
})

t.test('a signal during startup ends the process', async t => {
  const { variables } = await emulator(t)
  // Sends SIGTERM when the module of the commands is loaded.
  const hook = `import { registerHooks } from 'node:module'
registerHooks({ load(url, context, next) {
  if (url.endsWith('/cli/cli.ts')) process.kill(process.pid, 'SIGTERM')
  return next(url, context)
} })`
  const NODE_OPTIONS = `--import=data:text/javascript,${encodeURIComponent(hook)}`
  const child = start(['serve', '--config', file], { ...variables, PORT: '0', NODE_OPTIONS })
  const stderr = text(child.stderr)
  t.equal(await child.ended, 0, await stderr)
})

t.test('a metadata server that does not respond does not delay the exit', async t => {
  const sockets = new Set<Socket>()
  const silent = createServer(socket => sockets.add(socket.on('error', () => {})))
  await once(silent.listen(0, '127.0.0.1'), 'listening')
  t.teardown(() => {
    for (const socket of sockets) socket.destroy()
    silent.close()
  })
  const { port } = silent.address() as AddressInfo
  const connected = once(silent, 'connection')
  const child = start(['serve', '--config', file], {
    GCE_METADATA_HOST: `127.0.0.1:${port}`,
    METADATA_SERVER_DETECTION: 'assume-present',
    PORT: '0',
  })
  child.stderr.resume()
  await connected
  child.kill('SIGTERM')
  t.equal(await Promise.race([child.ended, delay(8000, 'the process has not exited in time', { ref: false })]), 0)
})

t.test('without valid credentials check and serve report it, and serve continues', async t => {
  const home = mkdtempSync(join(directory, 'home-'))
  const broken = join(home, 'key.json')
  writeFileSync(broken, '{ not a key')
  const everySecond = join(home, 'driftwatch.yaml')
  writeFileSync(everySecond, `schedule: "* * * * * *"\n${config}`)
  // No credentials file, and no metadata server.
  const variables = {
    HOME: home,
    METADATA_SERVER_DETECTION: 'none',
    CLOUDSDK_CONFIG: home,
    PORT: '0',
    LOG_LEVEL: 'info',
  }
  for (const key of ['', broken, join(home, 'missing.json')]) {
    const child = start(['check', '--stack', 'web', '--config', file], {
      ...variables,
      GOOGLE_APPLICATION_CREDENTIALS: key,
    })
    const [code, out, errors] = await Promise.all([child.ended, text(child.stdout), text(child.stderr)])
    t.equal(code, 1)
    t.match(out, /UNAUTHENTICATED/)
    t.match(out, /no\s+valid\s+Google\s+Cloud\s+credentials/)
    t.notMatch(errors, /\n\s+at /)
  }

  const child = start(['serve', '--config', everySecond], { ...variables, GOOGLE_APPLICATION_CREDENTIALS: broken })
  let errors = ''
  const twice = new Promise<void>(resolve => {
    child.stderr.on('data', chunk => {
      errors += chunk
      if (errors.split('cycle completed').length > 2) resolve()
    })
  })
  await Promise.race([twice, child.ended])
  child.kill('SIGTERM')
  t.equal(await child.ended, 0, errors)
})

function start(argv: readonly string[], variables: Record<string, string>) {
  const env = { ...process.env, ...variables }
  const child = spawn(process.execPath, ['src/main.ts', ...argv], {
    cwd: new URL('../..', import.meta.url),
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  t.teardown(() => child.kill('SIGKILL'))
  const ended = new Promise<number | null>(resolve => child.once('exit', resolve))
  return Object.assign(child, { ended })
}

/** The Node.js of the system, which may be older. */
const systemNode = ['/usr/bin/node', '/usr/local/bin/node'].find(file => existsSync(file))
const isOlder =
  systemNode !== undefined &&
  Number.parseInt(execFileSync(systemNode, ['-p', 'process.versions.node']).toString(), 10) < 24

t.test(
  'an older Node.js prints the version that is required',
  { skip: !isOlder && 'no older Node.js is installed' },
  async t => {
    const { status, stdout, stderr } = spawnSync(systemNode ?? '', ['--input-type=module', '-'], {
      input: readFileSync(new URL('../../src/main.ts', import.meta.url)),
      encoding: 'utf8',
    })
    t.match(
      stderr,
      /^driftwatch: Node\.js 24 or later is required, but this is Node\.js \d+\.\d+\.\d+\. Install a newer version, or run the container image\.\n$/,
    )
    t.match({ status, stdout }, { status: 1, stdout: '' })
  },
)
