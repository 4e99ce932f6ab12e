import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import type { Fault } from '../../sandbox/cloud-run/faults.ts'
import { startCloudRun } from '../../sandbox/cloud-run.ts'
import { type Monitoring, startMonitoring } from '../../sandbox/monitoring.ts'
import { loadWorld, type World, type WorldPatch } from '../../sandbox/world.ts'
import { createLog } from '../../src/cloud-log.ts'
import { readEnvironment } from '../../src/config/environment.ts'
import { parseConfig } from '../../src/config/load.ts'
import type { Report } from '../../src/report/report.ts'
import { type Server, startServer } from '../../src/server.ts'
import { makeCertificate, noOpenssl } from './certificate.ts'
import { type AdvancedClock, createAdvancedClock } from './clock.ts'
import { type GrpcProxy, startGrpcProxy } from './grpc-proxy.ts'
import { installedMajors, type PostgresServer, startPostgres } from './postgres-server.ts'
import { replicating } from './postgres-standby.ts'
import { type ProxyTls, startTcpProxy, type TcpProxy } from './tcp-proxy.ts'

/** Each has its own database; that of `beta` is on a separate server. */
export const stackNames = ['alpha', 'beta', 'gamma'] as const
export type StackName = (typeof stackNames)[number]

/** Each stack in its own project, or all in one, so that they share each list. */
export type Layout = 'apart' | 'together'

/** The resources of a stack in Cloud Run. */
export interface Home {
  readonly project: string
  readonly service: string
  readonly job: string
}

export function homeOf(stack: StackName, layout: Layout): Home {
  if (layout === 'apart') return { project: stack, service: 'runtime', job: 'runtime-migrate' }
  return { project: 'shared', service: stack, job: `${stack}-migrate` }
}

/** The secrets that must never leave the process: a password in every form, and values of the containers' environment. */
export const canaries = {
  password: 'canary-pa55:word/@?#%&',
  environment: 'canary-environment-value',
} as const

/** A Google API: an emulator, the faults of its responses, and the faults of its connections. */
export interface GoogleApi {
  readonly tcp: TcpProxy
  readonly grpc: GrpcProxy
}

/** A database, and its address, which can lead to another server. */
export interface FaultedDatabase {
  readonly proxy: TcpProxy
  server: PostgresServer
}

/** The real service, monitoring three stacks through proxies that simulate faults. */
export interface FaultBench {
  readonly service: Server
  readonly clock: AdvancedClock
  readonly cloudRun: GoogleApi & {
    setFaults(faults: readonly Fault[]): void
    setDrifted(stacks: readonly StackName[]): void
  }
  readonly monitoring: GoogleApi & { readonly emulator: Monitoring }
  readonly databases: Readonly<Record<StackName, FaultedDatabase>>
  readonly tls: ProxyTls | null
  /** All log output of the service, and its HTTP responses to `get`. */
  output(): string
  get(path: string): Promise<string>
  report(): Promise<Report>
  /** The values of `driftwatch_probe_errors_total` above 0, by `probe code`. */
  probeErrors(): Promise<ReadonlyMap<string, number>>
  /** Connections of the service, on every proxy. */
  connections(): number
  close(): Promise<void>
}

export const region = 'us-central1'
export const timeoutMs = 5000
export const staleAfterMs = 60_000

/** Shorter than `staleAfterMs`, so that an old connection ends before what it said. */
export const verifyEveryMs = 30_000

const year = 365 * 86_400_000

interface FaultBenchOptions {
  readonly layout?: Layout | undefined
  /** Connections are kept otherwise, so that a fault befalls an open one. */
  readonly verifies?: boolean | undefined
}

