// It takes minutes on a machine that does nothing else, and so is run by hand: `node test/integration/fault-matrix.ts`.
import { writeFileSync } from 'node:fs'
import t, { type Test } from 'tap'
import type { Report } from '../../src/drift/report.ts'
import { canaryForms } from '../helpers/canaries.ts'
import {
  canaries,
  type FaultBench,
  openFaultBench,
  type StackName,
  stackNames,
  staleAfterMs,
} from '../helpers/fault-bench.ts'
import { type FaultedSystem, type FaultRow, faultedSystems, scopes } from '../helpers/fault-table.ts'
import { until } from '../helpers/until.ts'

type Scope = keyof typeof scopes
type ReportedCheck = Report['stacks'][number]['checks'][number]

/** What the one who reads docs/reliability.md sees of each cell. */
const outcomes = new Map<string, string>()

/** Longer than two publishings have to be apart. */
const publishGapMs = 11_000

const bench = await openFaultBench()
t.teardown(() => bench.close())
// The first cycles load what they need, and the first publishing describes the metrics.
await until(async () => {
  await bench.service.refresh()
  bench.clock.advance(publishGapMs)
  const { status, channels } = await bench.report()
  return status === 'in_sync' && channels.every(({ publishedAt }) => publishedAt !== null)
})
const idle = bench.connections()

/** What is really so, and changes under every fault, so that nothing can be right by having stayed as it was. */
const truth = createTruth(bench)

for (const system of faultedSystems) {
  t.test(system.name, async t => {
    for (const row of system.rows) {
      for (const scope of ['one', 'all'] as const) {
        const cell = row[scope]
        const key = `${system.name} ${row.fault} ${scope}`
        if (typeof cell === 'string') {
          outcomes.set(key, `not possible: ${cell}`)
          continue
        }
        await t.test(`${row.fault}, ${scope === 'one' ? 'one stack of three' : 'all stacks'}`, async t => {
          await meet(t, system, row, scope)
          outcomes.set(key, t.passing() ? (row.code ?? 'goes on') : 'FAILED')
        })
      }
    }
    // gRPC closes what nobody uses any more every 10 s.
    const settleBy = Date.now() + 30_000
    await until(() => bench.connections() <= idle || Date.now() > settleBy)
    t.ok(bench.connections() <= idle, `${bench.connections()} connections, ${idle} when all was well`)
  })
}

t.test('what is told of the faults holds no secret', async t => {
  for (const secret of Object.values(canaries)) {
    for (const form of canaryForms(secret)) t.notOk(bench.output().includes(form), form)
  }
})

t.test('the table', async t => {
  const table = renderTable()
  for (const line of table) t.comment(line)
  t.ok([...outcomes.values()].filter(outcome => !outcome.startsWith('not possible')).length >= 80)
  const file = process.env.FAULT_MATRIX_FILE
  if (file !== undefined) writeFileSync(file, `${table.join('\n')}\n`)
})

async function meet(t: Test, system: FaultedSystem, row: FaultRow, scope: Scope): Promise<void> {
  const affected = scopes[scope]
  const broken = row[scope]
  if (typeof broken === 'string') return
  const before = await bench.report()
  const mend = await broken(bench, affected)
  await truth.change(system, affected)
  const { report: during, errors } = await lookAwake()
  for (const [stack, check, state] of statesOf(during)) {
    const where = `${stack} ${check}`
    const touched = affected.some(name => name === stack) && system.checks.some(kind => kind === check)
    if (!touched || row.code === null) {
      t.equal(state.status, truth.of(stack, check), `${where} is right`)
      t.equal(state.error, null, `${where} was looked at`)
      t.ok(Date.parse(state.observedAt ?? '') >= Date.parse(during.cycle?.startedAt ?? ''), `${where} is on time`)
    } else if (row.code === 'absent') {
      t.ok(state.status === 'drifted' || state.error?.code === 'DEPENDS_ON', `${where} is told to be missing`)
    } else {
      const known = stateOf(before, stack, check)
      t.equal(state.status, known?.status, `${where} stays what it was`)
      t.equal(state.observedAt, known?.observedAt, `${where} does not claim to have been looked at`)
      t.equal(state.error?.code, row.code, `${where}: ${state.error?.message}`)
    }
  }
  const expected = row.code === null || row.code === 'absent' ? [] : system.probes
  t.strictSame(
    errors,
    Object.fromEntries(expected.map(probe => [`${probe} ${row.code}`, affected.length]).sort()),
    'metrics count the same',
  )
  bench.clock.advance(staleAfterMs)
  if (row.code !== null && row.code !== 'absent') {
    const aged = await bench.report()
    for (const stack of affected) {
      for (const check of system.checks) {
        const state = stateOf(aged, stack, check)
        t.match(state, { status: 'unknown', error: { code: row.code } }, `${stack} ${check} is not believed for ever`)
      }
    }
    if (system.name === 'Monitoring' && scope === 'all') await seePublishing(t, row.code)
  }
  await mend()
  for (const [stack, check, state] of statesOf((await lookAwake()).report)) {
    t.equal(state.status, truth.of(stack, check), `${stack} ${check} is right in the next cycle`)
    t.equal(state.error, null, `${stack} ${check}: ${state.error?.message}`)
  }
  if (system.name === 'Monitoring') {
    bench.clock.advance(publishGapMs)
    await seePublishing(t, null)
  }
  t.strictSame(await sessions(), { alpha: 1, beta: 1, gamma: 1 }, 'one session in each database')
}

