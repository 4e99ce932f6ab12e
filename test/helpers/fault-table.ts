import type { Fault } from '../../sandbox/cloud-run/faults.ts'
import { superuser } from '../../sandbox/postgres/cluster-template.ts'
import type { CheckKind } from '../../src/checks/check.ts'
import type { ErrorCode } from '../../src/errors.ts'
import type { ProbeKind } from '../../src/probes/probe.ts'
import {
  canaries,
  type FaultBench,
  homeOf,
  type Layout,
  region,
  type StackName,
  stackNames,
  verifyEveryMs,
} from './fault-bench.ts'
import type { GrpcFault } from './grpc-proxy.ts'
import type { PostgresServer } from './postgres-server.ts'
import { pauseReplay, startStandby, untilReceived } from './postgres-standby.ts'
import type { TcpFault } from './tcp-proxy.ts'

/** Starts a fault; resolves with a function that ends it. */
export type Break = (context: FaultBench, stacks: readonly StackName[]) => Promise<() => Promise<void> | void>

/** One row of the matrix: how a system fails, and the expected report. */
export interface FaultRow {
  readonly fault: string
  /** The error code of the failed probes; null: they succeed. `absent`: the resource is reported as missing. */
  readonly code: ErrorCode | 'absent' | null
  /** Writes succeed despite the fault, and a repeated write is rejected. */
  readonly arrives?: true
  /** For one stack of three, or the reason why this is impossible. */
  readonly one: Break | string
  /** Waits until what has changed since can be seen. */
  readonly settle?: (context: FaultBench, stacks: readonly StackName[]) => Promise<void>
  readonly all: Break | string
}

export type Outcome = 'holds' | 'does not hold'

export interface FaultedSystem {
  readonly name: 'Cloud Run' | 'Cloud Run in one place' | 'Monitoring' | 'PostgreSQL' | 'PostgreSQL at another address'
  /** Default `apart`. */
  readonly layout?: Layout
  /** Whether connections end after `verifyEveryMs`. */
  readonly verifies?: true
  /** The probes that read this system, and the checks that need them. */
  readonly probes: readonly ProbeKind[]
  readonly checks: readonly CheckKind[]
  readonly rows: readonly FaultRow[]
}

type Api = 'cloudRun' | 'monitoring'

const oneEndpoint = 'one endpoint serves every stack'
/** 50 MiB. */
const pieces = 800

const noTls = 'the emulators do not support TLS; tested with the clients'

const both = (fault: Break) => ({ one: fault, all: fault })

const tcp =
  (api: Api, fault: TcpFault): Break =>
  async context => {
    await context[api].tcp.set(fault)
    return () => context[api].tcp.set(null)
  }

const grpc =
  (api: Api, fault: GrpcFault): Break =>
  async (context, stacks) => {
    context[api].grpc.set(fault, stacks.length === 1 ? `projects/${stacks[0]}` : null)
    return () => context[api].grpc.set(null)
  }

const answered =
  (api: Api, code: NonNullable<Fault['code']>): Break =>
  async (context, stacks) => {
    const set = (faults: readonly Fault[]) =>
      api === 'cloudRun' ? context.cloudRun.setFaults(faults) : context.monitoring.emulator.setFaults(faults)
    set(stacks.map(stack => ({ code, resource: `projects/${stack}*` })))
    return () => set([])
  }

