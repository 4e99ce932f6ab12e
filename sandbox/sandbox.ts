import { type AddressInfo, createServer } from 'node:net'
import type { Migrate } from './cloud-run/tasks.ts'
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
  /** The port of the service; 0: any free port. */
  readonly port: number
  /** The log level of the service; default `warn`, because `info` logs every cycle. */
  readonly logLevel?: string
  /** The service's configuration file; default sandbox/driftwatch.yaml. */
  readonly config?: string
  /** Override the values of sandbox/driftwatch.yaml. */
  readonly schedule?: string
  readonly timeout?: string
  readonly staleAfter?: string
  /** The superuser URL of a PostgreSQL server to use; if absent, one is started. */
  readonly postgresServer?: string | undefined
  /** Called before a step that takes long. */
  readonly onProgress?: (line: string) => void
  /** Receives every log line of the service. */
  readonly onLog?: (line: string) => void
  /** Called when Cloud Monitoring opens or closes an incident. */
  readonly onIncident?: (incident: Incident) => void
  /** Aborts the start. */
  readonly signal?: AbortSignal
}

/** The notification channel in sandbox/driftwatch.yaml. */
const onCall = 'projects/openagentsgemini/notificationChannels/1'

const evaluateEveryMs = 1000

/** The emulators and the database with the example stack, and the real service that monitors them. */
export interface Sandbox {
  readonly url: string
  readonly cloudRun: CloudRun
  readonly registry: Registry
  readonly monitoring: Monitoring
  readonly contract: Contract
  readonly postgres: Postgres
  readonly service: ServiceProcess
  /** The environment with which a `driftwatch` command uses them. */
  readonly env: Readonly<Record<string, string>>
  /** Replaces the current state with the healthy stack and the changes of the scenario. */
  inject(name: ScenarioName): Promise<Scenario>
  close(): Promise<void>
}

/** Starts everything and waits for the first cycle. If a part does not start, rejects and leaves nothing running. */
export async function startSandbox(options: SandboxOptions): Promise<Sandbox> {
  const port = await freePort(options.port).catch(error => {
    throw portTaken(options.port, error)
  })
  const since = Date.now()
  const world = loadWorld({}, since)
  let migrate: Migrate = () => Promise.reject(new Error('PostgreSQL has not started'))
  const cloudRun = await startCloudRun({ world, migrate: digest => migrate(digest) })
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
  const inTurn = <T>(work: () => Promise<T>): Promise<T> => {
    const done = turn.then(work)
    turn = done.catch(() => undefined)
    return done
  }
  let isTouched = false
  let injections = 0
  migrate = digest => {
    const before = injections
    return inTurn(async () => {
      if (injections !== before) throw new Error('another scenario replaced the job and the database')
      isTouched = true
      await postgres.migrate(digest)
    })
  }
  async function apply(scenario: Scenario): Promise<Scenario> {
    const touches = scenario.sql !== null || scenario.databaseDown
    // Before `healthy`, the database may have been changed by hand.
    if (touches || isTouched || scenario.name === 'healthy')
      await postgres.reset({ sql: scenario.sql, down: scenario.databaseDown })
    isTouched = touches
    const changed = loadWorld(scenario.patch, Date.now(), since)
    registry.setWorld(changed.registry)
    monitoring.setTelemetry(changed.telemetry)
    contract.setWorld(changed.http)
    cloudRun.setWorld(changed)
    injections++
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
    inject: name => inTurn(() => apply(readScenario(name))),
    async close() {
      await service.stop()
      await turn
      await closeSystems()
    },
  }
}

/** The variables that sandbox/driftwatch.yaml uses. */
function serviceEnv({ logLevel, schedule, timeout, staleAfter }: SandboxOptions): Record<string, string> {
  return {
    LOG_LEVEL: logLevel ?? 'warn',
    ...(schedule !== undefined && { SANDBOX_SCHEDULE: schedule }),
    ...(timeout !== undefined && { SANDBOX_TIMEOUT: timeout }),
    ...(staleAfter !== undefined && { SANDBOX_STALE_AFTER: staleAfter }),
  }
}

/** Resolves with the port if it is free; with any free port for 0. */
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
    `Port ${port} is in use. Stop the process that listens there, or choose another port: PORT=${port + 1} npm run sandbox`,
    { cause },
  )
}