async function seePublishing(t: Test, code: string | null): Promise<void> {
  const settleBy = Date.now() + 5000
  const read = async () => {
    const { channels } = await bench.report()
    return channels.find(({ channel }) => channel === 'cloud-monitoring')?.error ?? null
  }
  await until(async () => ((await read())?.code ?? null) === code || Date.now() > settleBy)
  const error = await read()
  t.equal(error?.code ?? null, code, `publishing: ${error?.message}`)
}

/** A cycle in which this machine, which runs more than this, did not stand still itself. */
async function lookAwake(): Promise<{ report: Report; errors: Record<string, number> }> {
  for (let tries = 1; ; tries++) {
    const before = await bench.probeErrors()
    await bench.service.refresh()
    const report = await bench.report()
    const asleep = statesOf(report).some(([, , state]) => state.error?.code === 'LOOP_BLOCKED')
    if (!asleep || tries === 3) return { report, errors: await newErrors(before) }
  }
}

async function newErrors(before: ReadonlyMap<string, number>): Promise<Record<string, number>> {
  const after = await bench.probeErrors()
  const grown = [...after].map(([key, count]) => [key, count - (before.get(key) ?? 0)] as const)
  return Object.fromEntries(grown.filter(([, count]) => count > 0).sort())
}

async function sessions(): Promise<Record<string, number>> {
  const ask = async (name: StackName) => {
    const rows = await bench.databases[name].server.sql(
      'postgres',
      `SELECT count(*)::int FROM pg_stat_activity WHERE usename = 'monitor_${name}'`,
    )
    return [name, Number(rows[0]?.[0])] as const
  }
  return Object.fromEntries(await Promise.all(stackNames.map(ask)))
}

function statesOf(report: Report): (readonly [StackName, ReportedCheck['check'], ReportedCheck])[] {
  return report.stacks.flatMap(({ name, checks }) =>
    checks.map(state => [name as StackName, state.check, state] as const),
  )
}

function stateOf(report: Report, stack: string, check: string): ReportedCheck | undefined {
  return report.stacks.find(({ name }) => name === stack)?.checks.find(state => state.check === check)
}

function createTruth({ cloudRun, databases }: FaultBench) {
  const leftBehind = new Set<StackName>()
  const opened = new Set<StackName>()
  const toggle = (set: Set<StackName>, stack: StackName) => (set.delete(stack) ? false : Boolean(set.add(stack)))
  return {
    async change(system: FaultedSystem, stacks: readonly StackName[]): Promise<void> {
      if (system.name === 'Cloud Run') {
        for (const stack of stacks) toggle(leftBehind, stack)
        cloudRun.setDrifted([...leftBehind])
      }
      if (system.name !== 'PostgreSQL') return
      for (const stack of stacks) {
        const change = toggle(opened, stack) ? `GRANT SELECT ON runtime.events TO` : `REVOKE ALL ON runtime.events FROM`
        await databases[stack].server.sql(stack, `${change} reader_${stack}`).catch(() => toggle(opened, stack))
      }
    },
    of(stack: StackName, check: string): string {
      const drifted = (check === 'job-image' && leftBehind.has(stack)) || (check === 'role-grants' && opened.has(stack))
      return drifted ? 'drifted' : 'in_sync'
    },
  }
}

function renderTable(): string[] {
  const rows = faultedSystems.flatMap(system =>
    system.rows.map(({ fault }) => {
      const cell = (scope: Scope) => outcomes.get(`${system.name} ${fault} ${scope}`) ?? 'not run'
      return `| ${system.name} | ${fault} | ${cell('one')} | ${cell('all')} |`
    }),
  )
  return ['| system | fault | one stack of three | all stacks |', '|---|---|---|---|', ...rows]
}
