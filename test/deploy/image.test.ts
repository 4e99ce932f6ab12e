import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { parse } from 'yaml'
import { startCloudRun } from '../../sandbox/cloud-run.ts'
import { environmentVariables } from '../../src/config/environment.ts'
import { parseConfig } from '../../src/config/load.ts'
import { execForm, lastOf, parseCopy, parseDockerfile, type Stage } from '../helpers/dockerfile.ts'
import { type BuiltImage, buildImage, withoutCoverage } from '../helpers/image-build.ts'

// Two runs of npm ci, one with the development dependencies.
t.setTimeout(600_000)

const context = fileURLToPath(new URL('../..', import.meta.url))
const read = (file: string) => readFileSync(join(context, file), 'utf8')
const manifest = JSON.parse(read('package.json')) as {
  version: string
  scripts: Record<string, string>
  dependencies: Record<string, string>
  devDependencies: Record<string, string>
}
const stages = parseDockerfile(read('Dockerfile'))
const allowed = new Set([...read('.dockerignore').matchAll(/^!(.+)$/gm)].map(([, path]) => path ?? ''))
const service = readService(read('deploy/cloudrun/service.yaml'))

/** The used part of a Knative service. */
interface Service {
  readonly annotations: Readonly<Record<string, string>>
  readonly container: {
    readonly image: string
    readonly ports: readonly { readonly containerPort: number }[]
    readonly env: readonly { readonly name: string; readonly value: string }[]
    readonly startupProbe: HttpProbe
    readonly livenessProbe: HttpProbe
    readonly volumeMounts: readonly { readonly name: string; readonly mountPath: string }[]
  }
  readonly volumes: readonly {
    readonly name: string
    readonly secret: { readonly items: readonly { readonly key: string; readonly path: string }[] }
  }[]
}

interface HttpProbe {
  readonly httpGet: { readonly path: string; readonly port: number }
  readonly periodSeconds: number
  readonly timeoutSeconds: number
  readonly failureThreshold: number
}

function readService(yaml: string): Service {
  const { template } = parse(yaml).spec
  const { containers, volumes } = template.spec
  return { annotations: template.metadata.annotations, container: containers[0], volumes }
}

function envOf({ container }: Service): Record<string, string> {
  return Object.fromEntries(container.env.map(({ name, value }) => [name, value]))
}

t.test('every stage of the Dockerfile begins with the Node.js that the tests run on', async t => {
  const bases = stages.map(({ base }) => base)
  t.match(
    bases,
    ['build', 'dependencies', 'final'].map(() => `node:${manifest.devDependencies.node}-`),
  )
  t.equal(process.version, `v${manifest.devDependencies.node}`)
  t.equal(new Set(bases).size, 1, 'one base image')
})

t.test('the image runs without a shell, as a user without write access', async t => {
  const final = stages.at(-1) as Stage
  t.match(lastOf(final, 'USER'), /^[1-9]\d*$/, 'a numeric user other than root')
  const flags = ['--max-semi-space-size=4', '--heap-growing-percent=20']
  t.strictSame(execForm(lastOf(final, 'ENTRYPOINT')), ['node', ...flags, '/app/dist/main.js'])
  t.equal(
    manifest.scripts.driftwatch,
    ['node', ...flags, 'src/main.ts'].join(' '),
    'npm run driftwatch uses the same flags',
  )
  t.ok(read('src/main.ts').startsWith(`#!/usr/bin/env -S ${['node', ...flags].join(' ')}\n`), 'so does the executable')
  t.strictSame(execForm(lastOf(final, 'CMD')), ['serve'])
  t.notOk(
    final.instructions.some(({ keyword }) => keyword === 'RUN'),
    'the final stage installs nothing',
  )
})

t.test('the build context contains only the copied files', async t => {
  const copied = stages
    .flatMap(({ instructions }) => instructions)
    .filter(({ keyword }) => keyword === 'COPY')
    .map(({ rest }) => parseCopy(rest))
    .flatMap(({ stage, sources }) => (stage === null ? sources : []))
  t.match(read('.dockerignore'), /^\*$/m, 'everything is excluded')
  t.strictSame([...allowed].sort(), [...new Set(copied)].sort(), 'except the copied files')
})