export async function openFaultBench({
  layout = 'apart',
  verifies = false,
}: FaultBenchOptions = {}): Promise<FaultBench> {
  const directory = mkdtempSync(join(tmpdir(), 'driftwatch-faults-'))
  const clock = createAdvancedClock()
  const home = (stack: StackName) => homeOf(stack, layout)
  const worlds = stackNames.map(stack => worldOf(home(stack)))
  const emulator = await startCloudRun({ world: joinWorlds(worlds, []) })
  const telemetry = Object.assign({}, ...worlds.map(world => world.telemetry))
  const monitoring = await startMonitoring({ now: clock.now, telemetry })
  const cloudRunApi = await openApi(emulator)
  const monitoringApi = await openApi(monitoring)
  const tls = await makeTls(directory)
  const [shared, own] = await Promise.all([openServer(['alpha', 'gamma']), openServer(['beta'])])
  const open = async (server: PostgresServer): Promise<FaultedDatabase> => ({
    server,
    proxy: await startTcpProxy(server.port, tls),
  })
  const databases = { alpha: await open(shared), beta: await open(own), gamma: await open(shared) }
  const stream = new PassThrough()
  let output = ''
  stream.on('data', chunk => {
    output += chunk
  })
  const url = (name: StackName) => urlOf(name, databases[name].proxy.port, tls && join(directory, 'trusted.pem'))
  const config = parseConfig(JSON.stringify(configOf(url, home)), 'faults.yaml', {})
  const service = await startServer({
    // The test triggers the cycles; the schedule is once a year.
    config: { ...config, staleAfterMs, verifyEveryMs: verifies ? verifyEveryMs : year },
    environment: readEnvironment({
      CLOUD_RUN_EMULATOR_HOST: `127.0.0.1:${cloudRunApi.tcp.port}`,
      MONITORING_EMULATOR_HOST: `127.0.0.1:${monitoringApi.tcp.port}`,
      PORT: '0',
    }),
    clock,
    log: createLog({ level: 'trace', clock, stream }),
    nodeVersion: process.version,
  })
  const get = async (path: string) => {
    const answer = await fetch(`http://127.0.0.1:${service.port}${path}`)
    const text = JSON.stringify([...answer.headers]) + (await answer.text())
    output += text
    return text.slice(text.indexOf(']]') + 2)
  }
  let world = { drifted: [] as readonly StackName[], faults: [] as readonly Fault[] }
  const setWorld = (change: Partial<typeof world>) => {
    world = { ...world, ...change }
    const changed = stackNames.map((stack, at) =>
      world.drifted.includes(stack) ? worldOf(home(stack), leftBehind()) : worlds[at],
    )
    emulator.setWorld(joinWorlds(changed as World[], world.faults))
  }
  const proxies = [cloudRunApi.tcp, monitoringApi.tcp, ...Object.values(databases).map(({ proxy }) => proxy)]
  return {
    service,
    clock,
    cloudRun: {
      ...cloudRunApi,
      setFaults: faults => setWorld({ faults }),
      setDrifted: drifted => setWorld({ drifted }),
    },
    monitoring: { ...monitoringApi, emulator: monitoring },
    databases,
    tls,
    output: () => output,
    get,
    report: async () => JSON.parse(await get('/drift')) as Report,
    async probeErrors() {
      const found = (await get('/metrics')).matchAll(
        /^driftwatch_probe_errors_total\{probe="(.*)",code="(.*)"\} (.*)$/gm,
      )
      return new Map([...found].map(([, probe, code, count]) => [`${probe} ${code}`, Number(count)] as const))
    },
    connections: () => proxies.reduce((sum, proxy) => sum + proxy.open(), 0),
    async close() {
      await service.close()
      await Promise.all(proxies.map(proxy => proxy.close()))
      await Promise.all([cloudRunApi, monitoringApi].map(({ grpc }) => grpc.close()))
      const servers = new Set(Object.values(databases).map(({ server }) => server))
      await Promise.all([emulator.close(), monitoring.close(), ...[...servers].map(server => server.stop())])
      rmSync(directory, { recursive: true, force: true })
    },
  }
}

async function openApi(emulator: { readonly host: string }): Promise<GoogleApi> {
  const grpc = await startGrpcProxy(() => emulator.host)
  return { grpc, tcp: await startTcpProxy(grpc.port) }
}