function googleRows(api: Api): FaultRow[] {
  return [
    { fault: 'refused', code: 'UNAVAILABLE', one: oneEndpoint, all: tcp(api, 'refused') },
    { fault: 'connection reset during the response', code: 'UNAVAILABLE', one: oneEndpoint, all: tcp(api, 'reset') },
    { fault: 'stream reset during the response', code: 'INTERNAL', arrives: true, ...both(grpc(api, 'reset')) },
    {
      fault: 'hang before the first byte',
      code: 'DEADLINE_EXCEEDED',
      one: grpc(api, 'silence'),
      all: tcp(api, 'silence'),
    },
    {
      fault: 'hang after the first byte',
      code: 'DEADLINE_EXCEEDED',
      one: grpc(api, 'first-byte'),
      all: tcp(api, 'first-byte'),
    },
    { fault: 'slow response', code: 'DEADLINE_EXCEEDED', one: grpc(api, 'drip'), all: tcp(api, 'drip') },
    { fault: 'TLS failure', code: 'UNAVAILABLE', one: noTls, all: noTls },
    { fault: 'wrong credentials', code: 'UNAUTHENTICATED', ...both(answered(api, 'UNAUTHENTICATED')) },
    { fault: 'denied', code: 'PERMISSION_DENIED', ...both(answered(api, 'PERMISSION_DENIED')) },
    { fault: 'not found', code: api === 'cloudRun' ? 'absent' : 'NOT_FOUND', ...both(answered(api, 'NOT_FOUND')) },
    { fault: 'quota', code: 'RESOURCE_EXHAUSTED', ...both(answered(api, 'RESOURCE_EXHAUSTED')) },
    { fault: '500: internal error', code: 'INTERNAL', ...both(answered(api, 'INTERNAL')) },
    { fault: '503: overloaded', code: 'UNAVAILABLE', ...both(answered(api, 'UNAVAILABLE')) },
    { fault: 'garbage message', code: 'MALFORMED_RESPONSE', ...both(grpc(api, 'garbage')) },
    { fault: 'truncated message', code: 'MALFORMED_RESPONSE', ...both(grpc(api, 'cut')) },
    { fault: 'not gRPC', code: 'UNAVAILABLE', one: oneEndpoint, all: tcp(api, 'garbage') },
    { fault: 'response of 50 MiB', code: 'MALFORMED_RESPONSE', ...both(grpc(api, 'huge')) },
    { fault: 'server restart', code: null, one: oneEndpoint, all: restarted(api) },
    { fault: 'out of connections', code: 'UNAVAILABLE', ...both(grpc(api, 'refused')) },
  ]
}

/** The resources of a stack if all share a place: its service and its job. */
function resourcesOf(stack: StackName): string[] {
  const { project, service, job } = homeOf(stack, 'together')
  const place = `projects/${project}/locations/${region}`
  return [`${place}/services/${service}`, `${place}/jobs/${job}`]
}

const spoiled: Break = async ({ cloudRun }, stacks) => {
  cloudRun.grpc.spoil(stacks.flatMap(resourcesOf))
  return () => cloudRun.grpc.spoil([])
}

/** Without permission to list, each resource is read by get. */
const deniedByItself =
  (code: NonNullable<Fault['code']>): Break =>
  async ({ cloudRun }, stacks) => {
    const each = stacks.flatMap(resourcesOf).map(resource => ({ code, resource: `${resource}*` }))
    cloudRun.setFaults([{ code: 'PERMISSION_DENIED', method: 'List*' }, ...each])
    return () => cloudRun.setFaults([])
  }

const garbageLists: Break = async ({ cloudRun }) => {
  cloudRun.grpc.set('garbage', 'List')
  return () => cloudRun.grpc.set(null)
}

const onePlaceRows: FaultRow[] = [
  { fault: 'malformed service and job on a page', code: 'MALFORMED_RESPONSE', ...both(spoiled) },
  { fault: 'garbage for every list', code: null, one: 'one list covers every stack', all: garbageLists },
  { fault: 'list fails, get denied', code: 'PERMISSION_DENIED', ...both(deniedByItself('PERMISSION_DENIED')) },
  { fault: 'list fails, get not found', code: 'absent', ...both(deniedByItself('NOT_FOUND')) },
]

/** The system restarts before the next request: only its connections are lost. */
function restarted(api: Api): Break {
  return async context => {
    await context[api].tcp.set('refused')
    await context[api].tcp.set(null)
    return () => {}
  }
}

const line =
  (fault: TcpFault): Break =>
  async (context, stacks) => {
    await Promise.all(stacks.map(stack => context.databases[stack].proxy.set(fault)))
    return async () => {
      await Promise.all(stacks.map(stack => context.databases[stack].proxy.set(null)))
    }
  }

/** Runs statements as the superuser, and terminates all other sessions. */
const changed =
  (change: (stack: StackName) => string, undo: (stack: StackName) => string): Break =>
  async (context, stacks) => {
    const run = async (statements: (stack: StackName) => string) => {
      for (const stack of stacks) await context.databases[stack].server.sql('postgres', statements(stack), superuser)
    }
    await run(stack => `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'monitor_${stack}'`)
    await run(change)
    return () => run(undo)
  }

const serversOf = (context: FaultBench, stacks: readonly StackName[]) => [
  ...new Set(stacks.map(stack => context.databases[stack].server)),
]

const down: Break = async (context, stacks) => {
  const servers = serversOf(context, stacks)
  await Promise.all(servers.map(server => server.kill()))
  return async () => {
    await Promise.all(servers.map(server => server.start()))
  }
}

