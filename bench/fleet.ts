import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { buildFleet } from '../sandbox/fleet.ts'
import { type Child, startChild } from './child.ts'

/** An emulated Cloud Run with a fleet, in a separate process, and the processes that monitor it. */
export interface Fleet {
  readonly size: number
  /** Environment to use the emulator and listen on a free port. */
  readonly env: Readonly<Record<string, string>>
  /** A configuration with all stacks. */
  readonly config: string
  /** The number of requests since the last call. */
  calls(): Promise<number>
  /** Changes this number of stacks. */
  change(count: number): Promise<void>
  /** Starts the service and waits for its first cycle; its work is the next cycles. */
  serve(): Promise<Child>
  /** Starts a process whose work is a cycle, with this `verifyEvery`; the first one is the first cycle. */
  verifying(verifyEveryMs: number): Promise<Child>
  /** Starts the bare clients and lists the fleet once; their work is to list it again. */
  list(...args: readonly string[]): Promise<Child>
  close(): Promise<void>
}

/** No scheduled cycle falls into a bench: the bench triggers the cycles. */
const unattended = {
  schedule: '0 0 0 * * *',
  staleAfter: '30h',
  timeout: '25s',
  // Cycles follow one another without a pause.
  quota: { readsPerMinute: 1_000_000, steadyPercent: 100 },
}

export async function startFleet(size: number, latencyMs = 0): Promise<Fleet> {
  const emulators = startChild({ file: 'bench/emulators.ts', args: [`${size}`, `${latencyMs}`], measured: false })
  const host = await emulators.ask<string>({ ask: 'host' })
  const directory = mkdtempSync(join(tmpdir(), 'driftwatch-bench-'))
  const config = join(directory, 'driftwatch.yaml')
  writeFileSync(config, JSON.stringify({ ...fleetConfig(buildFleet(size).names), ...unattended }))
  const env = { CLOUD_RUN_EMULATOR_HOST: host, DRIFTWATCH_CONFIG: config, PORT: '0', LOG_LEVEL: 'info' }
  const children: Child[] = []
  const start = async (file: string, args: readonly string[], ready: string) => {
    const child = startChild({ file, args, env })
    children.push(child)
    await child.logged(ready)
    return child
  }
  return {
    size,
    env,
    config,
    calls: () => emulators.ask<number>({ ask: 'calls' }),
    async change(count) {
      await emulators.ask({ ask: 'change', count })
    },
    serve: () => start('bench/processes/service.js', [], 'cycle completed'),
    verifying: verifyEveryMs => start('bench/processes/verify.js', [`${verifyEveryMs}`], 'ready'),
    list: (...args) => start('bench/processes/lister.js', args, 'ready'),
    async close() {
      await Promise.all(children.map(child => child.close()))
      await emulators.close()
      rmSync(directory, { recursive: true, force: true })
    },
  }
}

/** A configuration with the stacks of a fleet. */
export function fleetConfig(names: readonly string[]) {
  return { host: '127.0.0.1', stacks: names.map(stackOf) }
}

function stackOf(name: string) {
  return {
    name,
    project: 'openagentsgemini',
    region: 'us-central1',
    service: {
      name,
      repositories: ['us-central1-docker.pkg.dev/openagentsgemini/openagents-runtime/runtime-rust'],
    },
    job: { name: `${name}-migrate`, command: ['runtime-migrate'] },
  }
}
