import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import t from 'tap'
import { runSql } from '../../sandbox/postgres/sql.ts'
import { startSandbox } from '../../sandbox/sandbox.ts'
import { startService } from '../../sandbox/service-process.ts'
import { loadWorld, type Resources, type World } from '../../sandbox/world.ts'
import { alertMetrics } from '../../src/alerts/descriptors.ts'
import { canaryForms } from '../helpers/canaries.ts'
import { freePort } from '../helpers/free-port.ts'
import { until } from '../helpers/until.ts'

/** A different secret for each place, so that a leak reveals its source. */
const canaries = {
  password: 'canary-pa55:word/@?#%&=',
  'parameter of the URL': 'canary-parameter/+value',
  environment: 'canary-environment-value/+?',
  argument: 'canary-argument-value/+?',
  'argument of the config': 'canary-configured-argument/+?',
  'token of a caller': 'canary-token-of-a-caller/+=',
} as const

const project = 'openagentsgemini'
const run = promisify(execFile)

const sandbox = await startSandbox({ port: 0, schedule: '* * * * * *' })
await sandbox.service.stop()
t.teardown(() => sandbox.close())
await runSql(sandbox.postgres.adminUrl, `ALTER ROLE driftwatch PASSWORD '${canaries.password}'`)
const directory = mkdtempSync(join(tmpdir(), 'driftwatch-secrets-'))
t.teardown(() => rmSync(directory, { recursive: true }))
const config = join(directory, 'driftwatch.yaml')
// biome-ignore lint/suspicious/noTemplateCurlyInString: the config reads it from a variable.
const server = 'server: { auth: { kind: bearer, for: acting, tokens: ["${API_TOKEN}"] } }'
const text = readFileSync('sandbox/driftwatch.yaml', 'utf8')
// biome-ignore lint/suspicious/noTemplateCurlyInString: the same.
const args = 'args: ["--database=postgres://me:${JOB_PASSWORD}@host/db", "--password", "${JOB_PASSWORD}"]'
writeFileSync(config, `${text.replace('args: []', args)}\n${server}\n`)
const jobPassword = encodeURIComponent(canaries['argument of the config'])
const env = {
  ...sandbox.env,
  API_TOKEN: canaries['token of a caller'],
  JOB_PASSWORD: jobPassword,
  DB_URL: plantedUrl(sandbox.postgres.url),
  SANDBOX_SCHEDULE: '* * * * * *',
  SANDBOX_TIMEOUT: '10s',
}