const restartedServer: Break = async (context, stacks) => {
  const start = await down(context, stacks)
  await start()
  return () => {}
}

/** An error as PostgreSQL sends it, after which it waits for the next query. */
function errorOf(sqlState: string, message: string): Buffer {
  const fields = Buffer.from(`SERROR\0VERROR\0C${sqlState}\0M${message}\0\0`)
  const head = Buffer.alloc(5)
  head.write('E')
  head.writeUInt32BE(fields.length + 4, 1)
  return Buffer.concat([head, fields, Buffer.from([0x5a, 0, 0, 0, 5, 0x45])])
}

/** One row of one column, in pieces. */
function* hugeRow(): Generator<Buffer> {
  const piece = Buffer.alloc(64 * 1024, 0x61)
  const bytes = pieces * piece.length
  const head = Buffer.alloc(11)
  head.write('D')
  head.writeUInt32BE(bytes + 10, 1)
  head.writeUInt16BE(1, 5)
  head.writeUInt32BE(bytes, 7)
  yield head
  for (let sent = 0; sent < pieces; sent++) yield piece
}

const postgresRows: FaultRow[] = [
  { fault: 'refused', code: 'UNAVAILABLE', ...both(line('refused')) },
  { fault: 'connection reset during the response', code: 'UNAVAILABLE', ...both(line('reset')) },
  { fault: 'hang before the first byte', code: 'DEADLINE_EXCEEDED', ...both(line('silence')) },
  { fault: 'hang after the first byte', code: 'DEADLINE_EXCEEDED', ...both(line('first-byte')) },
  { fault: 'slow response', code: 'DEADLINE_EXCEEDED', ...both(line('drip')) },
  {
    fault: 'TLS failure',
    code: 'UNAVAILABLE',
    ...both(async (context, stacks) => {
      for (const stack of stacks) context.databases[stack].proxy.cut()
      return line('untrusted')(context, stacks)
    }),
  },
  {
    fault: 'wrong credentials',
    code: 'UNAUTHENTICATED',
    ...both(
      changed(
        stack => `ALTER ROLE monitor_${stack} PASSWORD 'another'`,
        stack => `ALTER ROLE monitor_${stack} PASSWORD '${canaries.password}'`,
      ),
    ),
  },
  {
    fault: 'denied',
    code: 'PERMISSION_DENIED',
    ...both(
      changed(
        stack => `REVOKE CONNECT ON DATABASE ${stack} FROM monitor_${stack}`,
        stack => `GRANT CONNECT ON DATABASE ${stack} TO monitor_${stack}`,
      ),
    ),
  },
  {
    fault: 'not found',
    code: 'NOT_FOUND',
    ...both(
      changed(
        stack => `ALTER DATABASE ${stack} RENAME TO gone_${stack}`,
        stack => `ALTER DATABASE gone_${stack} RENAME TO ${stack}`,
      ),
    ),
  },
  {
    fault: 'quota',
    code: 'RESOURCE_EXHAUSTED',
    ...both(line({ answer: () => [errorOf('53400', 'configuration limit exceeded')] })),
  },
  {
    fault: '500: internal error',
    code: 'INTERNAL',
    ...both(line({ answer: () => [errorOf('XX000', 'cache lookup failed')] })),
  },
  { fault: 'garbage message', code: 'MALFORMED_RESPONSE', ...both(line('garbage')) },
  {
    fault: 'malformed message',
    code: 'MALFORMED_RESPONSE',
    ...both(line({ answer: () => [Buffer.from('T\0\0\0\x06\x7f\xff', 'latin1')] })),
  },
  { fault: 'truncated message', code: 'UNAVAILABLE', ...both(line('cut')) },
  { fault: 'response of 50 MiB', code: 'MALFORMED_RESPONSE', ...both(line({ answer: hugeRow })) },
  { fault: 'server down', code: 'UNAVAILABLE', ...both(down) },
  { fault: 'server restart', code: null, ...both(restartedServer) },
  {
    fault: 'out of connections',
    code: 'RESOURCE_EXHAUSTED',
    ...both(
      changed(
        stack => `ALTER ROLE monitor_${stack} CONNECTION LIMIT 0`,
        stack => `ALTER ROLE monitor_${stack} CONNECTION LIMIT -1`,
      ),
    ),
  },
]