async function makeTls(directory: string): Promise<ProxyTls | null> {
  if (noOpenssl !== false) return null
  const trusted = await makeCertificate(mkdtempSync(join(directory, 'trusted-')))
  writeFileSync(join(directory, 'trusted.pem'), trusted.ca)
  return { trusted, untrusted: await makeCertificate(mkdtempSync(join(directory, 'untrusted-'))) }
}

function joinWorlds(worlds: readonly World[], faults: readonly Fault[]): World {
  const join = (kind: 'services' | 'revisions' | 'jobs' | 'executions') =>
    Object.assign({}, ...worlds.map(world => world[kind])) as World[typeof kind]
  return {
    ...(worlds[0] as World),
    services: join('services'),
    revisions: join('revisions'),
    jobs: join('jobs'),
    executions: join('executions'),
    faults: [...faults],
  }
}

/** The healthy world or a changed one, with other names. */
function worldOf({ project, service, job }: Home, patch: WorldPatch = {}): World {
  const world = loadWorld({ ...patch, project })
  const named = JSON.stringify(world)
    .replaceAll('/services/runtime', `/services/${service}`)
    .replaceAll('/jobs/runtime-migrate', `/jobs/${job}`)
  return {
    ...(JSON.parse(named) as World),
    telemetry: { ...world.telemetry, [service]: world.telemetry.runtime ?? [] },
  }
}

/** The job has an older image, and has had it since yesterday. */
function leftBehind(): WorldPatch {
  const image = 'us-central1-docker.pkg.dev/openagentsgemini/openagents-runtime/runtime-rust:41c3d0a'
  const container = { image, command: ['runtime-migrate'], env: [{ name: 'KEY', value: canaries.environment }] }
  const template = { template: { containers: { 'runtime-migrate-1': container } } }
  return { jobs: { 'runtime-migrate': { template } } }
}

async function openServer(names: readonly StackName[]): Promise<PostgresServer> {
  const hba = names.map(name => `host ${name} monitor_${name} 127.0.0.1/32 scram-sha-256\n`).join('')
  const trust =
    'local all,replication all trust\nhost all postgres 127.0.0.1/32 trust\nhost all sandbox 127.0.0.1/32 trust\n'
  const server = await startPostgres(installedMajors.at(-1) ?? 18, { hba: `${hba}${trust}`, options: [...replicating] })
  for (const name of names) {
    await server.sql('postgres', `CREATE ROLE monitor_${name} LOGIN PASSWORD '${canaries.password}'`)
    await server.sql('postgres', `CREATE ROLE owner_${name}; CREATE ROLE reader_${name}`)
    await server.sql('postgres', `CREATE DATABASE ${name}`)
    await server.sql(
      name,
      `REVOKE ALL ON DATABASE ${name} FROM PUBLIC; GRANT CONNECT ON DATABASE ${name} TO monitor_${name}`,
    )
    await server.sql(name, `CREATE SCHEMA runtime AUTHORIZATION owner_${name}`)
    await server.sql(name, `SET ROLE owner_${name}; CREATE TABLE runtime.events (body text)`)
  }
  return server
}

function urlOf(name: StackName, port: number, ca: string | null): string {
  const mode = ca === null ? 'sslmode=disable' : `sslmode=verify-full&sslrootcert=${encodeURIComponent(ca)}`
  return `postgres://monitor_${name}:${encodeURIComponent(canaries.password)}@localhost:${port}/${name}?${mode}`
}

function configOf(url: (name: StackName) => string, home: (name: StackName) => Home) {
  const stacks = stackNames.map(name => ({
    name,
    project: home(name).project,
    region,
    service: { name: home(name).service },
    job: { name: home(name).job },
    afterRollout: { services: [home(name).service] },
    database: {
      url: url(name),
      roles: { [`owner_${name}`]: {}, [`reader_${name}`]: {} },
      trustedRoles: ['postgres'],
      schemas: { runtime: { owner: `owner_${name}`, relations: ['events'] } },
    },
  }))
  // The calls of a year are made in a minute.
  const quota = { readsPerMinute: 60_000 }
  return { schedule: '0 0 1 1 *', quota, staleAfter: '400d', timeout: `${timeoutMs}ms`, host: '127.0.0.1', stacks }
}