t.test('no secret leaves the Driftwatch process, under any fault', async t => {
  const told: [where: string, text: string][] = []
  const service = await startService({
    port: await freePort(),
    config,
    env: { ...env, LOG_LEVEL: 'trace' },
    onLog: line => told.push(['the log', line]),
  })
  t.teardown(() => service.stop())
  const cycles = () => told.filter(([, line]) => line.includes('"cycle completed"')).length
  const nextCycle = async () => {
    // The current one may have started earlier.
    const before = cycles()
    await until(() => cycles() >= before + 2)
  }
  const paths = ['/', '/drift', '/drift?format=text', '/drift/gate', '/metrics', '/openapi.json', '/docs/', '/nothing']
  const ask = async (when: string) => {
    for (const path of paths) {
      const answer = await fetch(`${service.url}${path}`)
      told.push([`${path} ${when}`, `${JSON.stringify([...answer.headers])}\n${await answer.text()}`])
    }
  }
  const refresh = async (when: string) => {
    for (const [authorization, status] of [
      [`Bearer ${canaries['token of a caller']}`, 200],
      [`Basic ${canaries['token of a caller']}`, 401],
      [`Bearer ${canaries['token of a caller']}x`, 401],
    ] as const) {
      const answer = await fetch(`${service.url}/refresh`, { method: 'POST', headers: { authorization } })
      t.equal(answer.status, status)
      told.push([`/refresh ${when}`, `${JSON.stringify([...answer.headers])}\n${await answer.text()}`])
    }
  }
  const command = async (when: string, ...words: string[]) => {
    const argv = ['src/main.ts', ...words, '--config', config]
    const { stdout, stderr } = await run(process.execPath, argv, {
      env: { ...process.env, ...env, LOG_LEVEL: 'trace' },
      maxBuffer: 64 * 1024 * 1024,
    }).catch(error => error as { stdout: string; stderr: string })
    told.push([`${words.join(' ')} ${when}`, stdout + stderr])
    return stdout
  }

  sandbox.cloudRun.setWorld(plant(loadWorld()))
  await nextCycle()
  await ask('in peace')
  await refresh('in peace')
  t.match(await command('in peace', 'config'), /\*\*\*/)
  t.match(await command('in peace', 'check', '--format', 'json'), /"status":\s*"in_sync"/)

  // The job has another image, other arguments and another container; the database rejects the password.
  sandbox.cloudRun.setWorld(plant(loadWorld(), drifted))
  await runSql(sandbox.postgres.adminUrl, `ALTER ROLE driftwatch PASSWORD 'another'`)
  await nextCycle()
  await ask('in drift')
  await refresh('in drift')
  t.match(await command('in drift', 'check', '--format', 'json'), /"status":\s*"drifted"/)

  // The fix of these is a command with the arguments.
  for (const [when, world, placeholder] of [
    ['settled', {}, /jobs update .*\$\{PASSWORD:\?\}/],
    ['under way', { services: { runtime: { reconciling: true } } }, /Fix service-image first/],
    ['without a job', { jobs: { 'runtime-migrate': null } }, /with its own deployment/],
  ] as const) {
    sandbox.cloudRun.setWorld(plant(loadWorld(world), drifted))
    await nextCycle()
    await ask(when)
    t.match(await command(when, 'check'), placeholder)
  }

  // Each write is reported with its rollback command, and recorded in a receipt.
  const receipt = join(directory, 'receipt.json')
  const image = 'us-central1-docker.pkg.dev/openagentsgemini/openagents-runtime/runtime:c5a11fe'
  for (const words of [['migrate'], ['deploy', '--image', image]]) {
    sandbox.cloudRun.setWorld(
      plant({ ...loadWorld(), faults: [{ method: 'RunJob', code: 'PERMISSION_DENIED', message: 'no' }] }, drifted),
    )
    await command('with --dry-run', ...words, '--stack', 'runtime', '--dry-run')
    await command('', ...words, '--stack', 'runtime', '--yes', '--receipt', receipt)
    const kept = readFileSync(receipt, 'utf8')
    t.match(JSON.parse(kept), {
      stacks: [{ before: { job: { args: ['--database', 'postgres://me:***@host/db', '--token', '***'] } } }],
    })
    told.push([`receipt of ${words[0]}`, kept])
    rmSync(receipt)
  }

  for (const fault of [{ code: 'INTERNAL' }, { code: 'PERMISSION_DENIED' }, { empty: true }] as const) {
    sandbox.cloudRun.setWorld(plant({ ...loadWorld(), faults: [{ ...fault, message: 'no' }] }))
    await nextCycle()
    await ask(JSON.stringify(fault))
    await refresh(JSON.stringify(fault))
  }
  await service.stop()
  t.ok(told.length > 50)
  for (const metric of Object.values(alertMetrics)) {
    const series = sandbox.monitoring.series(project, `metric.type = "${metric}"`)
    t.ok(series.length > 0, metric)
    told.push([metric, JSON.stringify(series)])
  }
  t.ok(sandbox.monitoring.policies().length > 0)
  told.push(['alert policies', JSON.stringify(sandbox.monitoring.policies())])

  const leaks = told.flatMap(([where, text]) =>
    Object.entries(canaries).flatMap(([name, secret]) =>
      canaryForms(secret).flatMap(form =>
        text.includes(form) ? [`${name} as ${form} in ${where}: ${around(text, form)}`] : [],
      ),
    ),
  )
  t.strictSame([...new Set(leaks)], [])
})

/** The password, and another secret in an unused parameter. */
function plantedUrl(url: string): string {
  const planted = new URL(url)
  planted.password = ''
  const credentials = `${planted.username}:${encodeURIComponent(canaries.password)}`
  return `postgres://${credentials}@${planted.host}${planted.pathname}?options=${encodeURIComponent(canaries['parameter of the URL'])}`
}

/** The arguments in the config and others: both are shown, without their secrets. */
const configured = [`--database=postgres://me:${jobPassword}@host/db`, '--password', jobPassword]
const drifted = [
  '--database',
  `postgres://me:${encodeURIComponent(canaries.argument)}@host/db`,
  '--token',
  canaries.argument,
]

/** Secrets in every container that is read: in its environment, and in arguments that no check judges. */
function plant(world: World, jobArgs = configured): World {
  const planted = (resources: Resources, args: readonly string[] | null) =>
    mapContainers(resources, container => ({
      ...container,
      ...(args && { args }),
      env: [{ name: 'SECRET', value: canaries.environment }],
    })) as Resources
  const args = ['--token', canaries.argument]
  return {
    ...world,
    services: planted(world.services, args),
    revisions: planted(world.revisions, args),
    jobs: planted(world.jobs, jobArgs),
    executions: planted(world.executions, configured),
  }
}

function mapContainers(value: unknown, change: (container: object) => object): unknown {
  if (Array.isArray(value)) return value.map(part => mapContainers(part, change))
  if (typeof value !== 'object' || value === null) return value
  const entries = Object.entries(value).map(([key, part]) =>
    key === 'containers' && Array.isArray(part) ? [key, part.map(change)] : [key, mapContainers(part, change)],
  )
  return Object.fromEntries(entries)
}

function around(text: string, found: string): string {
  const at = text.indexOf(found)
  return text.slice(Math.max(0, at - 80), at + found.length + 20)
}