/** Changes the server, and leaves the connections that are open; they end in time. */
const changedBehind =
  (change: (stack: StackName) => string, undo: (stack: StackName) => string): Break =>
  async (context, stacks) => {
    const run = async (statements: (stack: StackName) => string) => {
      for (const stack of stacks) await context.databases[stack].server.sql('postgres', statements(stack), superuser)
    }
    await run(change)
    context.clock.advance(verifyEveryMs)
    return () => run(undo)
  }

/** Leads the addresses of stacks to another server, and leaves the connections that are open; they end in time. */
function lead({ databases, clock }: FaultBench, stacks: readonly StackName[], to: ServerOf): void {
  for (const stack of stacks) databases[stack].proxy.lead(to(stack).port)
  clock.advance(verifyEveryMs)
}

type ServerOf = (stack: StackName) => PostgresServer

/** A standby for the server of each stack. */
async function startStandbys(context: FaultBench, stacks: readonly StackName[]) {
  const servers = serversOf(context, stacks)
  const started = await Promise.all(servers.map(async server => [server, await startStandby(server)] as const))
  const standbys = new Map(started)
  return { standbys, of: (stack: StackName) => standbys.get(context.databases[stack].server) as PostgresServer }
}

const pausedStandby: Break = async (context, stacks) => {
  const { standbys, of } = await startStandbys(context, stacks)
  for (const standby of standbys.values()) await pauseReplay(standby)
  lead(context, stacks, of)
  return async () => {
    lead(context, stacks, stack => context.databases[stack].server)
    await Promise.all([...standbys.values()].map(standby => standby.stop()))
  }
}

/** Where the address leads, the truth changes too; the first server goes on, or has failed. */
const promotedStandby =
  (isFirstDown: boolean): Break =>
  async (context, stacks) => {
    const { standbys, of } = await startStandbys(context, stacks)
    if (isFirstDown) for (const server of standbys.keys()) await server.kill()
    for (const standby of standbys.values()) await standby.sql('postgres', 'SELECT pg_promote()')
    lead(context, stacks, of)
    const promoted = stacks.map(stack => [stack, of(stack)] as const)
    for (const [stack, server] of promoted) context.databases[stack].server = server
    return async () => {
      await Promise.all([...standbys.keys()].map(server => server.stop()))
    }
  }

const addressRows: FaultRow[] = [
  {
    fault: 'address leads to a standby whose replay is paused',
    code: 'STALE',
    ...both(pausedStandby),
    async settle({ databases }, stacks) {
      // The standby has received the change of the truth, and not replayed it.
      for (const stack of stacks) await untilReceived(databases[stack].server)
    },
  },
  { fault: 'address switched to a promoted standby', code: null, ...both(promotedStandby(true)) },
  { fault: 'address switched, old primary still responds', code: null, ...both(promotedStandby(false)) },
  {
    fault: 'login disabled after connecting',
    code: 'UNAUTHENTICATED',
    ...both(
      changedBehind(
        stack => `ALTER ROLE monitor_${stack} NOLOGIN`,
        stack => `ALTER ROLE monitor_${stack} LOGIN`,
      ),
    ),
  },
  {
    fault: 'CONNECT revoked after connecting',
    code: 'PERMISSION_DENIED',
    ...both(
      changedBehind(
        stack => `REVOKE CONNECT ON DATABASE ${stack} FROM monitor_${stack}`,
        stack => `GRANT CONNECT ON DATABASE ${stack} TO monitor_${stack}`,
      ),
    ),
  },
]

export const faultedSystems: readonly FaultedSystem[] = [
  {
    name: 'Cloud Run',
    probes: ['service', 'job', 'execution', 'telemetry'],
    checks: ['service-image', 'job-image', 'migration-execution', 'after-rollout'],
    rows: googleRows('cloudRun'),
  },
  {
    name: 'Cloud Run in one place',
    layout: 'together',
    probes: ['service', 'job', 'execution', 'telemetry'],
    checks: ['service-image', 'job-image', 'migration-execution', 'after-rollout'],
    rows: onePlaceRows,
  },
  { name: 'Monitoring', probes: ['telemetry'], checks: ['after-rollout'], rows: googleRows('monitoring') },
  { name: 'PostgreSQL', probes: ['postgres-catalog'], checks: ['role-grants', 'schema'], rows: postgresRows },
  {
    name: 'PostgreSQL at another address',
    verifies: true,
    probes: ['postgres-catalog'],
    checks: ['role-grants', 'schema'],
    rows: addressRows,
  },
]

export type Scope = 'one' | 'all'

export const scopes: Readonly<Record<Scope, readonly StackName[]>> = { one: ['beta'], all: stackNames }
