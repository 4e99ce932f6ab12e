import { type AddressInfo, createServer } from 'node:net'
import { type CloudRun, startCloudRun } from './cloud-run.ts'
import { type Contract, startContract } from './contract.ts'
import type { Incident } from './monitoring/incidents.ts'
import { type Monitoring, startMonitoring } from './monitoring.ts'
import { type Postgres, startPostgres } from './postgres.ts'
import { type Registry, startRegistry } from './registry.ts'
import { readScenario, type Scenario, type ScenarioName } from './scenarios.ts'
import { type ServiceProcess, startService } from './service-process.ts'
import { loadWorld } from './world.ts'

export interface SandboxOptions {
  /** Where the service listens; 0 is a free one. */
  readonly port: number
  /** Of the service's log; default `warn`, since an info line tells of every cycle. */
  readonly logLevel?: string
  /** The service's config in place of sandbox/driftwatch.yaml. */
  readonly config?: string
  /** Cron expression and durations in place of those of sandbox/driftwatch.yaml. */
  readonly schedule?: string
  readonly timeout?: string
  readonly staleAfter?: string
  /** The URL of a superuser of a PostgreSQL to use; without it one is started. */
  readonly postgresServer?: string | undefined
  /** Told of what takes its time. */
  readonly onProgress?: (line: string) => void
  /** Gets every line that the service writes to its log. */
  readonly onLog?: (line: string) => void
  /** Told when Cloud Monitoring opens an incident, and again when it closes it. */
  readonly onIncident?: (incident: Incident) => void
  /** Gives up starting. */
  readonly signal?: AbortSignal
}

/** Who is told of incidents, in sandbox/driftwatch.yaml. */
const onCall = 'projects/openagentsgemini/notificationChannels/1'

/** So often it is looked whether the time has come to evaluate the policies. */
const evaluateEveryMs = 1000

/** The emulators and the database with the runbook's stack in them, and the real service watching them. */
export interface Sandbox {
  readonly url: string
  readonly cloudRun: CloudRun
  readonly registry: Registry
  readonly monitoring: Monitoring
  readonly contract: Contract
  readonly postgres: Postgres
  readonly service: ServiceProcess
  /** The variables that point a `driftwatch` command at all of them. */
  readonly env: Readonly<Record<string, string>>
  /** Puts the healthy world with the scenario's patch in place of whatever is there; one scenario at a time. */
  inject(name: ScenarioName): Promise<Scenario>
  /** Ends everything that was started. */
  close(): Promise<void>
}

/** Starts it all and waits for the first cycle. Rejects, and leaves nothing running, where a part does not start. */
export async function startSandbox(options: SandboxOptions): Promise<Sandbox> {
  const port = await freePort(options.port).catch(error => {
    throw portTaken(options.port, error)
  })
  const since = Date.now()
  const world = loadWorld({}, since)
  const cloudRun = await startCloudRun({ world })
  const registry = await startRegistry({ world: world.registry })
  const { onIncident = () => {} } = options
  const monitoring = await startMonitoring({ notificationChannels: [onCall], onIncident, telemetry: world.telemetry })
  const contract = await startContract({ world: world.http })
  const evaluating = setInterval(() => monitoring.evaluate(), evaluateEveryMs)
  const closeEmulators = async () => {
    clearInterval(evaluating)
    await Promise.all([cloudRun.close(), registry.close(), monitoring.close(), contract.close()])
  }
  const { postgresServer: server, onProgress, signal } = options
  const postgres = await startPostgres({ server, onProgress, signal }).catch(async error => {
    await closeEmulators()
    throw error
  })
  const closeSystems = async () => {
    await Promise.all([closeEmulators(), postgres.close()])
  }
  const env = {
    CLOUD_RUN_EMULATOR_HOST: cloudRun.host,
    ARTIFACT_REGISTRY_EMULATOR_HOST: registry.host,
    MONITORING_EMULATOR_HOST: monitoring.host,
    RUNTIME_BASE_URL: contract.url,
    DB_URL: postgres.url,
    SANDBOX_SUPERUSER: postgres.superuser,
  }
  const service = await startService({
    port,
    config: options.config,
    env: { ...env, ...serviceEnv(options) },
    onLog: options.onLog ?? (() => {}),
    signal,
  }).catch(async error => {
    await closeSystems()
    throw error
  })
  let turn: Promise<unknown> = Promise.resolve()
  let isTouched = false
  async function become(scenario: Scenario): Promise<Scenario> {
    const touches = scenario.sql !== null || scenario.databaseDown
    // Whoever asks for `healthy` may have changed the database by hand.
    if (touches || isTouched || scenario.name === 'healthy')
      await postgres.reset({ sql: scenario.sql, down: scenario.databaseDown })
    isTouched = touches
    const changed = loadWorld(scenario.patch, Date.now(), since)
    registry.setWorld(changed.registry)
    monitoring.setTelemetry(changed.telemetry)
    contract.setWorld(changed.http)
    cloudRun.setWorld(changed)
    return scenario
  }
  return {
    url: service.url,
    cloudRun,
    registry,
    monitoring,
    contract,
    postgres,
    service,
    env,
    inject(name) {
      const mine = turn.then(() => become(readScenario(name)))
      turn = mine.catch(() => undefined)
      return mine
    },
    async close() {
      await service.stop()
      await turn
      await closeSystems()
    },
  }
}

/** sandbox/driftwatch.yaml takes these. */
function serviceEnv({ logLevel, schedule, timeout, staleAfter }: SandboxOptions): Record<string, string> {
  return {
    LOG_LEVEL: logLevel ?? 'warn',
    ...(schedule !== undefined && { SANDBOX_SCHEDULE: schedule }),
    ...(timeout !== undefined && { SANDBOX_TIMEOUT: timeout }),
    ...(staleAfter !== undefined && { SANDBOX_STALE_AFTER: staleAfter }),
  }
}

/** A port that nobody listens on: this one, or any for 0. */
function freePort(wanted: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer().once('error', reject)
    server.listen(wanted, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo
      server.close(() => resolve(port))
    })
  })
}

function portTaken(port: number, cause: NodeJS.ErrnoException): Error {
  if (cause.code !== 'EADDRINUSE') return cause
  return new Error(
    `Port ${port} is taken: stop what listens there, or choose another one, as in PORT=${port + 1} npm run sandbox`,
    { cause },
  )
}
