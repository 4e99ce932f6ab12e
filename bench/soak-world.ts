import { connect } from 'node:net'
import { type CloudRun, startCloudRun } from '../sandbox/cloud-run.ts'
import { startContract } from '../sandbox/contract.ts'
import { startMonitoring } from '../sandbox/monitoring.ts'
import { runSql } from '../sandbox/postgres/sql.ts'
import { type Postgres, startPostgres } from '../sandbox/postgres.ts'
import { startRegistry } from '../sandbox/registry.ts'
import { readScenario, type ScenarioName } from '../sandbox/scenarios.ts'
import { loadWorld, type WorldPatch } from '../sandbox/world.ts'

/** The systems that a service monitors, and their changes. */
export interface SoakWorld {
  /** The environment of the service. */
  readonly env: Readonly<Record<string, string>>
  /** Applies the changes before a cycle: drift and recovery, failures, dropped connections. */
  churn(cycle: number, now: number): Promise<void>
  /** Sends the requests after a cycle, some of them aborted. */
  ask(cycle: number, port: number): Promise<void>
  /** Restores the healthy state. */
  heal(now: number): Promise<void>
  close(): Promise<void>
}

/** In turn, each for some cycles. */
const scenarios = [
  'healthy',
  'job-left-behind',
  'just-deployed',
  'healthy',
  'migration-failed',
  'traffic-split',
  'service-deleted',
  'healthy',
  'api-denied',
  'tag-moved',
  'failed-rollout',
  'contract-broken',
  'lane-overwritten',
  'errors-after-rollout',
  'registry-denied',
  'new-enum-value',
] as const satisfies readonly ScenarioName[]

/** Intervals in cycles. */
const every = { scenario: 20, grant: 11, dropDatabase: 53, hangUp: 5, restart: 1500, unavailable: 400 } as const

const paths = [
  '/drift',
  '/metrics',
  '/drift?format=text',
  '/drift/gate',
  '/drift/runtime/job-image',
  '/drift?status=drifted&check=schema',
  '/drift/missing',
  '/drift?format=xml',
  '/health/ready',
  '/openapi.json',
] as const

export async function startSoakWorld(onProgress: (text: string) => void): Promise<SoakWorld> {
  let time = Date.now()
  const since = time
  const world = loadWorld({}, since)
  let cloudRun = await startCloudRun({ world })
  const registry = await startRegistry({ world: world.registry })
  const monitoring = await startMonitoring({ now: () => time, telemetry: world.telemetry })
  const contract = await startContract({ world: world.http })
  const closeEmulators = () => Promise.all([cloudRun.close(), registry.close(), monitoring.close(), contract.close()])
  const postgres = await startPostgres({ onProgress }).catch(async error => {
    await closeEmulators()
    throw error
  })

  function become(patch: WorldPatch): void {
    const changed = loadWorld(patch, time, since)
    registry.setWorld(changed.registry)
    monitoring.setTelemetry(changed.telemetry)
    contract.setWorld(changed.http)
    cloudRun.setWorld(changed)
  }

  return {
    env: {
      CLOUD_RUN_EMULATOR_HOST: cloudRun.host,
      ARTIFACT_REGISTRY_EMULATOR_HOST: registry.host,
      MONITORING_EMULATOR_HOST: monitoring.host,
      RUNTIME_BASE_URL: contract.url,
      DB_URL: postgres.url,
      SANDBOX_SUPERUSER: postgres.superuser,
    },
    async churn(cycle, now) {
      time = now
      if (cycle % every.restart === 0) cloudRun = await restart(cloudRun)
      if (cycle % every.unavailable === 0) become({ faults: [{ code: 'UNAVAILABLE', times: 2 }] })
      else if (cycle % every.scenario === 0) become(newNames(scenarioOf(cycle), cycle))
      if (cycle % every.grant === 0) await changeGrants(postgres, (cycle / every.grant) % 2 === 1)
      if (cycle % every.dropDatabase === 0) await dropConnections(postgres)
    },
    async ask(cycle, port) {
      const response = await fetch(`http://127.0.0.1:${port}${paths[cycle % paths.length]}`)
      await response.arrayBuffer()
      if (response.status === 500) throw new Error(`${response.url} returned 500`)
      if (cycle % every.hangUp === 0) hangUp(port)
    },
    async heal(now) {
      time = now
      become({})
      await changeGrants(postgres, false)
    },
    async close() {
      await Promise.all([closeEmulators(), postgres.close()])
    },
  }
}

/** Restarts on the same port, so that clients must reconnect. */
async function restart(cloudRun: CloudRun): Promise<CloudRun> {
  const [, port] = cloudRun.host.split(':')
  await cloudRun.close()
  return startCloudRun({ port: Number(port), world: loadWorld() })
}

function scenarioOf(cycle: number): WorldPatch {
  const name = scenarios[Math.floor(cycle / every.scenario) % scenarios.length] ?? 'healthy'
  return readScenario(name).patch
}

/** Renames revisions and executions of a scenario from time to time. */
function newNames(patch: WorldPatch, cycle: number): WorldPatch {
  const round = Math.floor(cycle / 1000)
  return JSON.parse(JSON.stringify(patch).replaceAll('runtime-00043-', `runtime-${String(round).padStart(5, '0')}-`))
}

async function changeGrants({ adminUrl }: Postgres, drift: boolean): Promise<void> {
  const right = 'INSERT, DELETE ON runtime.sync_stream_events'
  await runSql(adminUrl, drift ? `GRANT ${right} TO oa_spacetime_ro` : `REVOKE ${right} FROM oa_spacetime_ro`)
}

async function dropConnections({ adminUrl }: Postgres): Promise<void> {
  await runSql(
    adminUrl,
    `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'driftwatch' AND pid <> pg_backend_pid()`,
  )
}

/** Sends half a request and disconnects. */
function hangUp(port: number): void {
  const socket = connect(port, '127.0.0.1')
  socket.on('error', () => {})
  socket.write('GET /drift HTTP/1.1\r\nhost: x\r\n', () => socket.destroy())
}
