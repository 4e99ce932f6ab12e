import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { text } from 'node:stream/consumers'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { startServer } from '../sandbox/postgres/server.ts'
import { runSql } from '../sandbox/postgres/sql.ts'
import type { Finding } from '../src/checks/finding.ts'
import { roleGrants } from '../src/checks/role-grants.ts'
import { createPostgresReader, type PostgresReader } from '../src/clients/postgres/postgres.ts'
import { systemClock } from '../src/clock.ts'
import { startDeadline } from '../src/concurrency/deadline.ts'
import type { SlicedWork } from '../src/concurrency/time-slices.ts'
import { createTimeSlices } from '../src/concurrency/time-slices.ts'
import type { Config, Stack } from '../src/config/config.ts'
import { parseConfig } from '../src/config/load.ts'
import { createSecret } from '../src/config/secret.ts'
import { createStore } from '../src/drift/store.ts'
import type { Catalog } from '../src/grants/model/catalog.ts'
import { readCatalog, scopeOf } from '../src/probes/read-catalog.ts'
import { createRenderer } from '../src/report/rendered.ts'
import { driftSql, policy, size, worldSql } from './grants-world.ts'

/** `npm run bench:grants`: what the check role-grants costs on a large database, beside the queries that it needs. */
const rounds = 5
/** As the service is started, here and in what is measured. */
const flags = process.execArgv
/** Collects garbage, because a process grows until then. */
const memoryRounds = 20
const scope = scopeOf(policy)

async function main(): Promise<void> {
  const [mode, url] = process.argv.slice(2)
  if (mode === '--memory' && url) return console.log(JSON.stringify(await measureMemory(url)))
  // For other measurements: only the times, as JSON.
  const onlyTimes = mode === '--times'
  const say = onlyTimes ? () => {} : console.log
  const server = await startServer({ hba: 'host all all 127.0.0.1/32 trust\n', onProgress: say })
  try {
    const admin = server.url('postgres', 'postgres')
    say(`Node ${process.version} ${flags.join(' ')}`)
    say(`${size.relations} relations, ${size.roles} roles, ${size.schemas} schemas; ${rounds} rounds each`)
    for (const sql of worldSql()) await runSql(admin, sql)
    const monitor = server.url('monitor', 'postgres')
    const tell = onlyTimes ? tellTimes : report
    await tell('in sync', monitor)
    for (const sql of driftSql()) await runSql(admin, sql)
    await tell('almost all ACLs different', monitor)
  } finally {
    await server.stop()
  }
}

/** The times of the queries and of the check, round by round. */
export interface GrantTimes {
  readonly title: string
  readonly raw: readonly number[]
  readonly whole: readonly number[]
}

async function tellTimes(title: string, url: string): Promise<void> {
  const { raw, whole } = await measureTime(url)
  console.log(JSON.stringify({ title, raw, whole } satisfies GrantTimes))
}

async function report(title: string, url: string): Promise<void> {
  const { raw, whole, parts, finding, bytes } = await measureTime(url)
  const started = await runMemory(url, ...flags)
  const bare = await runMemory(url)
  console.log(`\n${title}: ${finding.status}, ${finding.summary}`)
  console.log(`  raw queries     ${list(raw)} ms, ${megabytes(bytes)} of rows`)
  console.log(`  whole check     ${list(whole)} ms`)
  console.log(`  ratio           ${(median(whole) / median(raw)).toFixed(2)} by the medians`)
  for (const [name, times] of Object.entries(parts)) console.log(`  ${name.padEnd(14)}  ${list(times)} ms`)
  const bound = 1.5 * bytes + 50 * 2 ** 20
  console.log(`  memory          may grow by ${megabytes(bound)}`)
  for (const [how, { grown, kept }] of Object.entries({ 'as started': started, 'without flags': bare }))
    console.log(`    ${how.padEnd(14)} grew by ${megabytes(grown)} at its highest, and kept ${megabytes(kept)}`)
}

/** Measures the raw queries and the whole check alternately, on one connection. */
async function measureTime(url: string) {
  const reader = openReader(url)
  const statements = await recordStatements(reader)
  const [raw, whole]: [number[], number[]] = [[], []]
  const parts: Record<'read' | 'judge' | 'longest block' | 'record, render', number[]> = {
    read: [],
    judge: [],
    'longest block': [],
    'record, render': [],
  }
  const check = createCheck()
  let [bytes, finding] = [0, await check(reader)]
  for (let round = -1; round < rounds; round++) {
    const [first, rows] = await timed(() => replay(reader, statements))
    const times = { read: 0, judge: 0, 'longest block': 0, 'record, render': 0 }
    const [second, found] = await timed(() => check(reader, times))
    bytes = bytesOf(rows)
    finding = found
    if (round < 0) continue
    raw.push(first)
    whole.push(second)
    for (const name of Object.keys(times) as (keyof typeof times)[]) parts[name].push(times[name])
  }
  await reader.close()
  return { raw, whole, parts, finding, bytes }
}

function openReader(url: string): PostgresReader {
  return createPostgresReader({ url, statementTimeoutMs: 60_000, lockTimeoutMs: 10_000 })
}

type Statement = readonly [sql: string, values: readonly unknown[] | undefined]