t.test('the built image runs serve and check as an unprivileged user', async t => {
  const directory = mkdtempSync(join(tmpdir(), 'driftwatch-image-'))
  t.teardown(() => {
    makeWritable(directory)
    rmSync(directory, { recursive: true, force: true })
  })
  chmodSync(directory, 0o755)
  const image = await buildImage({ stages, context, allowed, directory })
  const cloudRun = await startCloudRun()
  t.teardown(() => cloudRun.close())
  const packages = readdirSync(join(image.workdir, 'node_modules'))
  t.ok(packages.includes('fastify'))
  t.strictSame(
    Object.keys({ ...manifest.devDependencies, 'postgres-14': '', 'postgres-16': '' }).filter(name =>
      packages.includes(name),
    ),
    [],
    'no development dependencies',
  )

  const config = join(image.root, envOf(service).DRIFTWATCH_CONFIG as string)
  mkdirSync(dirname(config), { recursive: true })
  writeFileSync(config, read('deploy/openagents-runtime.yaml'))
  makeReadOnly(image.root)
  const env = { ...image.env, DRIFTWATCH_CONFIG: config, CLOUD_RUN_EMULATOR_HOST: cloudRun.host }

  t.test('it prints its version', async t => {
    t.strictSame(await start(image, ['--version'], env).ended, { code: 0, stdout: `${manifest.version}\n`, stderr: '' })
  })

  t.test('the compiled validator equals that of the source', async t => {
    const faulty = read('test/fixtures/config-with-many-problems.yaml')
    const broken = join(directory, 'broken.yaml')
    writeFileSync(broken, faulty)
    const { code, stderr } = await start(image, ['config'], { ...env, DRIFTWATCH_CONFIG: broken }).ended
    t.throws(() => parseConfig(faulty, broken, {}), {
      message: stderr.replace('driftwatch: CONFIG_INVALID: ', '').trimEnd(),
    })
    t.ok(stderr.split('\n').length > 8)
    t.equal(code, 1)
  })

  t.test('the exit code of check is correct', async t => {
    // The other checks probe systems that are not emulated here.
    const only = ['service-image', 'job-image', 'migration-execution'].flatMap(check => ['--only', check])
    const { code, stdout } = await start(image, ['check', '--format', 'json', ...only], env).ended
    t.match(JSON.parse(stdout), { status: 'in_sync', stacks: [{ name: 'runtime', status: 'in_sync' }] })
    t.equal(code, 0)
  })

  t.test('serve responds to the health probes, and exits with 0 on SIGTERM', async t => {
    const running = start(image, image.cmd, { ...env, PORT: '0' })
    t.teardown(() => running.kill('SIGKILL'))
    const url = `http://127.0.0.1:${await running.port}`
    const { startupProbe, livenessProbe } = service.container
    await untilOk(`${url}${startupProbe.httpGet.path}`)
    t.equal((await fetch(`${url}${livenessProbe.httpGet.path}`)).status, 200)
    t.match(await (await fetch(`${url}/drift`)).json(), {
      cycle: { id: 1 },
      stacks: [
        { checks: ['service-image', 'job-image', 'migration-execution'].map(check => ({ check, status: 'in_sync' })) },
      ],
    })
    t.match(await (await fetch(`${url}/docs/`)).text(), /swagger/i, 'files of packages are served')
    running.kill('SIGTERM')
    const { code, stderr } = await running.ended
    t.equal(code, 0)
    // The duration of the start is not tested here.
    const told = stderr.split('\n').filter(line => !/event loop stalled|cycle skipped/.test(line))
    t.notMatch(told.join('\n'), /"severity":"(WARNING|ERROR|CRITICAL)"|EACCES|EROFS/, 'no file was written')
  })
})

t.test('the Cloud Run service listens, mounts and probes where the image does', async t => {
  const { container, volumes } = service
  const port = Number(environmentVariables.PORT.fallback)
  t.strictSame(
    container.ports.map(({ containerPort }) => containerPort),
    [port],
  )
  t.equal(lastOf(stages.at(-1) as Stage, 'EXPOSE'), String(port))
  t.strictSame(
    container.env.map(({ name }) => name).filter(name => !(name in environmentVariables)),
    [],
  )
  const [mount, volume, item] = [container.volumeMounts[0], volumes[0], volumes[0]?.secret.items[0]]
  t.equal(mount?.name, volume?.name)
  t.equal(
    `${mount?.mountPath}/${item?.path}`,
    envOf(service).DRIFTWATCH_CONFIG,
    'the config is mounted from the secret',
  )
  t.match(item?.key, /^[1-9]\d*$/, 'in a fixed version')
  for (const probe of [container.startupProbe, container.livenessProbe]) {
    t.equal(probe.httpGet.port, port)
    t.notMatch(probe.httpGet.path, /z$/, 'Cloud Run reserves such paths')
    t.ok(probe.timeoutSeconds <= probe.periodSeconds)
  }
})

t.test('the startup probe of the Cloud Run service allows for the first cycle', async t => {
  const { timeoutMs } = parseConfig(read('deploy/openagents-runtime.yaml'), 'openagents-runtime.yaml', {})
  const { failureThreshold, periodSeconds } = service.container.startupProbe
  t.ok(failureThreshold * periodSeconds * 1000 >= 2 * timeoutMs)
})

t.test('the Cloud Run service has exactly one instance, whose CPU is always allocated', async t => {
  t.match(service.annotations, {
    'run.googleapis.com/cpu-throttling': 'false',
    'autoscaling.knative.dev/minScale': '1',
    'autoscaling.knative.dev/maxScale': '1',
  })
})

