import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { Ajv } from 'ajv'
import type { Test } from 'tap'
import { type CloudRun, startCloudRun } from '../../sandbox/cloud-run.ts'
import { digestOf } from '../../sandbox/images.ts'
import { loadWorld, readPatch, type WorldPatch } from '../../sandbox/world.ts'
import { runCli } from '../../src/cli/cli.ts'
import { clientOptions } from '../../src/clients/google/google-client.ts'
import { systemClock } from '../../src/clock.ts'
import { type Receipt, receiptSchema } from '../../src/operate/rollout/receipt.ts'

export const lane = 'us-central1-docker.pkg.dev/openagentsgemini/openagents-runtime/runtime-rust'
export const legacyLane = 'us-central1-docker.pkg.dev/openagentsgemini/openagents-runtime/runtime'
export const place = '--region us-central1 --project openagentsgemini'
/** The image in service in the healthy world, and the one built after it. */
export const [served, built] = ['image-c', 'image-d'].map(name => `${lane}@${digestOf(name)}`)
/** Short, so that the tests are fast. */
export const writes = { jobUpdateMs: 20, rolloutMs: 40, executionMs: 60 }
const writeCalls = ['UpdateJob', 'RunJob', 'UpdateService']

export const operateConfig = `timeout: 3s
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

export interface Ran {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

export interface Bench {
  readonly cloudRun: CloudRun
  /** The path of the config. */
  readonly file: string
  /** Runs a command against the emulator. */
  run(argv: readonly string[], options?: RunOptions): Promise<Ran>
  /** How often each writing method was called. */
  writes(): Record<string, number>
}

export interface RunOptions {
  readonly variables?: Record<string, string>
  readonly config?: string
  /** The input at a terminal; if absent, there is no terminal. */
  readonly typed?: string
  readonly signal?: AbortSignal
  /** Called with all of stderr so far, after each write. */
  readonly onStderr?: (text: string) => void
}

export async function bench(t: Test, patch: WorldPatch = {}): Promise<Bench> {
  const cloudRun = await startCloudRun({ world: loadWorld({ writes, ...patch }) })
  const directory = mkdtempSync(join(tmpdir(), 'driftwatch-operate-'))
  const file = join(directory, 'driftwatch.yaml')
  writeFileSync(file, operateConfig)
  t.teardown(async () => {
    rmSync(directory, { recursive: true })
    await cloudRun.close()
  })
  return {
    cloudRun,
    file,
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

export function scenario(name: string): WorldPatch {
  const { patch } = readPatch(new URL(`../../sandbox/scenarios/${name}.yaml`, import.meta.url))
  return patch as WorldPatch
}

const validateReceipt = new Ajv({ allErrors: true, allowUnionTypes: true, formats: { 'date-time': true } }).compile(
  receiptSchema,
)

export function readReceipt(t: Test, path: string): Receipt {
  const receipt: unknown = JSON.parse(readFileSync(path, 'utf8'))
  t.ok(validateReceipt(receipt), JSON.stringify(validateReceipt.errors))
  return receipt as Receipt
}

/** A migration with the previous image that has run for a minute. */
export function otherMigration(image = `${lane}:41c3d0a`, name = 'runtime-migrate-other'): WorldPatch {
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

export interface TrafficOfVendor {
  readonly type: string
  readonly revision: string
  readonly percent: number
  readonly tag: string
}

/** The service as the API shows it. */
export async function readService({ host }: CloudRun) {
  const { ServicesClient } = await import('@google-cloud/run/build/src/v2/services_client.js')
  const client = new ServicesClient(clientOptions(host, 1024 * 1024, null))
  const [service] = await client.getService({
    name: 'projects/openagentsgemini/locations/us-central1/services/runtime',
  })
  await client.close()
  // biome-ignore lint/suspicious/noExplicitAny: a vendor's message, compared unchanged
  return service as any
}

/** Simulates a concurrent change by another user. */
export async function cancelExecution(host: string, name: string): Promise<void> {
  const { ExecutionsClient } = await import('@google-cloud/run/build/src/v2/executions_client.js')
  const client = new ExecutionsClient(clientOptions(host, 1024 * 1024, null))
  const parent = 'projects/openagentsgemini/locations/us-central1/jobs/runtime-migrate'
  await client.cancelExecution({ name: `${parent}/executions/${name}` })
  await client.close()
}

export async function jobsClient({ host }: CloudRun) {
  const { JobsClient } = await import('@google-cloud/run/build/src/v2/jobs_client.js')
  return new JobsClient(clientOptions(host, 1024 * 1024, null))
}

/** The job as the API shows it, with the fields that Driftwatch does not read. */
export async function readJob(cloudRun: CloudRun) {
  const client = await jobsClient(cloudRun)
  const [job] = await client.getJob({ name: 'projects/openagentsgemini/locations/us-central1/jobs/runtime-migrate' })
  await client.close()
  // biome-ignore lint/suspicious/noExplicitAny: a vendor's message, compared unchanged
  return job as any
}