/** The statements of the probe, in order. */
async function recordStatements(reader: PostgresReader): Promise<Statement[]> {
  const statements: Statement[] = []
  await reader.read(startDeadline(systemClock, 60_000), session =>
    readCatalog(
      {
        ...session,
        rows(sql, values) {
          statements.push([sql, values])
          return session.rows(sql, values)
        },
        each(sql, values, take) {
          statements.push([sql, values])
          return session.each(sql, values, take)
        },
      },
      scope,
    ),
  )
  return statements
}

function replay(reader: PostgresReader, statements: readonly Statement[]): Promise<unknown[][][]> {
  return reader.read(startDeadline(systemClock, 60_000), async session => {
    const answers: unknown[][][] = []
    for (const [sql, values] of statements) answers.push(await session.rows(sql, values))
    return answers
  })
}

function bytesOf(answers: readonly (readonly (readonly unknown[])[])[]): number {
  const values = answers.flat(2)
  return values.reduce<number>((sum, value) => sum + (value === null ? 0 : Buffer.byteLength(String(value))), 0)
}

/** A configuration for the policy; its other values do not matter. */
const bare = { stacks: [{ name: 'bench', project: 'bench', region: 'bench', service: { name: 'bench' } }] }

/** Reads, judges, records and renders as a cycle does. */
function createCheck() {
  const { stacks, ...settings } = parseConfig(JSON.stringify(bare), 'bench.yaml', {})
  const [named] = stacks
  if (!named) throw new Error('the configuration has no stack')
  const database = {
    ...policy,
    url: createSecret('', ''),
    trustedRoles: policy.trustedRoles ?? [],
  } as Stack['database']
  const stack: Stack = { ...named, database }
  const config: Config = { ...settings, stacks: [stack] }
  const store = createStore(config, () => [roleGrants], 0)
  return async (reader: PostgresReader, spent: Record<string, number> = {}): Promise<Finding> => {
    const [reading, catalog] = await timed(() => read(reader))
    const [judging, { finding, blocked }] = await timed(() => judge(stack, config, catalog))
    const [rendering] = await timed(async () => {
      store.record('bench', 'role-grants', { kind: 'finding', finding, observedAt: 0 })
      return createRenderer()(store.snapshot(0)).report('json')
    })
    Object.assign(spent, { read: reading, judge: judging, 'longest block': blocked, 'record, render': rendering })
    return finding
  }
}

function read(reader: PostgresReader): Promise<Catalog> {
  return reader.read(startDeadline(systemClock, 60_000), session => readCatalog(session, scope))
}

const anyServer = {
  identity: { oid: 1, name: 'bench', systemIdentifier: null, timeline: null, startedAt: null, isReplica: false },
  asOf: 0,
}

/** Judges as a cycle does, and measures the longest delay of the event loop. */
async function judge(stack: Stack, config: Config, catalog: Catalog): Promise<{ finding: Finding; blocked: number }> {
  const observed = { 'postgres-catalog': { server: anyServer, catalog, rightsUnknown: null, ledger: null } }
  const steps = roleGrants.judgeInSteps?.({ stack, config, observed, observedAt: 0 }) as SlicedWork<Finding>
  const delays = monitorEventLoopDelay({ resolution: 1 })
  await nextTurn()
  delays.enable()
  const finding = await createTimeSlices(systemClock)(steps)
  await nextTurn()
  delays.disable()
  return { finding, blocked: delays.max / 1e6 }
}

/** Waits for two timers, so that the timer of the histogram has run. */
async function nextTurn(): Promise<void> {
  for (let fairQueue = 0; fairQueue < 2; fairQueue++) await delay(2)
}

interface Growth {
  /** The growth from the idle start to the peak, including garbage. */
  readonly grown: number
  /** The memory in use at the end. */
  readonly kept: number
}

/** In a separate process, so that only this work is measured. */
async function runMemory(url: string, ...flags: string[]): Promise<Growth> {
  const file = fileURLToPath(import.meta.url)
  const child = spawn(process.execPath, [...flags, '--expose-gc', file, '--memory', url], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const [answer] = await Promise.all([text(child.stdout), once(child, 'close')])
  return JSON.parse(answer) as Growth
}

async function measureMemory(url: string): Promise<Growth> {
  const reader = openReader(url)
  const check = createCheck()
  await reader.read(startDeadline(systemClock, 60_000), session => session.rows('SELECT 1'))
  globalThis.gc?.()
  const [before, used] = [process.resourceUsage().maxRSS * 1024, process.memoryUsage().heapUsed]
  for (let round = 0; round < memoryRounds; round++) await check(reader)
  await reader.close()
  const grown = process.resourceUsage().maxRSS * 1024 - before
  globalThis.gc?.()
  return { grown, kept: process.memoryUsage().heapUsed - used }
}

async function timed<Value>(work: () => Promise<Value>): Promise<[ms: number, value: Value]> {
  const begin = performance.now()
  const value = await work()
  return [performance.now() - begin, value]
}

function median(values: readonly number[]): number {
  return values.toSorted((one, other) => one - other)[Math.floor(values.length / 2)] ?? 0
}

function list(values: readonly number[]): string {
  return values.map(value => value.toFixed(0).padStart(4)).join(' ')
}

function megabytes(bytes: number): string {
  return `${(bytes / 2 ** 20).toFixed(1)} MiB`
}

await main()