const noGcloud = spawnSync('gcloud', ['--version']).status === 0 ? false : 'gcloud is not installed'

t.test('gcloud accepts the file with the command of docs/operations.md', { skip: noGcloud }, async t => {
  const command = /sed "s.*?--region "\$REGION"/s.exec(read('docs/operations.md'))?.[0]
  t.ok(command, 'the page has the command')
  const asked = await gcloudReplaces(t, `${command} --dry-run`)
  t.match(asked, {
    metadata: { name: 'driftwatch' },
    spec: {
      template: {
        spec: {
          serviceAccountName: 'driftwatch@acme-ops.iam.gserviceaccount.com',
          containers: [{ image: 'europe-west1-docker.pkg.dev/acme-ops/driftwatch/driftwatch:0.1.0' }],
        },
      },
    },
  })
  t.notMatch(JSON.stringify(asked), /PROJECT_ID|REGION|VERSION/, 'no placeholder remains')
})

/** Runs a gcloud command against an emulated Google API; resolves with the service in its request. */
async function gcloudReplaces(t: Test, command: string): Promise<unknown> {
  let asked: unknown
  const api = createServer(async (request, response) => {
    const body = await text(request)
    const write = request.method === 'POST'
    if (write) asked = JSON.parse(body)
    response.writeHead(write ? 200 : 404, { 'content-type': 'application/json' })
    response.end(write ? body : JSON.stringify({ error: { code: 404, status: 'NOT_FOUND', message: 'not there' } }))
  })
  await once(api.listen(0, '127.0.0.1'), 'listening')
  const settings = mkdtempSync(join(tmpdir(), 'driftwatch-gcloud-'))
  t.teardown(() => {
    api.close()
    rmSync(settings, { recursive: true, force: true })
  })
  const child = spawn('/bin/sh', ['-c', command], {
    cwd: context,
    env: {
      PATH: process.env.PATH,
      HOME: settings,
      ...{ PROJECT_ID: 'acme-ops', REGION: 'europe-west1', VERSION: '0.1.0' },
      CLOUDSDK_CONFIG: settings,
      CLOUDSDK_AUTH_DISABLE_CREDENTIALS: 'true',
      CLOUDSDK_CORE_DISABLE_PROMPTS: '1',
      CLOUDSDK_CORE_DISABLE_USAGE_REPORTING: 'true',
      CLOUDSDK_COMPONENT_MANAGER_DISABLE_UPDATE_CHECK: 'true',
      // gcloud prepends the region to the host, so only a proxy can emulate it.
      CLOUDSDK_API_ENDPOINT_OVERRIDES_RUN: 'http://run.invalid/',
      CLOUDSDK_PROXY_TYPE: 'http',
      CLOUDSDK_PROXY_ADDRESS: '127.0.0.1',
      CLOUDSDK_PROXY_PORT: String((api.address() as AddressInfo).port),
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const [output, errors, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')])
  t.equal(code, 0, 'gcloud succeeds', { output, errors })
  return asked
}

interface Ending {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

interface Running {
  /** The address in the log; rejects if the process ends before it listens. */
  readonly port: Promise<number>
  readonly ended: Promise<Ending>
  kill(signal: NodeJS.Signals): void
}

/** Starts the image's entrypoint with arguments, as the image's user if the tests run as root. */
function start(image: BuiltImage, args: readonly string[], env: Readonly<Record<string, string>>): Running {
  const root = process.getuid?.() === 0
  const child = spawn('env', [...withoutCoverage, ...image.entrypoint, ...args], {
    cwd: image.workdir,
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
    ...(root && { uid: image.user, gid: image.user }),
  })
  let stderr = ''
  const port = new Promise<number>((resolve, reject) => {
    child.stderr.setEncoding('utf8').on('data', chunk => {
      stderr += chunk
      const listening = /"port":(\d+).*"message":"listening"/.exec(stderr)
      if (listening) resolve(Number(listening[1]))
    })
    child.once('close', () => reject(new Error(`the process ended before it listened:\n${stderr}`)))
  })
  port.catch(() => {})
  const ended = Promise.all([text(child.stdout), once(child, 'close')]).then(([stdout, [code]]) => ({
    code,
    stdout,
    stderr,
  }))
  return { port, ended, kill: signal => child.kill(signal) }
}

async function untilOk(url: string): Promise<void> {
  for (;;) {
    const response = await fetch(url)
    await response.body?.cancel()
    if (response.ok) return
  }
}

/** Removes the write permission from every file, for the owner too. */
function makeReadOnly(directory: string): void {
  spawnSync('chmod', ['-R', 'a-w,a+rX', directory])
}

function makeWritable(directory: string): void {
  spawnSync('chmod', ['-R', 'u+w', directory])
}
